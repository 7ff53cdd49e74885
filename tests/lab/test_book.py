"""The book: what it tells of mail that came by SMTP, and that nothing makes it lose or double an entry."""
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time

import lab
from conftest import needs_root


def send_traced(server, text=b'Message-ID: <one@client.test>\r\nSubject: s\r\n\r\nhello\r\n',
                recipients=('bob@postbuch.test',)):
    """Sends by hand, to learn the session and queue ids: (session, queue id)."""
    with server.smtp() as client:
        _, banner = client.connect('127.0.0.1', server.port)
        client.ehlo()
        client.mail('alice@postbuch.test')
        for recipient in recipients:
            client.rcpt(recipient)
        code, answer = client.data(text)
    assert code == 250
    return banner.decode().split()[-1], answer.decode().split()[-1]


def week_file(server):
    file, = (server.folder / 'ledger').glob('book-*.sqlite')
    return file


def test_message_is_found_by_all_its_names(server):
    session, queue_id = send_traced(server)
    server.wait_for(1)
    lab.eventually(lambda: server.trace(queue_id)[0]['recipients'][0]['state'] == 'delivered',
                   'the delivery is booked')
    told = server.trace(queue_id)
    assert told[0]['message_id'] == '<one@client.test>'
    assert told[0]['from']['ip'] == '127.0.0.1' and told[0]['from']['helo'] == 'client.test'
    kinds = [e['kind'] for e in told[0]['recipients'][0]['events']]
    assert kinds == ['connected', 'accepted', 'delivered']
    assert told[0]['recipients'][0]['holder']['host'] == 'mail.postbuch.test'
    for name in ('alice@postbuch.test', 'BOB@postbuch.test', '<one@client.test>', queue_id.lower(),
                 told[0]['from']['session']):
        assert server.trace(name) == told, name
    text = server.command('trace', queue_id).stdout.decode()
    assert text.rstrip().endswith("its owner's mail program is responsible.")


def test_just_sent_is_found_at_once(server):
    for _ in range(5):
        _, queue_id = send_traced(server)
        assert server.trace(queue_id), queue_id


def test_refusal_is_found_by_its_reference(server):
    with server.smtp() as client:
        client.ehlo()
        client.mail('alice@postbuch.test')
        code, answer = client.rcpt('nobody@postbuch.test')
    assert code == 550
    reference = answer.decode().split('reference ')[1].rstrip(')')
    # A refusal isn't waited for: it may come to the queue after its reply.
    refusal, = lab.eventually(lambda: server.trace(reference), 'the refusal is booked')
    assert refusal['reference'] == reference and refusal['phase'] == 'rcpt'
    assert refusal['recipient'] == 'nobody@postbuch.test' and refusal['reply'].startswith('550 5.1.1')
    assert server.trace('nobody@postbuch.test') == [refusal]


def test_alias_is_booked_as_expansion():
    with lab.Server(aliases='team: alice, bob\n') as server:
        _, queue_id = send_traced(server, recipients=['team@postbuch.test'])
        server.wait_for(1)
        server.wait_for(1, 'alice')
        lab.eventually(lambda: server.json('audit')['delivered'] == 2, 'both are booked')
        message, = server.trace(queue_id)
        states = {r['address']: r['state'] for r in message['recipients']}
        assert states == {'team@postbuch.test': 'expanded', 'alice@postbuch.test': 'delivered',
                          'bob@postbuch.test': 'delivered'}
        assert server.json('audit')['accepted'] == 3


def test_waiting_is_told_with_reason_and_compared_with_the_queue(server):
    bob = server.mailbox()
    bob.parent.mkdir(parents=True, exist_ok=True)
    bob.write_text('a file where the mailbox should be')
    _, queue_id = send_traced(server)
    lab.eventually(lambda: server.trace(queue_id)[0]['recipients'][0]['why'], 'the trouble is booked')
    recipient = server.trace(queue_id)[0]['recipients'][0]
    assert recipient['state'] == 'waiting' and recipient['next_attempt'] > recipient['since']
    audit = server.json('audit')
    assert audit['ok'] and audit['queue_compared'] and audit['queue_waiting'] == 1
    assert server.trace('bob@postbuch.test') == server.trace(queue_id)


