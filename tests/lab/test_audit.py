"""Audit while the server is down, and what it says of damage."""
import json
import random
import shutil
import sqlite3
import subprocess

import lab
import pytest
from test_book import send_traced


def audit(server, *options):
    done = server.command('audit', '--json', *options, check=False)
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert (done.returncode == 0) == told['ok']
    return told


def block_mailbox(server, user='bob'):
    box = server.mailbox(user)
    box.parent.mkdir(parents=True, exist_ok=True)
    box.write_text('a file where the mailbox should be')
    if lab.IS_ROOT:
        for folder in (box.parent, box.parent.parent):
            shutil.chown(folder, 'mail')


def files(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def wait_for_deferral(server, queue_id):
    lab.eventually(lambda: server.trace(queue_id) and server.trace(queue_id)[0]['recipients'][0]['why'],
                   'the trouble is booked')


def test_stopped_server_is_compared_with_its_spool(server):
    block_mailbox(server)
    ids = [send_traced(server)[1] for _ in range(3)]
    server.send(['alice@postbuch.test'], b'Subject: x\r\n\r\nhello\r\n')
    server.wait_for(1, 'alice')
    for queue_id in ids:
        wait_for_deferral(server, queue_id)
    server.stop()
    before = files(server.folder / 'spool')
    told = audit(server)
    assert told['ok'] and told['queue_compared'] and told['queue_stopped'], told
    assert told['queue_waiting'] == told['waiting'] == 3 and told['delivered'] == 1
    assert files(server.folder / 'spool') == before, 'a look changes nothing'
    server.start()
    assert audit(server)['queue_stopped'] is False


def test_what_the_book_had_no_time_for_counts(server):
    """Killed with a book that hangs: the rest of the log is read."""
    block_mailbox(server)
    send_traced(server)
    server.kill('book', lab.signal.SIGSTOP)
    for _ in range(5):
        server.send(['bob@postbuch.test', 'alice@postbuch.test'], b'Subject: x\r\n\r\nhello\r\n')
    server.wait_for(5, 'alice')
    server.kill_all()
    told = audit(server)
    assert told['ok'] and told['queue_stopped'] and told['unfolded'] > 0, told
    assert told['queue_waiting'] >= 6
    server.start()
    lab.eventually(lambda: audit(server)['accepted'] == 11, 'the book follows')


def test_lost_mail_is_named(server):
    """A spool that isn't the one that the book knows."""
    block_mailbox(server)
    _, queue_id = send_traced(server)
    wait_for_deferral(server, queue_id)
    server.stop()
    shutil.move(server.folder / 'spool', server.folder / 'other')
    (server.folder / 'spool').mkdir()
    finding, = audit(server)['findings']
    assert finding['kind'] == 'not_in_queue' and finding['id'] == queue_id
    shutil.rmtree(server.folder / 'spool')
    shutil.move(server.folder / 'other', server.folder / 'spool')
    assert audit(server)['ok']
    shutil.rmtree(server.folder / 'spool')
    server.allowed.append('ALARM: by the book')
    server.start()
    assert b"The queue doesn't have it: " in server.command('trace', queue_id).stdout


def test_removed_log_is_told_at_the_start(server):
    """Nothing in the spool can tell of it: a segment between two others may have been used again."""
    block_mailbox(server)
    _, queue_id = send_traced(server)
    wait_for_deferral(server, queue_id)
    server.stop()
    server.start()
    server.send(['alice@postbuch.test'], b'Subject: in the next segment\r\n\r\n')
    server.wait_for(1, 'alice')
    server.stop()
    (server.folder / 'spool' / 'log-0000000000000001').unlink()
    server.allowed.append('ALARM: by the book')
    assert 'by the book' not in server.log()
    server.start()
    lab.eventually(lambda: 'ALARM: by the book 1 recipients wait, and the queue has 0' in server.log(), 'it is told')
    assert [f['id'] for f in audit(server)['findings'] if f['kind'] == 'not_in_queue'] == [queue_id]


def test_flipped_bytes_of_spool_and_book_are_named_or_harmless(server):
    block_mailbox(server)
    ids = {send_traced(server, b'Subject: x\r\n\r\n' + b'some words\r\n' * 200)[1] for _ in range(8)}
    for queue_id in ids:
        wait_for_deferral(server, queue_id)
    server.stop()
    good = audit(server)
    del good['unfolded']
    chance, named = random.Random(4711), 0
    places = [p for folder in ('spool', 'ledger') for p in (server.folder / folder).iterdir()
              if p.name.startswith(('log-', 'checkpoint', 'book'))]
    used = {p: [i for i, byte in enumerate(p.read_bytes()[:1 << 20]) if byte] for p in places}
    for _ in range(40):
        path = chance.choice([p for p in places if used[p]])
        with open(path, 'r+b') as f:
            data = f.read()
            at = chance.choice(used[path])
            f.seek(at)
            f.write(bytes([data[at] ^ 1 << chance.randrange(8)]))
        told = audit(server)
        with open(path, 'r+b') as f:
            f.seek(at)
            f.write(data[at:at + 1])
        del told['unfolded']
        assert not told['ok'] or told == good, (path, at, told)
        named += not told['ok']
    assert named > 12
    assert audit(server)['ok']
    server.start()


def test_damaged_message_is_named_before_and_after_the_start(server):
    block_mailbox(server)
    _, queue_id = send_traced(server, b'Subject: x\r\n\r\nwords to be found\r\n')
    wait_for_deferral(server, queue_id)
    server.stop()
    log, = (server.folder / 'spool').glob('log-0000000000000001')
    at = log.read_bytes().index(b'words to be found')
    with open(log, 'r+b') as f:
        f.seek(at)
        f.write(b'W')
    finding, = audit(server)['findings']
    assert finding['kind'] == 'damage' and finding['id'] == queue_id and log.name in finding['file']
    server.start()
    found = lab.eventually(lambda: [f for f in audit(server)['findings'] if f['file'].startswith('book')],
                           'the damage is booked')
    assert all(f['kind'] == 'damage' and f['id'] == queue_id for f in found)
    assert any(f['file'] == 'spool' and f['id'] == queue_id for f in audit(server)['findings'])
    row, = server.json('queue')
    assert row['damaged'] and row['state'] == 'held' and 'damaged' in row['why']
    done = server.command('queue', 'damage', '--json', check=False)
    assert done.returncode == 1
    damage, = json.loads(done.stdout)['damage']
    assert damage['id'] == queue_id and damage['segment'] == 1
    assert b'postbuch queue damage' in server.command('queue').stdout
    assert queue_id in server.command('queue', 'damage', check=False).stdout.decode()


@pytest.mark.parametrize('segments', [1, 2])
def test_renamed_segments_are_kept(segments):
    """Files that got each other's names look free: nothing of them may be written over."""
    with lab.Server('spool_segment_size: 1M') as server:
        server.allowed.append('ALARM: by the book')
        block_mailbox(server)
        server.send(['bob@postbuch.test'], b'Subject: first\r\n\r\n')
        for _ in range(25 * (segments - 1)):
            server.send(['bob@postbuch.test'], b'Subject: more\r\n\r\n' + b'x' * 60 * 1024 + b'\r\n')
        lab.eventually(lambda: audit(server)['waiting'] == 1 + 25 * (segments - 1), 'all is booked')
        server.stop()
        spool = server.folder / 'spool'
        first, second = (spool / f'log-{n:016x}' for n in (1, 2))
        wanted = first.read_bytes()
        first.rename(spool / 'x')
        if second.exists():
            second.rename(first)
        (spool / 'x').rename(second)
        server.start()
        server.send(['alice@postbuch.test'], b'Subject: goes on\r\n\r\n')
        server.wait_for(1, 'alice')
        assert any(p.read_bytes() == wanted for p in spool.glob('aside-*'))
        assert b'put aside' in server.command('queue', 'damage', check=False).stdout
        assert not audit(server)['ok']


def test_missing_spool_is_a_finding(server):
    block_mailbox(server)
    queue_id = send_traced(server)[1]
    wait_for_deferral(server, queue_id)
    server.stop()
    (server.folder / 'spool').rename(server.folder / 'elsewhere')
    finding, = audit(server)['findings']
    assert finding['kind'] == 'not_in_queue' and finding['id'] == queue_id
    (server.folder / 'elsewhere').rename(server.folder / 'spool')
    assert audit(server)['ok']


def test_removed_file_of_the_book_is_named_and_made_whole(server):
    """Also where nothing waits that the queue would miss."""
    queue_id = send_traced(server)[1]
    with server.smtp() as client:
        client.ehlo()
        client.mail('x@foreign.example')
        assert client.rcpt('nobody@postbuch.test')[0] == 550
    lab.eventually(lambda: (a := audit(server))['delivered'] == 1 and a['refusals'] == 1, 'all is booked')
    server.stop()
    files = sorted((server.folder / 'ledger').glob('*-W*.sqlite'))
    assert len(files) == 2
    for file in files:
        file.rename(server.folder / file.name)
        finding, = audit(server)['findings']
        assert finding['kind'] == 'file' and finding['file'] == file.name and 'missing' in finding['text']
        (server.folder / file.name).rename(file)
    assert audit(server)['ok']
    with sqlite3.connect(files[1]) as db:
        (key,), = db.execute('SELECT key FROM refusal').fetchall()
        assert key != bytes(16), 'nobody can guess what was committed to'
    files[0].unlink()
    server.start()
    lab.eventually(lambda: 'ALARM: ' + files[0].name in server.log(), 'an alarm is logged')
    lab.eventually(lambda: audit(server)['ok'] == bool(server.trace(queue_id)),
                   'it is whole, or what is gone is told')


def test_exported_and_signed_checkpoint(server, tmp_path):
    _, queue_id = send_traced(server)
    lab.eventually(lambda: audit(server)['delivered'] == 1, 'it is booked')
    key, public, file = (tmp_path / n for n in ('key', 'public', 'checkpoint'))
    subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', key], check=True)
    subprocess.run(['openssl', 'pkey', '-in', key, '-pubout', '-out', public], check=True)
    server.command('audit', '--checkpoint', file, '--key', key)
    assert server.command('audit', '--checkpoint', file, check=False).returncode == 1, 'never over an older one'
    send_traced(server)
    lab.eventually(lambda: audit(server)['delivered'] == 2, 'more is booked')
    told = audit(server, '--verify-checkpoint', file, '--public-key', public)
    assert told['ok'] and told['checkpoint']['signature'] == 'holds'
    assert told['checkpoint']['found'] == told['checkpoint']['chains'] == 1
    text = file.read_text()
    file.write_text(text.replace(' 2 ', ' 1 '))
    done = server.command('audit', '--verify-checkpoint', file, '--public-key', public, check=False)
    assert done.returncode == 1 and b'changed since' in done.stderr
    finding, = audit(server, '--verify-checkpoint', file)['findings']
    assert finding['kind'] == 'checkpoint' and finding['file'].startswith('book-')


@pytest.fixture
def outcomes_gone():
    """What waits for bob keeps the first segment; alice's mail of there was delivered by records of the second,
    which went while carl's passed. Gives the server, stopped, and the ids of alice's mail."""
    with lab.Server('spool_segment_size: 1M', users=('alice', 'bob', 'carl')) as server:
        for user in ('bob', 'alice'):
            block_mailbox(server, user)
        big = b'Subject: x\r\n\r\n' + b'x' * 60 * 1024 + b'\r\n'
        ids = [send_traced(server, recipients=['alice@postbuch.test'])[1] for _ in range(3)]
        kept = [send_traced(server, big)[1] for _ in range(14)]
        for queue_id in kept + ids:
            wait_for_deferral(server, queue_id)
        logs = server.folder / 'spool'
        passed = 0

        def pass_until(condition):
            nonlocal passed
            while not condition():
                server.send(['carl@postbuch.test'], big)
                passed += 1
                assert passed < 400
                if passed % 8 == 0:
                    server.wait_for(passed, 'carl')
        pass_until(lambda: (logs / 'log-0000000000000003').exists()
                   and any((logs / 'log-0000000000000002').read_bytes()[:64]))
        server.mailbox('alice').unlink()
        server.command('queue', 'retry', '--to', 'alice@postbuch.test')
        server.wait_for(3, 'alice')
        pass_until(lambda: not (logs / 'log-0000000000000002').exists())
        assert (logs / 'log-0000000000000001').exists()
        assert audit(server)['ok']
        server.stop()
        yield server, ids


def test_ledger_made_anew_waits_for_nobody(outcomes_gone):
    server, ids = outcomes_gone
    for file in (server.folder / 'ledger').iterdir():
        file.unlink()
    for _ in range(2):
        server.start()
        told = lab.eventually(lambda: (a := audit(server))['waiting'] == 14 and a, 'the book has all')
        assert told['ok'] and told['closed'] >= 3, told
        for queue_id in ids:
            recipient, = server.trace(queue_id)[0]['recipients']
            assert recipient['state'] == 'closed'
            text = server.command('trace', queue_id).stdout
            assert b'discarded before ' in text and b"doesn't have it" not in text
        server.stop()
    assert 'ALARM: by the book' not in server.log()
    assert 'the ledger is made anew' in server.log()
