"""The works of bench/compare. Each starts a server, lets it work, and returns its figures by name.
A figure whose name is in `LESS_IS_BETTER` is so."""
import hashlib
import json
import pathlib
import re
import socket
import subprocess
import time

import measure
from servers import DOMAIN, USER, free_port

LESS_IS_BETTER = {"CPU ms", "peak MB", "syncs", "calls", "stored MB", "files", "list s", "ready s",
                  "quiet s", "KB each"}


class Wrong(Exception):
    """A server lost mail, doubled it, changed it, or did not start."""


class Tools:
    """The load programs, from a build folder."""

    def __init__(self, build, source="ours"):
        self.build, self.source = build, source

    def send(self, port, sessions, per_connection, messages, seconds, size, to):
        if self.source == "smtp-source":
            return self.smtp_source(port, sessions, per_connection, messages, size, to)
        done = subprocess.run([self.build / "bench/bench_send"] + [str(value) for value in (
            port, sessions, per_connection, messages, seconds, size, to)],
            check=True, capture_output=True, text=True, timeout=300)
        result = json.loads(done.stdout)
        if result["failed"]:
            print(f"    {result['failed']} failed: {result['first_failure']}", flush=True)
        return result

    def smtp_source(self, port, sessions, per_connection, messages, size, to):
        started = time.monotonic()
        numbered = ["-N", "-t", f"x{to}"] if to[0] == "+" else ["-t", to]
        stays = [] if per_connection == 1 else ["-d"]
        subprocess.run(["/usr/sbin/smtp-source", "-s", str(sessions), "-m", str(messages), "-l",
                        str(size), "-f", f"anna@{DOMAIN}"] + numbered + stays
                       + [f"inet:127.0.0.1:{port}"], check=True)
        return {"accepted": messages, "started": started, "seconds": time.monotonic() - started}


class Sink:
    """bench_take on a port of its own."""

    def __init__(self, tools):
        self.port = free_port()
        self.process = subprocess.Popen([tools.build / "bench/bench_take", str(self.port)])
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            time.sleep(0.02)

    def counts(self):
        """messages, distinct numbers, the most copies of one, bytes, connections"""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"XCOUNT\r\nQUIT\r\n")
            answer = s.makefile("rb").read().decode()
        return list(map(int, re.search(r"^250 ([\d ]+)\r$", answer, re.M).group(1).split()))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()


def await_count(count, wanted, what):
    """When the last one was there. Gives up when none came for a minute."""
    seen, changed = 0, time.monotonic()
    while (now := count()) < wanted:
        if now != seen:
            seen, changed = now, time.monotonic()
        if time.monotonic() - changed > 60:
            raise Wrong(f"{what}: {now} of {wanted} came, and no more do")
        time.sleep(0.05)
    return time.monotonic()


class Work:
    """Mail of one size over parallel sessions. `bounds`: at most so many messages, for so long."""
    way = "hold"

    def __init__(self, title, sessions=50, per_connection=0, size=10240, share=1):
        self.title, self.sessions, self.per_connection = title, sessions, per_connection
        self.size, self.share = size, share  # share: of the messages that are allowed

    def load(self, server, tools, bounds, sink):
        messages, seconds = bounds
        if self.way == "relay":
            messages = min(messages, server.relayed_max / self.share)
        to = f"{USER}@{DOMAIN}" if self.way == "maildir" else "+@far.test"
        return tools.send(server.port, self.sessions, self.per_connection,
                          max(int(messages * self.share), self.sessions), seconds, self.size, to)

    def finish(self, server, sent, sink):
        """When all that was sent has arrived; raises when something is lost or doubled."""
        return None

    def run(self, make_server, tools, bounds):
        with Sink(tools) as sink, make_server(self.way, sink.port if self.way == "relay" else 0) \
                as server:
            before = measure.await_quiet(server.root_pid(), 5)
            with measure.PeakMemory(server.root_pid()) as memory:
                sent = self.load(server, tools, bounds, sink)
                ended = self.finish(server, sent, sink)
            cpu = measure.await_quiet(server.root_pid()) - before
            seconds = ended - sent["started"] if ended else sent["seconds"]
            return self.figures(sent, seconds, cpu, memory.kib)

    def figures(self, sent, seconds, cpu, kib):
        count = sent["accepted"]
        rate = {"MB/s": count * self.size / 1e6 / seconds} if self.size > 1 << 20 \
            else {"msg/s": count / seconds}
        return {**rate, "CPU ms": cpu * 1000 / count, "peak MB": kib / 1024}

    def count_calls(self, make_server, tools, messages, report):
        """System calls and syncs a message, under strace."""
        with Sink(tools) as sink, make_server(self.way, sink.port if self.way == "relay" else 0) \
                as server:
            warm = self.load(server, tools, (self.sessions, 0), sink)
            self.finish(server, warm, sink)
            with measure.CountedCalls(server.root_pid(), report) as counted:
                sent = self.load(server, tools, (messages, 0), sink)
                both = dict(sent, accepted=sent["accepted"] + warm["accepted"], again=True)
                self.finish(server, both, sink)
                time.sleep(1)
            return {"calls": counted.calls / sent["accepted"],
                    "syncs": counted.syncs / sent["accepted"]}