def test_follow_tells_what_happens(server):
    send_traced(server)
    server.wait_for(1)
    follow = subprocess.Popen([lab.PROGRAM, 'trace', '--config', server.folder / 'postbuch.yaml',
                               '--json', '--follow', 'bob@postbuch.test'], stdout=subprocess.PIPE)
    try:
        assert json.loads(follow.stdout.readline())['sender'] == 'alice@postbuch.test'
        _, queue_id = send_traced(server)
        while json.loads(follow.stdout.readline())['id'] != queue_id:
            pass
    finally:
        follow.kill()
        follow.wait()


def test_two_books_of_a_killed_supervisor_write_one_ledger_in_turns(server):
    """The disk stalls, as it looks to the rest of the server; the supervisor is killed meanwhile."""
    send_traced(server)
    server.wait_for(1)
    lab.eventually(lambda: server.json('audit')['delivered'] == 1, 'it is booked')
    stalled, = server.pids('book')
    others = [pid for name in lab.PROCESSES for pid in server.pids(name) if pid != stalled]
    os.kill(stalled, signal.SIGSTOP)
    try:
        for i in range(5):
            send_traced(server, b'Subject: %d\r\n\r\nhello\r\n' % i)
        server.wait_for(6)
        server.process.kill()
        server.process.wait(60)
        for pid in others:
            lab.eventually(lambda: lab.is_dead(pid), f'{pid} is dead')
        server.start()
        lab.eventually(lambda: 'ALARM: another book process has the ledger' in server.log(),
                       'the next book waits')
    finally:
        os.kill(stalled, signal.SIGCONT)
    lab.eventually(lambda: lab.is_dead(stalled), 'the first book ends')
    lab.eventually(lambda: server.json('audit', check=False)['delivered'] == 6, 'all is booked')
    assert server.command('audit').returncode == 0


def test_kills_of_the_book_lose_and_double_nothing(server):
    count, sent = 400, []

    def send_all():
        for _ in range(count):
            sent.append(send_traced(server)[1])

    sender = threading.Thread(target=send_all)
    sender.start()
    while sender.is_alive():
        time.sleep(0.25)
        server.kill('book')
    sender.join()
    lab.eventually(lambda: len(server.messages()) == count, 'all are delivered')
    # Until the book that was killed last is back, audit says that it could not compare.
    audit = lab.eventually(lambda: (a := server.json('audit', check=False))['queue_compared']
                           and a['delivered'] == count and a, 'all are booked')
    assert audit['ok'] and audit['accepted'] == count and audit['events'] == 2 * count, audit
    assert server.trace(sent[0]) and server.trace(sent[-1])


def test_damaged_ledger_is_made_anew(server):
    send_traced(server)
    server.wait_for(1)
    lab.eventually(lambda: server.json('audit')['delivered'] == 1, 'it is booked')
    server.stop()
    file = week_file(server)
    for suffix in ('-wal', '-shm'):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    with open(file, 'r+b') as f:
        f.write(os.urandom(4096))
    server.start()
    _, queue_id = send_traced(server)
    server.wait_for(2)
    # The first one may be only in the file set aside, its segment of the log was free to go: then
    # that isn't passed over.
    lab.eventually(lambda: server.json('audit', check=False)['delivered'] >= 1, 'the book goes on')
    audit = server.json('audit', check=False)
    assert audit['ok'] or [f['kind'] for f in audit['findings']] == ['damage'], audit
    assert audit['ok'] == (audit['delivered'] == 2)
    lab.eventually(lambda: server.trace(queue_id)[0]['recipients'][0]['state'] == 'delivered',
                   'what comes afterwards is booked')
    assert list(file.parent.glob(file.name + '.damaged-*'))
    assert 'ALARM: a file of the ledger was damaged' in server.log()


