"""The programs that send and take mail for bench/compare."""
import json
import re
import socket
import subprocess
import time

import servers
from servers import DOMAIN, free_port


class Wrong(Exception):
    """A server lost mail, doubled it, changed it, or did not start."""


class Tools:
    """The load programs, from a build folder. All end with this one."""

    def __init__(self, build, source="ours"):
        self.build, self.source = build, source

    def send(self, port, mail, messages, seconds, to, domains=0):
        """`mail`: sessions, per_connection, size and recipients of the messages."""
        if self.source == "smtp-source" and mail.recipients == 1 and not domains:
            return self.smtp_source(port, mail, messages, to)
        words = (port, mail.sessions, mail.per_connection, messages, seconds, mail.size, to,
                 mail.recipients, domains)
        done = subprocess.run(servers.ENDS_WITH_US + [self.build / "bench/bench_send"]
                              + [str(word) for word in words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, check=True, text=True)
        result = json.loads(done.stdout)
        if result["failed"]:
            print(f"    {result['failed']} failed: {result['first_failure']}", flush=True)
        if not result["accepted"]:
            raise Wrong("nothing was accepted")
        return result

    @staticmethod
    def smtp_source(port, mail, messages, to):
        started = time.monotonic()
        numbered = ["-N", "-t", f"x{to}"] if to[0] == "+" else ["-t", to]
        stays = [] if mail.per_connection == 1 else ["-d"]
        subprocess.run(["/usr/sbin/smtp-source", "-s", str(mail.sessions), "-m", str(messages),
                        "-l", str(mail.size), "-f", f"anna@{DOMAIN}"] + numbered + stays
                       + [f"inet:127.0.0.1:{port}"], check=True)
        return {"accepted": messages, "started": started, "seconds": time.monotonic() - started}

    def takes_one(self, port):
        """Whether the server takes a message now."""
        done = subprocess.run(servers.ENDS_WITH_US + [self.build / "bench/bench_send", str(port)]
                              + "1 1 1 0 100 +@other.test".split(), stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        return b'"accepted": 1,' in done.stdout

    def idle(self, port, count):
        """Connections that say EHLO and stay until the process's standard input is closed."""
        return subprocess.Popen(servers.ENDS_WITH_US + [self.build / "bench/bench_send", str(port),
                                                        str(count)] + ["0"] * 4 + ["x"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class Sink:
    """bench_take on a port of its own: the station behind the servers."""

    def __init__(self, tools):
        self.port = free_port()
        self.process = subprocess.Popen(servers.ENDS_WITH_US
                                        + [tools.build / "bench/bench_take", str(self.port)])
        while not self.listens():
            time.sleep(0.02)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

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
    seen, told = 0, time.monotonic()
    changed = told
    while (now := count()) < wanted:
        if now != seen:
            seen, changed = now, time.monotonic()
        if time.monotonic() - changed > 60:
            raise Wrong(f"{what}: {now} of {wanted} came, and no more do")
        if time.monotonic() - told > 15:
            told = time.monotonic()
            print(f"    {now} of {wanted} are there", flush=True)
        time.sleep(0.05)
    return time.monotonic()