class Relay(Work):
    way = "relay"

    def finish(self, server, sent, sink):
        ended = await_count(lambda: sink.counts()[0], sent["accepted"], server.name)
        total, distinct, most, _, _ = sink.counts()
        wanted = sent["accepted"]
        if not sent.get("again") and (total, distinct, most) != (wanted, wanted, 1):
            raise Wrong(f"{server.name}: {wanted} accepted, {total} arrived, {distinct} of them "
                             f"different, {most} copies of one")
        return ended


class Maildir(Work):
    way = "maildir"

    def finish(self, server, sent, sink):
        ended = await_count(lambda: len(server.delivered()), sent["accepted"], server.name)
        if not sent.get("again") and "connections" in sent:
            self.check(server, sent["accepted"])
        return ended

    def check(self, server, count):
        """Each file holds a number of its own, and what was sent (see bench_send)."""
        body = "".join("\r" if i % 72 == 70 else "\n" if i % 72 == 71 else chr(97 + i // 72 % 26)
                       for i in range(self.size)) + "\r\n"
        wanted = hashlib.sha256(body.replace("\r\n", "\n").encode()).digest()
        numbers = set()
        for path in server.delivered():
            data = pathlib.Path(path).read_bytes().replace(b"\r\n", b"\n")
            number, _, rest = data.partition(b"X-Number: ")[2].partition(b"\n\n")
            numbers.add(number)
            if hashlib.sha256(rest).digest() != wanted:
                raise Wrong(f"{server.name}: {path} is not as sent")
        if len(numbers) != count:
            raise Wrong(f"{server.name}: {count} accepted, {len(numbers)} different ones there")


class Waiting(Work):
    """Mail that waits for a dead host: its place on disk, listing it, starting with it."""
    way = "dead"

    def run(self, make_server, tools, bounds):
        with make_server("dead", 0) as server:
            sent = self.load(server, tools, bounds, None)
            measure.await_quiet(server.root_pid(), 30)
            figures = {"waiting": sent["accepted"], **self.stored(server),
                       "peak MB": measure.pss_kib(server.root_pid()) / 1024,
                       "list s": self.time_list(server)}
            server.stop()
            started = time.monotonic()
            server.start()
            figures["ready s"] = time.monotonic() - started
            measure.await_quiet(server.root_pid(), 30)
            figures["quiet s"] = max(time.monotonic() - started - 0.5, figures["ready s"])
            return figures

    def stored(self, server):
        listing = subprocess.run(["find", server.stored(), "-type", "f", "-printf", "%b\n"],
                                 check=True, capture_output=True, text=True).stdout.split()
        return {"stored MB": sum(map(int, listing)) * 512 / 1e6, "files": len(listing)}

    def time_list(self, server):
        started = time.monotonic()
        with open(server.folder / "listing", "wb") as output:
            server.list_queue(output)
        return time.monotonic() - started


class Idle(Work):
    """Connections that have said EHLO and stay."""

    def run(self, make_server, tools, bounds):
        with make_server("hold", 0) as server:
            count = server.idle_connections
            measure.await_quiet(server.root_pid(), 5)
            before = measure.pss_kib(server.root_pid())
            with subprocess.Popen([tools.build / "bench/bench_send", str(server.port),
                                   str(count), "0", "0", "0", "0", "x"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) as clients:
                clients.stdout.readline()
                measure.await_quiet(server.root_pid(), 5)
                after = measure.pss_kib(server.root_pid())
                clients.stdin.close()
            return {"connections": count, "KB each": (after - before) / count}


MEGABYTES_10 = 10 * 1000 * 1000

ALL = {
    # The first, as it suffers most from files that others have removed.
    "maildir": Maildir("into a Maildir, 50 sessions", share=0.4),
    "accept": Work("accept, 50 sessions, many messages a connection"),
    "accept-one": Work("accept, 50 sessions, one message a connection", per_connection=1),
    "accept-single": Work("accept, 1 session, many messages a connection", sessions=1),
    "accept-small": Work("accept, 200 sessions, 1 KB, many messages a connection", sessions=200,
                         size=1024),
    "accept-large": Work("accept, 4 sessions, 10 MB", sessions=4, size=MEGABYTES_10, share=0.01),
    "relay": Relay("relay end to end, 50 sessions", share=0.4),
    "relay-large": Relay("relay end to end, 4 sessions, 10 MB", sessions=4, size=MEGABYTES_10,
                         share=0.005),
    "waiting": Waiting("waiting for a dead host, 2 KB", size=2048),
    "idle": Idle("idle connections"),
}
