"""What processes cost: CPU with that of their dead children, memory, system calls."""
import collections
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

SYNCS = ("fsync", "fdatasync", "syncfs", "sync")  # sync_file_range waits for nothing as it is used
TICKS = os.sysconf("SC_CLK_TCK")


def processes():
    """pid -> (parent, seconds of CPU it and its reaped children used)"""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
    return found


def tree(root):
    """The pids of a process and all below it, and their CPU seconds."""
    all_processes = processes()
    members, last = {root}, 0
    while len(members) != last:
        last = len(members)
        members |= {pid for pid, (parent, _) in all_processes.items() if parent in members}
    return members, sum(all_processes[pid][1] for pid in members if pid in all_processes)


def pss_by_name(root):
    """KiB of memory of a process and all below it, by their names; what processes share counts once."""
    found = collections.Counter()
    for pid in tree(root)[0]:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup, \
                    open(f"/proc/{pid}/comm", encoding="latin-1") as comm:
                pss = re.search(r"^Pss:\s+(\d+)", rollup.read(), re.M)
                found[comm.read().strip()] += int(pss.group(1))
        except (OSError, AttributeError):
            pass  # it ended, or has no memory of its own
    return found


def pss_kib(root):
    return pss_by_name(root).total()


class PeakMemory:
    """The largest pss_kib() while the block runs, once a second, and whose it was."""

    def __init__(self, root):
        self.root, self.names, self.over = root, pss_by_name(root), threading.Event()
        self.thread = threading.Thread(target=self.watch)

    @property
    def kib(self):
        return self.names.total()

    def look(self):
        self.names = max(self.names, pss_by_name(self.root), key=lambda names: names.total())

    def watch(self):
        while not self.over.wait(1):
            self.look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()
        self.look()


def in_megabytes(names):
    """The largest, in words."""
    return " ".join(f"{name} {kib / 1024:.0f}" for name, kib in names.most_common(3))


def is_quiet(root, patience):
    """Waits until the processes use less than a twentieth of a core, or the patience ends."""
    end, last = time.monotonic() + patience, tree(root)[1]
    while time.monotonic() < end:
        time.sleep(0.5)
        now = tree(root)[1]
        if now - last < 0.025:
            return True
        last = now
    return False


def await_quiet(root, patience=15):
    """The CPU seconds that were used until it was quiet."""
    is_quiet(root, patience)
    return tree(root)[1]


def cpu_of(root, name):
    """CPU seconds of the living processes with this name."""
    all_processes, total = processes(), 0
    for pid in tree(root)[0]:
        try:
            with open(f"/proc/{pid}/comm", encoding="latin-1") as comm:
                total += all_processes[pid][1] if comm.read().strip() == name else 0
        except (OSError, KeyError):
            pass  # it ended
    return total


class CountedCalls:
    """System calls and syncs of all the processes, and of those that they start, while the block
    runs: the kernel counts, which slows system calls a little and nothing else."""

    def __init__(self, root):
        self.root, self.calls, self.syncs = root, 0, 0

    def __enter__(self):
        events = ["raw_syscalls:sys_enter"] + [f"syscalls:sys_enter_{name}" for name in SYNCS]
        self.report = tempfile.NamedTemporaryFile("r")
        self.perf = subprocess.Popen(
            ["perf", "stat", "-x", ",", "-o", self.report.name, "-e", ",".join(events), "-p",
             ",".join(map(str, tree(self.root)[0]))], stdin=subprocess.DEVNULL)
        time.sleep(1)
        return self

    def __exit__(self, *exception):
        self.perf.send_signal(signal.SIGINT)
        self.perf.wait(60)
        with self.report:
            counts = {fields[2]: int(fields[0]) for line in self.report
                      if len(fields := line.split(",")) > 2 and fields[0].isdigit()}
        if not counts and exception == (None, None, None):
            raise OSError("perf counted nothing: it needs tracefs at /sys/kernel/tracing")
        self.calls = counts.pop("raw_syscalls:sys_enter", 0)
        self.syncs = sum(counts.values())
