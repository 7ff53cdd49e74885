#!/usr/bin/python3
"""usage: test_bench.py BUILD-FOLDER

What bench/compare's figures rest on: how it counts, divides and reads what others print; that it
notices lost, doubled and changed mail; that its load programs work with each other; and that each of
its works can be run. Needs no root, no mail server, and a few seconds."""
import contextlib
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import types
import unittest
import unittest.mock

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
BUILD = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else BENCH.parent / "build/sanitized"
sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH))
import ledger  # noqa: E402
import load  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import scale  # noqa: E402
import servers  # noqa: E402
import works  # noqa: E402

OURS, POSTFIX, EXIM = (types.SimpleNamespace(name=name) for name in ("Postbuch", "Postfix", "Exim"))


class Report(unittest.TestCase):
    def test_numbers_have_three_digits_or_thousands(self):
        self.assertEqual([report.number(value) for value in (0.01234, 1.5, 99.94, 100, 12345.6, "?")],
                         ["0.0123", "1.5", "99.9", "100", "12,346", "?"])

    def test_a_cell_has_the_median_and_the_spread(self):
        self.assertEqual(report.cell([3, 1, 2]), "2 (1–3)")
        self.assertEqual(report.cell([3]), "3")
        self.assertEqual(report.cell(["over 120"]), "over 120")
        self.assertEqual(report.cell([]), "–")

    def test_a_ratio_is_of_the_same_turn(self):
        """In turn 1 the machine was ten times as slow for both: the ratio is 2, not 20 or 0.2."""
        ours = {0: {"msg/s": 200}, 1: {"msg/s": 20}}
        theirs = {0: {"msg/s": 100}, 1: {"msg/s": 10}}
        self.assertEqual(report.ratio("msg/s", ours, theirs), "2 (2–2)")

    def test_a_turn_that_failed_is_left_out(self):
        theirs = {1: {"msg/s": 10}, 2: {"msg/s": 0}}
        ours = {turn: {"msg/s": 20} for turn in range(3)}
        self.assertEqual(report.ratio("msg/s", ours, theirs), "2")
        self.assertEqual(report.ratio("msg/s", ours, {}), "–")

    def test_a_table_has_a_line_for_each_server_and_the_same_columns(self):
        work = types.SimpleNamespace(title="a work", compared=("msg/s",))
        results = {"Postbuch": {0: {"msg/s": 300, "syncs": 0.5}}, "Postfix": {0: {"msg/s": 100}},
                   "Exim": {}}
        lines = report.table(work, [OURS, POSTFIX, EXIM], results).splitlines()
        self.assertEqual(lines[0], "### a work")
        self.assertEqual(lines[2:], ["| | msg/s | ÷ Postfix | syncs |", "|---|---:|---:|---:|",
                                     "| Postbuch | 300 | 3 | 0.5 |", "| Postfix | 100 | 1 | – |",
                                     "| Exim | – | – | – |"])

    def test_without_postfix_nothing_is_divided(self):
        work = types.SimpleNamespace(title="a work", compared=("msg/s",))
        lines = report.table(work, [OURS], {"Postbuch": {0: {"msg/s": 300}}}).splitlines()
        self.assertEqual(lines[-1], "| Postbuch | 300 |")

    def test_a_document_says_how_and_where(self):
        text = report.document("4 cores", "bench/compare accept", ["### a work"])
        self.assertIn("`bench/compare accept` on 4 cores.", text)
        self.assertIn("\n\n### a work\n\n", text)


@contextlib.contextmanager
def child(*words):
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


