"""A taken-over smtpd can't open, connect, execute, trace or signal."""
import os
import pathlib
import re

import lab


def libexec_with_taken_over_smtpd(folder):
    """The real processes, but for smtpd."""
    folder.mkdir()
    for name in ('queue', 'book', 'directory', 'mailbox', 'report', 'resolver'):
        (folder / name).symlink_to(lab.BUILD / 'src' / 'proc' / name / name)
    (folder / 'smtpd').symlink_to(lab.BUILD / 'tests' / 'crash' / 'taken_over')
    return folder


def test_taken_over_smtpd_finds_nothing(tmp_path):
    server = lab.Server(sandbox='errno',
                        libexec=libexec_with_taken_over_smtpd(tmp_path / 'libexec'))
    server.environment['TAKEN_OVER_SPOOL'] = str(server.folder / 'spool')
    victim = pathlib.Path('/tmp/taken-over-victim')
    victim.write_text('')
    server.start(wait=False)
    try:
        processes = min(os.cpu_count(), 16)
        lab.eventually(lambda: server.log().count('taken-over: done') == processes,
                       'all acts were tried in each smtpd')
        log = server.log()
        print('\n'.join(line for line in log.splitlines() if 'taken-over' in line))
        assert 'ALLOWED' not in log
        refused = re.findall('taken-over: refused: ', log)
        acts = int(re.search(r'taken-over: done, (\d+) acts', log).group(1))
        assert acts > 30
        assert len(refused) == acts * processes
        assert victim.exists()
        assert not pathlib.Path('/tmp/taken-over').exists()
    finally:
        server.stop()
        victim.unlink()


def test_a_forbidden_call_ends_a_process_in_kill_mode(tmp_path):
    """The other tests run with `sandbox: kill`: a call that a process doesn't list is seen there."""
    server = lab.Server(sandbox='kill',
                        libexec=libexec_with_taken_over_smtpd(tmp_path / 'libexec'))
    server.start(wait=False)
    lab.eventually(lambda: 'smtpd[' in server.log() and 'was killed by signal 31' in server.log(),
                   'the first forbidden call ended it')
    server.stop()
