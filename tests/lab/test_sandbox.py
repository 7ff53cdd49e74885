"""A taken-over process can't open, connect, execute, trace or signal what it doesn't need."""
import os
import pathlib
import re

import lab

TAKEN_OVER = ('smtpd', 'smtp', 'resolver', 'report', 'directory', 'mailbox', 'queue', 'book')


def libexec_with_taken_over(folder, names):
    """The real processes, but for these."""
    return lab.libexec(folder, {name: 'tests/crash/taken_over' for name in names})


def acts_of(log, name):
    """How often it was done with all acts, how many these are, and what became of them."""
    done = re.findall(rf'taken-over {name}: done, (\d+) acts', log)
    fates = re.findall(rf'taken-over {name}: (refused|may|ALLOWED|MISSES): ', log)
    return len(done), int(done[0]) if done else 0, fates


def test_taken_over_processes_find_nothing(tmp_path):
    server = lab.Server(sandbox='errno',
                        libexec=libexec_with_taken_over(tmp_path / 'libexec', TAKEN_OVER))
    server.environment['TAKEN_OVER_SPOOL'] = str(server.folder / 'spool')
    server.environment['TAKEN_OVER_LEDGER'] = str(server.folder / 'ledger')
    victim = pathlib.Path('/tmp/taken-over-victim')
    victim.write_text('')
    server.start(wait=False)
    try:
        smtpds = min(os.cpu_count(), 16)
        lab.eventually(lambda: acts_of(server.log(), 'smtpd')[0] >= smtpds and
                       all(acts_of(server.log(), name)[0] for name in TAKEN_OVER),
                       'all acts were tried in each process')
        log = server.log()
        print('\n'.join(line for line in log.splitlines() if 'taken-over' in line))
        for name in TAKEN_OVER:
            done, acts, fates = acts_of(log, name)
            assert acts > 90
            assert len(fates) == acts * done
            assert 'ALLOWED' not in fates and 'MISSES' not in fates, name
        # Only who speaks with the world may have sockets at all.
        makers = re.findall(r'taken-over (\w+): may: make a .*socket', log)
        assert set(makers) == {'smtp', 'resolver'}
        assert victim.exists()
        assert not pathlib.Path('/tmp/taken-over').exists()
    finally:
        server.stop()
        victim.unlink()


def test_nobody_believes_a_taken_over_smtpd(tmp_path):
    """Directory and queue are the real ones; it tells them that strangers may relay."""
    server = lab.Server(sandbox='errno', extra='trusted: [127.0.0.0/8]\n',
                        libexec=libexec_with_taken_over(tmp_path / 'libexec', ('smtpd',)))
    server.start(wait=False)
    try:
        smtpds = min(os.cpu_count(), 16)
        lab.eventually(lambda: server.log().count('taken-over smtpd: lied') >= smtpds,
                       'all lies were told by each smtpd')
        log = server.log()
        print('\n'.join(line for line in log.splitlines() if 'taken-over' in line))
        lies = int(re.search(r'taken-over smtpd: lied, (\d+) lies', log).group(1))
        assert lies >= 8
        assert 'ALLOWED' not in log and 'MISSES' not in log
        assert server.json('queue') == []
    finally:
        server.stop()


def test_a_forbidden_call_ends_a_process_in_kill_mode(tmp_path):
    """The other tests run with `sandbox: kill`: a call that a process doesn't list is seen there."""
    server = lab.Server(sandbox='kill',
                        libexec=libexec_with_taken_over(tmp_path / 'libexec', ('smtpd',)))
    server.start(wait=False)
    lab.eventually(lambda: 'smtpd[' in server.log() and 'was killed by signal 31' in server.log(),
                   'the first forbidden call ended it')
    server.stop()


def test_a_refused_call_ends_nobody():
    """SQLite would give the files beside a ledger's its mode, and has no fchmod()."""
    with lab.Server() as server:
        server.send('bob@postbuch.test', b'Subject: x\r\n\r\nhello\r\n')
        server.wait_for(1)
        server.stop()
        for file in (server.folder / 'ledger').iterdir():
            if file.suffix == '.sqlite':
                file.chmod(0o666)
            else:
                file.unlink()
        server.start()
        server.send('bob@postbuch.test', b'Subject: y\r\n\r\nhello\r\n')
        server.wait_for(2)
        server.command('audit')
        assert 'was killed' not in server.log()
