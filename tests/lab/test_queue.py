"""What waits, why, and what an administrator does about it: the queue from outside."""
import json
import os
import signal
import smtplib
import subprocess
import time

import lab
import pytest
from conftest import needs_root

SLOW = 'retry: { first: 1h, max: 4h, give_up: 4d }\n'
MESSAGE = b'Subject: x\r\n\r\nhello\r\n'


def block(server, user):
    """Nothing can be delivered to this user until unblock()."""
    path = server.mailbox(user)
    path.parent.mkdir(parents=True, exist_ok=True)
    if lab.IS_ROOT:
        owner = path.parent.parent.stat()
        os.chown(path.parent, owner.st_uid, owner.st_gid)
    path.write_text('a file in the way')


def unblock(server, user):
    server.mailbox(user).unlink()


def rows(server, *filters):
    """The listing, a row each waiting recipient."""
    done = server.command('queue', '--json', *filters, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else []


def events(server, what):
    return [event for message in server.trace(what) for recipient in message.get('recipients', [])
            for event in recipient['events']]


def kinds(server, what):
    return [event['kind'] for event in events(server, what)]


@pytest.fixture
def slow():
    with lab.Server(SLOW) as server:
        block(server, 'bob')
        yield server


def waiting(server, count=1):
    return lab.eventually(lambda: len(r := rows(server, '--state', 'paused')) == count and r,
                          f'{count} pausing')


def test_says_who_waits_for_what_and_why(slow):
    slow.send('bob@postbuch.test', MESSAGE)
    row = waiting(slow)[0]
    assert row['address'] == 'bob@postbuch.test'
    assert str(slow.mailbox()) in row['why'], row
    assert row['attempts'] == 1
    text = slow.command('queue', check=False).stdout.decode()
    assert 'bob@postbuch.test' in text
    assert 'its next attempt in' in text
    assert rows(slow, '--to', 'alice@postbuch.test') == []
    assert rows(slow, '--destination', 'postbuch.test') != []
    summary = slow.command('queue', '--summary', check=False).stdout.decode()
    assert 'postbuch.test' in summary


def test_hold_release_and_retry(slow):
    slow.send('bob@postbuch.test', MESSAGE)
    ident = waiting(slow)[0]['id']
    slow.command('queue', 'hold', '--id', ident)
    assert len(rows(slow, '--state', 'held')) == 1
    again = slow.command('queue', 'hold', '--id', ident)
    assert b'held already' in again.stderr and again.stdout == b''
    assert slow.json('queue', 'hold', '--id', ident)['note'].startswith('it is held already')
    retried = slow.command('queue', 'retry', '--id', ident, check=False)
    assert retried.returncode == 1 and b'it is held' in retried.stderr
    unblock(slow, 'bob')
    slow.kill('queue')
    slow.restart()
    assert len(rows(slow, '--state', 'held')) == 1
    assert slow.messages() == []
    slow.command('queue', 'release', '--id', ident)
    slow.wait_for(1)
    lab.eventually(lambda: rows(slow) == [], 'its outcome is sealed')
    lab.eventually(lambda: {'held', 'released', 'delivered'} <= set(kinds(slow, ident)), 'booked')
    assert f'uid {os.geteuid()}' in str(events(slow, ident))


def test_retry_now_by_destination(slow):
    for _ in range(20):
        slow.send('bob@postbuch.test', MESSAGE)
    waiting(slow, 20)
    unblock(slow, 'bob')
    slow.command('queue', 'retry', '--destination', 'postbuch.test')
    assert len(slow.wait_for(20)) == 20


def test_what_is_given_up_is_returned():
    with lab.Server('retry: { first: 1s, max: 1s, give_up: 2s }\n') as server:
        block(server, 'bob')
        server.send('bob@postbuch.test', MESSAGE)
        server.wait_for(1, 'alice')
        lab.eventually(lambda: {'expired', 'returned'} <= set(kinds(server, 'bob@postbuch.test')),
                       'booked')
        assert rows(server) == []


def test_a_delivery_that_nobody_knows_of_is_uncertain(server):
    server.kill('mailbox', signal.SIGSTOP)
    server.send('bob@postbuch.test', MESSAGE)
    lab.eventually(lambda: rows(server, '--state', 'active'), 'under way')
    server.kill('mailbox')
    server.wait_for(1)
    lab.eventually(lambda: {'uncertain', 'delivered'} <= set(kinds(server, 'bob@postbuch.test')),
                   'booked')


def test_the_queue_dies_under_load(server):
    """Accepted is delivered; a client is told when it isn't."""
    accepted = 0
    for number in range(120):
        if number % 30 == 15:
            server.kill('queue')
        try:
            server.send('bob@postbuch.test', MESSAGE)
            accepted += 1
        except (smtplib.SMTPException, OSError):
            time.sleep(0.05)
    assert accepted
    server.wait_for(accepted)


@needs_root
def test_others_may_ask_nothing(slow):
    slow.send('bob@postbuch.test', MESSAGE)
    waiting(slow)
    config = str(slow.folder / 'postbuch.yaml')
    done = subprocess.run([str(lab.PROGRAM), 'queue', '--config', config], capture_output=True,
                          user='nobody', group='nogroup', extra_groups=[])
    assert done.returncode == 75, done
    assert b'bob' not in done.stdout


@needs_root
def test_a_full_disk_defers_new_mail_and_finishes_the_old():
    with lab.Server(SLOW + 'spool_segment_size: 4M\n',
                    limits='limits: { disk_reserve: 8M, client_rate: 0, network_rate: 0 }') as server:
        server.stop()
        spool = server.folder / 'spool'
        owner = spool.stat()
        subprocess.run(['mount', '-t', 'tmpfs', '-o',
                        f'size=160m,mode=700,uid={owner.st_uid},gid={owner.st_gid}', 'none', spool],
                       check=True)
        try:
            server.start()
            block(server, 'bob')
            server.send('bob@postbuch.test', MESSAGE)
            ident = waiting(server)[0]['id']
            free = os.statvfs(spool)
            with open(spool / 'ballast', 'wb') as ballast:
                ballast.write(b'x' * (free.f_bavail * free.f_frsize - (4 << 20)))

            def is_refused():
                try:
                    server.send('alice@postbuch.test', MESSAGE)
                    return None
                except smtplib.SMTPResponseException as refusal:
                    return refusal.smtp_code
                except smtplib.SMTPRecipientsRefused as refusal:
                    return list(refusal.recipients.values())[0][0]
            lab.eventually(lambda: is_refused() == 452, 'new mail is deferred before DATA')
            unblock(server, 'bob')
            server.command('queue', 'retry', '--id', ident)
            server.wait_for(1)
            lab.eventually(lambda: rows(server) == [], 'its outcome is on the disk')
            (spool / 'ballast').unlink()
            lab.eventually(lambda: is_refused() is None, 'new mail is accepted again')
            server.stop()
        finally:
            subprocess.run(['umount', '-l', spool], check=True)