class Measure(unittest.TestCase):
    def test_a_tree_has_grandchildren_and_no_strangers(self):
        with child("sh", "-c", "sleep 60 & echo $!; wait") as parent, child("sleep", "60") as other:
            grandchild = int(parent.stdout.readline())
            self.addCleanup(os.kill, grandchild, signal.SIGKILL)
            members = measure.tree(parent.pid)[0]
            self.assertLessEqual({parent.pid, grandchild}, members)
            self.assertNotIn(other.pid, members)

    def test_the_cpu_of_dead_children_counts(self):
        """A delivery of Exim's is a process of its own, which has ended when it is asked for."""
        burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
        with child("bash", "-c", f"bash -c '{burn}'; echo done; sleep 60") as parent:
            parent.stdout.readline()
            self.assertGreater(measure.tree(parent.pid)[1], 0.02)

    def test_names_with_blanks_and_brackets_are_no_trouble(self):
        """They stand in the middle of /proc/PID/stat."""
        with tempfile.TemporaryDirectory() as folder:
            odd = pathlib.Path(folder) / "a) S 1 (b"
            odd.symlink_to("/bin/sleep")
            with child(odd, "60") as process:
                time.sleep(0.1)
                self.assertEqual(measure.processes()[process.pid][0], os.getpid())

    def test_a_process_that_has_gone_costs_nothing(self):
        with child("true") as process:
            process.wait()
        self.assertEqual(measure.tree(process.pid)[1], 0)
        self.assertEqual(measure.pss_kib(process.pid), 0)

    def test_memory_is_told_by_name_the_largest_first(self):
        counter = measure.pss_by_name(os.getpid())
        self.assertGreater(counter.total(), 1000)
        counter.clear()
        counter.update({"queue": 2048, "book": 5120, "smtp": 1024, "report": 1})
        self.assertEqual(measure.in_megabytes(counter), "book 5 queue 2 smtp 1")

    def test_who_works_is_not_quiet(self):
        with child("sh", "-c", "while :; do :; done") as busy, child("sleep", "60") as idle:
            self.assertFalse(measure.is_quiet(busy.pid, 0.9))
            self.assertTrue(measure.is_quiet(idle.pid, 0.9))

    def counted(self, lines):
        """With a `perf` that writes these lines when it is interrupted."""
        with tempfile.TemporaryDirectory() as folder:
            perf = pathlib.Path(folder) / "perf"
            perf.write_text("#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\nout=$2\n"
                            f"trap 'cat >\"$out\" <<EOF\n{lines}EOF\nexit 0' INT\n"
                            "while :; do sleep 0.1; done\n")
            perf.chmod(0o755)
            path = f"{folder}:{os.environ['PATH']}"
            with unittest.mock.patch.dict(os.environ, {"PATH": path}):
                with measure.CountedCalls(os.getpid()) as counted:
                    pass
            return counted

    def test_perf_is_read(self):
        counted = self.counted("# started on Sun\n\n"
                               "1200,,raw_syscalls:sys_enter,100,100.00,,\n"
                               "30,,syscalls:sys_enter_fsync,100,100.00,,\n"
                               "12,,syscalls:sys_enter_fdatasync,100,100.00,,\n"
                               "<not counted>,,syscalls:sys_enter_syncfs,0,0.00,,\n")
        self.assertEqual((counted.calls, counted.syncs), (1200, 42))

    def test_perf_that_counts_nothing_is_an_error(self):
        with self.assertRaisesRegex(OSError, "tracefs"):
            self.counted("# started on Sun\n")


class FakeSink:
    def __init__(self, *counts):
        self.told = counts

    def counts(self):
        return self.told


