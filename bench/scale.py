"""Works of bench/compare about size: much that waits, many connections."""
import statistics
import subprocess
import time

import measure
from load import Sink

NUMBERS_MAX = 1 << 22  # of bench_take
SIZE = 2048
PATIENCE_S = 120
HEAD = 150  # what bench_send puts before so many bytes


class Load:
    """What Tools.send wants to know of messages."""
    per_connection, recipients = 0, 1

    def __init__(self, sessions, size=SIZE):
        self.sessions, self.size = sessions, size


def stored(server):
    listing = subprocess.run(["find", server.stored(), "-type", "f", "-printf", "%b\n"],
                             check=True, capture_output=True, text=True).stdout.split()
    return {"stored MB": sum(map(int, listing)) * 512 / 1e6, "files": len(listing)}


def time_list(server, *options):
    """Seconds and lines."""
    path, started = server.folder / "listing", time.monotonic()
    with open(path, "wb") as output:
        server.list_queue(output, *options)
    seconds = time.monotonic() - started
    with open(path, "rb") as output:
        return seconds, sum(1 for _ in output)


def time_start(server, tools):
    """Seconds until it took a message, and until it has nothing to do any more."""
    server.stop()
    started = time.monotonic()
    server.start()
    while not tools.takes_one(server.port):
        time.sleep(0.05)
    ready = time.monotonic() - started
    if not measure.is_quiet(server.root_pid(), PATIENCE_S):
        return {"ready s": ready, "quiet s": f"over {PATIENCE_S}"}
    return {"ready s": ready, "quiet s": max(time.monotonic() - started - 0.5, ready)}


class Waiting:
    """Mail that waits for a dead host: its place on disk, listing it, starting with it."""
    way, once, compared = "dead", True, ("list s", "ready s")

    def __init__(self, title):
        self.title = title

    def run(self, make_server, tools, args):
        with make_server("dead", 0) as server:
            sent = tools.send(server.port, Load(50), args.waiting, 0, "+@far.test")
            measure.await_quiet(server.root_pid(), 120)
            return {"waiting": sent["accepted"], "msg/s": sent["accepted"] / sent["seconds"],
                    **stored(server), "MB": measure.pss_kib(server.root_pid()) / 1024,
                    "list s": time_list(server)[0], **time_start(server, tools)}


class Million:
    """Very much that waits, and other mail beside it: Postbuch alone, with an empty one in turns."""
    way, once, compared = "beside", True, ()
    turns = 3

    def __init__(self, title, destinations):
        self.title, self.destinations = title, destinations

    def run(self, make_server, tools, args):
        with Sink(tools) as sink, make_server("beside", sink.port) as full, \
                make_server("beside", sink.port) as empty:
            root = full.root_pid()
            with measure.PeakMemory(root) as memory:
                sent = tools.send(full.port, Load(50), args.million, 0, "+@dead.test",
                                  self.destinations)
                print("    all accepted; the book follows", flush=True)
                measure.await_quiet(root, 600)
            count = sent["accepted"]
            figures = {"waiting": count, "msg/s": count / sent["seconds"],
                       "peak MB": memory.kib / 1024,
                       "of it": measure.in_megabytes(memory.names), **self.at_rest(full, count, tools)}
            figures.update(self.beside(full, empty, sink, tools, args))
            return figures

    @staticmethod
    def at_rest(server, count, tools):
        disk = stored(server)["stored MB"]
        figures = time_start(server, tools)
        memory = measure.pss_by_name(server.root_pid())
        figures = {**figures, "MB": memory.total() / 1024, "of them": measure.in_megabytes(memory),
                   "disk : mail": disk * 1e6 / (count * (SIZE + HEAD))}
        summaries = [time_list(server, "--summary")[0] for _ in range(3)]
        lists = [time_list(server) for _ in range(3)]
        return {**figures, "summary s": statistics.median(summaries),
                "lines/s": statistics.median(lines / seconds for seconds, lines in lists)}

    def beside(self, full, empty, sink, tools, args):
        """Rates to other destinations, and their ratio to those of the empty queue."""
        rates = {"relay": ([], []), "accept": ([], [])}
        for turn in range(self.turns + 1):
            print(f"    other mail beside it, turn {turn} of {self.turns}"
                  if turn else "    other mail beside it: both get warm", flush=True)
            order = [(0, full), (1, empty)]
            for kind, server in order if turn % 2 == 0 else reversed(order):
                relayed = self.relay(server, sink, tools, args)
                sent = tools.send(server.port, Load(50), args.messages, args.seconds,
                                  "+@other.test")
                measure.await_quiet(server.root_pid(), 60)
                if turn:  # the first fills files that the other one has by then
                    rates["relay"][kind].append(relayed)
                    rates["accept"][kind].append(sent["accepted"] / sent["seconds"])
        figures = {}
        for name, (ours, theirs) in rates.items():
            figures[f"{name} msg/s"] = statistics.median(ours)
            figures[f"{name} : empty"] = statistics.median(a / b for a, b in zip(ours, theirs))
        return figures

    @staticmethod
    def relay(server, sink, tools, args):
        before = sink.counts()[0]
        sent = tools.send(server.port, Load(50), args.messages, args.seconds, "+@live.test")
        while sink.counts()[0] < before + sent["accepted"]:
            time.sleep(0.02)
        rate = sent["accepted"] / (time.monotonic() - sent["started"])
        measure.await_quiet(server.root_pid(), 60)
        return rate


class Idle:
    """Connections that have said EHLO and stay."""
    way, once, compared = "idle", False, ("KB each",)

    def __init__(self, title):
        self.title = title

    def run(self, make_server, tools, args):
        with make_server("hold", 0) as server:
            count = server.idle_connections
            measure.await_quiet(server.root_pid(), 5)
            before = measure.pss_kib(server.root_pid())
            with tools.idle(server.port, count) as clients:
                try:
                    if not clients.stdout.readline():
                        raise OSError("not all connections were taken")
                    measure.await_quiet(server.root_pid(), 5)
                    after = measure.pss_kib(server.root_pid())
                finally:
                    clients.kill()
            return {"connections": count, "KB each": (after - before) / count,
                    "MB": after / 1024}
