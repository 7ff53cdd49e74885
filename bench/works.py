"""The works of bench/compare. Each lets a server work and returns its figures by name; what is
compared with Postfix's is in `compared`. More of them: scale.py, ledger.py."""
import contextlib
import hashlib
import pathlib

import ledger
import measure
import scale
from load import Sink, Wrong, await_count
from servers import DOMAIN, USER

MEGABYTE = 1000 * 1000
BYTES_MAX = 20000 * MEGABYTE  # that one run may leave on the disk


class Mail:
    """Mail of one size over parallel sessions: as much as a time allows, or so many `messages`."""
    way, once = "hold", False

    def __init__(self, title, sessions=50, per_connection=0, size=10240, recipients=1, messages=0):
        self.title, self.sessions, self.per_connection = title, sessions, per_connection
        self.size, self.recipients, self.messages = size, recipients, messages
        self.rate = "MB/s" if size > MEGABYTE else "rcpt/s" if recipients > 1 else "msg/s"
        self.compared = (self.rate, "CPU ms")

    def load(self, server, tools, args):
        to = f"{USER}@{DOMAIN}" if self.way == "maildir" else "+@far.test"
        if self.messages:
            return tools.send(server.port, self, self.messages, 0, to)
        messages = min(args.messages, BYTES_MAX // self.size)
        if self.way == "relay":
            messages = min(messages, server.relayed_max, scale.NUMBERS_MAX // self.recipients)
        return tools.send(server.port, self, max(messages, self.sessions), args.seconds, to)

    def finish(self, server, sent, sink):
        """When all that was sent has arrived; raises when something is lost or doubled."""
        return None

    def run(self, make_server, tools, args, counts=False):
        """With `counts` it counts syncs and system calls in the place of time."""
        with Sink(tools) as sink, make_server(self.way, sink.port) as server:
            root = server.root_pid()
            before = measure.await_quiet(root, 5)
            with measure.CountedCalls(root) if counts else contextlib.nullcontext() as counted, \
                    measure.PeakMemory(root) as memory:
                sent = self.load(server, tools, args)
                ended = None if server.is_load else self.finish(server, sent, sink)
                cpu = measure.await_quiet(root) - before
            count = sent["accepted"] * self.recipients
            if counts:
                return {"syncs": counted.syncs / count, "calls": counted.calls / count}
            seconds = ended - sent["started"] if ended else sent["seconds"]
            return self.figures(count, seconds, cpu, memory.kib)

    def figures(self, count, seconds, cpu, kib):
        unit = self.size / MEGABYTE if self.rate == "MB/s" else 1
        return {self.rate: count * unit / seconds, "CPU ms": cpu * 1000 / count,
                "peak MB": kib / 1024}


class Relay(Mail):
    way = "relay"

    def finish(self, server, sent, sink):
        wanted = sent["accepted"] * self.recipients
        ended = await_count(lambda: sink.counts()[1], wanted, server.name)
        total, distinct, most, _, _ = sink.counts()
        if (distinct, most) != (wanted, 1):
            raise Wrong(f"{server.name}: {wanted} accepted, {distinct} different ones arrived in "
                        f"{total} messages, {most} copies of one")
        return ended


class Maildir(Mail):
    way = "maildir"

    def finish(self, server, sent, sink):
        ended = await_count(lambda: len(server.delivered()), sent["accepted"], server.name)
        if "connections" in sent:
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


ALL = {
    # The first, as it suffers most from files that others have removed.
    "maildir": Maildir("into a Maildir, 50 sessions"),
    "accept": Mail("accept, 50 sessions, many messages a connection"),
    "accept-one": Mail("accept, 50 sessions, one message a connection", per_connection=1),
    "accept-single": Mail("accept, 1 session, many messages a connection", sessions=1),
    "accept-small": Mail("accept, 200 sessions, 1 KB, many messages a connection", sessions=200,
                         size=1024),
    "accept-large": Mail("accept, 4 sessions, 10 MB", sessions=4, size=10 * MEGABYTE),
    "relay": Relay("relay end to end, 50 sessions"),
    "relay-large": Relay("relay end to end, 4 sessions, 10 MB", sessions=4, size=10 * MEGABYTE),
    "recipients": Relay("relay end to end, 10 sessions, 1,000 recipients a message", sessions=10,
                        recipients=1000),
    "burst": Relay("relay end to end, 100 messages of 40 MB at once", sessions=100,
                   size=40 * MEGABYTE, messages=100),
    "idle": scale.Idle("idle connections"),
    "book": ledger.Lag("the book beside relaying"),
    "waiting": scale.Waiting("waiting for a dead host, 2 KB"),
    "million-1": scale.Million("so many waiting for 1 destination, 2 KB", 1),
    "million-1000": scale.Million("so many waiting for 1,000 destinations, 2 KB", 1000),
    "million-100000": scale.Million("so many waiting for 100,000 destinations, 2 KB", 100000),
    "trace": ledger.Trace("trace in a large book, nothing of it in memory"),
}