class Works(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_a_rate_is_of_recipients_or_megabytes_where_these_count(self):
        mail = works.Mail("", recipients=1000)
        self.assertEqual(mail.figures(5000, 2, 10, 2048),
                         {"rcpt/s": 2500, "CPU ms": 2, "peak MB": 2})
        self.assertEqual(works.Mail("").figures(100, 2, 1, 0)["msg/s"], 50)
        large = works.Mail("", size=10 * works.MEGABYTE)
        self.assertEqual(large.figures(4, 2, 1, 0)["MB/s"], 20)

    def relayed(self, *counts, recipients=1):
        server = types.SimpleNamespace(name="it")
        return works.Relay("", recipients=recipients).finish(server, {"accepted": 3},
                                                             FakeSink(*counts, 0, 0))

    def test_what_was_relayed_once_is_right(self):
        self.relayed(3, 3, 1)
        self.relayed(3, 3000, 1, recipients=1000)

    def test_a_doubled_message_fails_the_run(self):
        with self.assertRaisesRegex(load.Wrong, "2 copies of one"):
            self.relayed(4, 3, 2)

    def test_one_too_many_fails_the_run(self):
        with self.assertRaises(load.Wrong):
            self.relayed(4, 4, 1)

    def test_a_lost_message_fails_the_run(self):
        clock = unittest.mock.Mock(side_effect=range(0, 100000, 20))
        with unittest.mock.patch.object(load.time, "monotonic", clock), \
                unittest.mock.patch.object(load.time, "sleep"), \
                contextlib.redirect_stdout(io.StringIO()), \
                self.assertRaisesRegex(load.Wrong, "2 of 3 came"):
            self.relayed(2, 2, 1)

    def maildir(self, *numbers, body=None):
        work = works.Maildir("", size=1000)
        right = "".join("\r" if i % 72 == 70 else "\n" if i % 72 == 71 else chr(97 + i // 72 % 26)
                        for i in range(work.size)) + "\r\n"
        for i, number in enumerate(numbers):
            (self.folder / str(i)).write_bytes(
                f"Received: by it\nX-Number: {number}\n\n".encode()
                + (body or right).replace("\r\n", "\n").encode())
        server = types.SimpleNamespace(name="it", delivered=lambda: list(self.folder.iterdir()))
        work.finish(server, {"accepted": len(numbers), "connections": 1}, None)

    def test_files_as_they_were_sent_are_right(self):
        self.maildir(1, 2, 3)

    def test_a_changed_file_fails_the_run(self):
        with self.assertRaisesRegex(load.Wrong, "not as sent"):
            self.maildir(1, 2, body="something else\r\n")

    def test_a_file_twice_fails_the_run(self):
        with self.assertRaisesRegex(load.Wrong, "2 different ones"):
            self.maildir(1, 2, 2)

    def test_how_far_the_book_is_behind_is_told_in_messages(self):
        """A message is 10 bytes of the log. At full rate the book does half of it."""
        full = [(0, 0, 0), (10, 1000, 500)]
        calm = [(20, 1100, 600), (22, 1110, 1000), (24, 1120, 1115)]
        figures = ledger.Lag.figures({"count": 100, "rate": 10}, full, {"count": 12, "rate": 2}, calm,
                                     0.112)
        self.assertEqual(figures["book msg/s"], 5)
        self.assertEqual(figures["behind, most"], 50)
        self.assertEqual(figures["behind at the end"], 50)
        self.assertEqual(figures["caught up after s"], 4)
        self.assertAlmostEqual(figures["book's CPU µs"], 1000)

    def test_places_in_the_log_are_bytes_over_segments(self):
        book = {"sealed_segment": 2, "sealed_offset": 7, "folded_segment": 1, "folded_offset": 9}
        status = {"processes": [{"name": "queue", "figures": {}}, {"name": "book", "figures": book}]}
        behind = ledger.Behind(types.SimpleNamespace(status=lambda: status))
        behind.sample()
        self.assertEqual(behind.samples[0][1] - behind.samples[0][2], ledger.SEGMENT - 2)

    def test_a_listing_is_counted_by_lines(self):
        server = types.SimpleNamespace(folder=self.folder,
                                       list_queue=lambda output: output.write(b"a\nb\nc\n"))
        self.assertEqual(scale.time_list(server)[1], 3)

    def test_stored_is_what_the_disk_holds(self):
        (self.folder / "spool").mkdir()
        (self.folder / "spool/one").write_bytes(b"x" * 100000)
        (self.folder / "spool/empty").touch()
        figures = scale.stored(types.SimpleNamespace(stored=lambda: self.folder / "spool"))
        self.assertEqual(figures["files"], 2)
        self.assertGreaterEqual(figures["stored MB"], 0.1)


class Programs(unittest.TestCase):
    def tools(self, answer):
        """With a bench_send that gives this answer."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        program = pathlib.Path(folder.name) / "bench/bench_send"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        return load.Tools(pathlib.Path(folder.name))

    def test_nothing_accepted_is_an_error(self):
        with contextlib.redirect_stdout(io.StringIO()) as told, \
                self.assertRaisesRegex(load.Wrong, "nothing was accepted"):
            self.tools('{"accepted": 0, "failed": 3, "first_failure": "554 no"}').send(
                25, scale.Load(1), 1, 0, "+@far.test")
        self.assertIn("3 failed: 554 no", told.getvalue())

    def test_whether_a_server_takes_mail_is_seen(self):
        self.assertTrue(self.tools('{"accepted": 1, "failed": 0}').takes_one(25))
        self.assertFalse(self.tools('{"accepted": 0, "failed": 1}').takes_one(25))

    def test_the_load_arrives_each_message_once(self):
        tools = load.Tools(BUILD)
        with load.Sink(tools) as sink:
            sent = tools.send(sink.port, scale.Load(5, 1024), 200, 0, "+@far.test")
            total, distinct, most, size, connections = sink.counts()
        self.assertEqual((sent["accepted"], sent["failed"]), (200, 0))
        self.assertEqual((total, distinct, most), (200, 200, 1))
        self.assertGreater(size, 200 * 1024)
        self.assertGreaterEqual(connections, 5)

    def test_each_recipient_has_a_number_of_its_own(self):
        tools = load.Tools(BUILD)
        with load.Sink(tools) as sink:
            tools.send(sink.port, works.Mail("", sessions=2, recipients=50), 4, 0, "+@far.test")
            self.assertEqual(sink.counts()[1:3], [200, 1])

    def test_one_message_a_connection_is_one_message_a_connection(self):
        tools = load.Tools(BUILD)
        with load.Sink(tools) as sink:
            sent = tools.send(sink.port, works.Mail("", sessions=3, per_connection=1, size=100), 20, 0,
                              "+@far.test")
        self.assertGreaterEqual(sent["connections"], 20)

    def test_idle_connections_stay_until_the_end(self):
        tools = load.Tools(BUILD)
        with load.Sink(tools) as sink, tools.idle(sink.port, 7) as clients:
            self.assertIn(b"idle", clients.stdout.readline())
            self.assertIsNone(clients.poll())
            self.assertGreaterEqual(sink.counts()[4], 7)
            clients.stdin.close()
            self.assertEqual(clients.wait(5), 0)


class Completeness(unittest.TestCase):
    def test_help_names_each_work_and_needs_no_root(self):
        told = subprocess.run([sys.executable, "-B", BENCH / "compare", "--help"], check=True,
                              capture_output=True, text=True).stdout
        listed = re.search(r"^Works: (.*); without one", told, re.M).group(1).split(", ")
        self.assertEqual(listed, list(works.ALL))

    def test_an_unknown_work_is_refused(self):
        done = subprocess.run([sys.executable, "-B", BENCH / "compare", "acept"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown: acept", done.stderr)

    def test_each_work_can_be_done_by_postbuch(self):
        for name, work in works.ALL.items():
            with self.subTest(name):
                self.assertTrue(work.title and callable(work.run))
                self.assertIn(work.way, servers.Postbuch.ways)
                self.assertIsInstance(work.once, bool)
                self.assertIsInstance(work.compared, tuple)

    def test_titles_differ(self):
        titles = [work.title for work in works.ALL.values()]
        self.assertEqual(len(titles), len(set(titles)))

    def test_each_program_named_is_built(self):
        wanted = set()
        for path in [*BENCH.glob("*.py"), BENCH / "compare"]:
            wanted |= set(re.findall(r"bench/(bench_[a-z]+)", path.read_text()))
        built = set(re.findall(r"executable\('(bench_[a-z]+)'", (BENCH / "meson.build").read_text()))
        self.assertTrue(wanted)
        self.assertLessEqual(wanted, built)
        for name in built:
            self.assertTrue(os.access(BUILD / "bench" / name, os.X_OK), name)


if __name__ == "__main__":
    unittest.main(verbosity=0)
