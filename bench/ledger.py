"""Works of bench/compare about Postbuch's book: no other server has one."""
import json
import os
import random
import re
import statistics
import subprocess
import threading
import time

import measure
import scale
from load import Sink, await_count

SEGMENT = 64 << 20
SAMPLE_S = 0.5
QUERIES = 15


class Behind:
    """How far the book is behind the log, in bytes of it, over the time that the block runs."""

    def __init__(self, server):
        self.server, self.samples, self.over = server, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def sample(self):
        book = next(process["figures"] for process in self.server.status()["processes"]
                    if process["name"] == "book")
        sealed, folded = (book[f"{name}_segment"] * SEGMENT + book[f"{name}_offset"]
                          for name in ("sealed", "folded"))
        self.samples.append((time.monotonic(), sealed, folded))

    def watch(self):
        while not self.over.wait(SAMPLE_S):
            self.sample()

    def __enter__(self):
        self.sample()
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()
        self.sample()


class Lag:
    """Relaying at full rate, then by one session: does the book keep up, and does it catch up?"""
    way, once, compared = "book", False, ()

    def __init__(self, title):
        self.title = title

    def run(self, make_server, tools, args):
        with Sink(tools) as sink, make_server("relay", sink.port) as server:
            measure.await_quiet(server.root_pid(), 5)
            cpu = measure.cpu_of(server.root_pid(), "book")
            with Behind(server) as full:
                sent = self.relay(server, sink, tools, 50, 2 * args.seconds)
            with Behind(server) as calm:
                more = self.relay(server, sink, tools, 1, 4 * args.seconds)
            measure.await_quiet(server.root_pid())
            cpu = measure.cpu_of(server.root_pid(), "book") - cpu
            return self.figures(sent, full.samples, more, calm.samples, cpu)

    @staticmethod
    def relay(server, sink, tools, sessions, seconds):
        before = sink.counts()[0]
        sent = tools.send(server.port, scale.Load(sessions, 10240), scale.NUMBERS_MAX, seconds,
                          "+@far.test")
        ended = await_count(lambda: sink.counts()[0] - before, sent["accepted"], server.name)
        return {"count": sent["accepted"], "rate": sent["accepted"] / (ended - sent["started"])}

    @staticmethod
    def figures(sent, full, more, calm, cpu):
        each = (full[-1][1] - full[0][1]) / sent["count"]  # bytes of the log for a message
        behind = [(at - full[0][0], (sealed - folded) / each)
                  for at, sealed, folded in full + calm]
        caught_up = next((at - calm[0][0] for at, sealed, folded in calm
                          if (sealed - folded) / each < more["rate"]), float("inf"))
        folded = (full[-1][2] - full[0][2]) / each / (full[-1][0] - full[0][0])
        return {"relay msg/s": sent["rate"], "book msg/s": folded,
                "behind, most": max(lag for _, lag in behind),
                "behind at the end": (full[-1][1] - full[-1][2]) / each,
                "then msg/s": more["rate"], "caught up after s": caught_up,
                "book's CPU µs": cpu * 1e6 / (sent["count"] + more["count"]),
                "over time": " ".join(f"{at:.0f}s:{lag:.0f}" for at, lag in behind[::4])}


class Trace:
    """`postbuch trace` with the book's files out of the page cache."""
    way, once, compared = "book", True, ()

    def __init__(self, title):
        self.title = title

    def run(self, make_server, tools, args):
        server = make_server("hold", 0)  # for its configuration; it isn't started
        book = server.folder / "ledger"
        book.mkdir()
        print(f"    making a book of {args.entries} entries", flush=True)
        made = subprocess.run([tools.build / "bench/bench_book", book, str(args.entries), "10"],
                              check=True, capture_output=True, text=True).stdout
        subprocess.run(["sync", "-f", book], check=True)
        figures = {"entries": args.entries,
                   "MB": sum(path.stat().st_size for path in book.iterdir()) / 1e6}
        found = re.search(r"CPU ([\d.]+) us", made)
        if found:
            figures["CPU µs an entry"] = float(found.group(1))
        for what, words in self.questions(server).items():
            times = [self.time_cold(server, book, word) for word in words]
            figures.update({f"{what} ms": statistics.median(times), f"{what}, most": max(times)})
        return figures

    @staticmethod
    def questions(server):
        """Ids, addresses and Message-IDs of messages anywhere in the book."""
        chance = random.Random(1)
        words = {"id": [], "address": [], "Message-ID": []}
        while len(words["id"]) < QUERIES:
            address = f"user{chance.randrange(50000)}@here.example"
            lines = server.trace("--limit", "1000", "--json", address).splitlines()
            if lines:
                message = json.loads(chance.choice(lines))
                words["id"].append(message["id"])
                words["Message-ID"].append(message["message_id"])
                words["address"].append(f"user{chance.randrange(50000)}@here.example")
        return words

    @staticmethod
    def time_cold(server, book, word):
        """Milliseconds."""
        for path in book.iterdir():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.monotonic()
        server.trace(word)
        return (time.monotonic() - started) * 1000