def test_tampering_is_named(server):
    _, queue_id = send_traced(server)
    server.wait_for(1)
    lab.eventually(lambda: server.json('audit')['delivered'] == 1, 'it is booked')
    server.stop()
    with sqlite3.connect(week_file(server)) as db:
        db.execute("UPDATE event SET reply = 'never came' WHERE kind = 8")
    done = server.command('audit', '--json', check=False)
    assert done.returncode == 1
    finding, = json.loads(done.stdout)['findings']
    assert finding['kind'] == 'value' and finding['id'] == queue_id and finding['recipient'] == 0
    server.start()


@needs_root
def test_another_user_reads_only_what_permissions_allow(server):
    _, queue_id = send_traced(server)
    server.wait_for(1)

    def trace_as(user):
        return subprocess.run(['setpriv', '--reuid', user, '--clear-groups', str(lab.PROGRAM), 'trace',
                               '--config', str(server.folder / 'postbuch.yaml'), queue_id],
                              capture_output=True)

    assert trace_as('games').returncode == 75
    (server.folder / 'ledger').chmod(0o755)
    lab.eventually(lambda: trace_as('games').returncode == 0, 'readable for all, it is read')


def test_old_files_go_in_the_sandbox():
    """Retention deletes files: its system calls must be among the allowed ones."""
    with lab.Server() as server:
        send_traced(server)
        server.wait_for(1)
        lab.eventually(lambda: server.json('audit')['delivered'] == 1, 'it is booked')
        server.stop()
        new = week_file(server)
        old = server.folder / 'ledger' / 'book-2020-W01.sqlite'
        with sqlite3.connect(new) as db:
            tables = [sql for sql, in db.execute('SELECT sql FROM sqlite_master WHERE sql NOT NULL')]
        with sqlite3.connect(old) as db:
            db.executescript('PRAGMA application_id=0x506f7374; PRAGMA user_version=2;' +
                             ';'.join(tables) + ';INSERT INTO lane VALUES (0, 1, 2, 3, zeroblob(32));')
        os.chown(old, *(lambda s: (s.st_uid, s.st_gid))(new.stat()))
        server.start()
        send_traced(server)
        lab.eventually(lambda: not old.exists(), 'the old file is gone')
        assert new.exists()
        lab.eventually(lambda: server.json('audit')['delivered'] == 2, 'the book goes on')
        server.stop()
        with sqlite3.connect(server.folder / 'ledger' / 'book.sqlite') as db:
            assert db.execute('SELECT kind, events, head FROM deleted').fetchall() == [(0, 3, bytes(32))]
        server.start()


@needs_root
def test_full_ledger_stops_no_mail():
    """The book can't write: mail goes on, an alarm is logged, and later everything is booked."""
    server = lab.Server()
    ledger = server.folder / 'ledger'
    ledger.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=140k,mode=750,uid=1', 'none', ledger], check=True)
    try:
        with server:
            for _ in range(3):
                send_traced(server)
            server.wait_for(3)
            lab.eventually(lambda: "ALARM: the ledger can't be written" in server.log(), 'the alarm')
            subprocess.run(['mount', '-o', 'remount,size=20m', ledger], check=True)
            lab.eventually(lambda: server.json('audit', check=False)['delivered'] == 3, 'all is booked')
            assert server.json('audit')['ok']
    finally:
        subprocess.run(['umount', ledger], check=True)


def test_a_book_that_hangs_is_told_and_not_taken_for_loss(server):
    server.kill('book', signal.SIGSTOP)
    try:
        server.send('bob@postbuch.test', b'Subject: x\r\n\r\nhello\r\n')
        server.wait_for(1)
        done = server.command('audit', check=False)
        assert done.returncode == 1
        assert b"the book doesn't catch up with the log" in done.stdout
        assert b'not_in_' not in done.stdout
    finally:
        server.kill('book', signal.SIGCONT)
    assert server.json('audit')['ok']
