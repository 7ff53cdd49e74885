"""Mailboxes that can't take mail now: deferred with a word for who must act, delivered later."""
import os
import shutil
import subprocess
import time

import lab
import pytest
from conftest import needs_root

RETRY = 'retry: { first: 1s, max: 2s, give_up: 1d }\n'
MESSAGE = b'Subject: x\r\n\r\nhello\r\n'


def deferral(server, words, user='bob'):
    """Waits until the book has a deferral with all these words, and gives the recipient's entry."""
    def found():
        for message in server.trace(f'{user}@postbuch.test'):
            for recipient in message.get('recipients', []):
                for event in recipient['events']:
                    if event['kind'] == 'deferred' and all(w in str(event) for w in words):
                        return recipient
        return None
    return lab.eventually(found, f'deferred: {words}')


@pytest.fixture
def retrying():
    with lab.Server(RETRY) as server:
        yield server


def test_no_permission(retrying):
    server = retrying
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)
    new = server.mailbox() / 'new'
    new.chmod(0o500)
    if lab.IS_ROOT:
        owner = new.stat()
        os.chown(new, 0, 0)
    server.send('bob@postbuch.test', MESSAGE)
    entry = deferral(server, [str(server.mailbox()), 'administrator'])
    assert entry['state'] == 'waiting'
    server.send('alice@postbuch.test', MESSAGE)  # nobody else suffers
    server.wait_for(1, 'alice')
    if lab.IS_ROOT:
        os.chown(new, owner.st_uid, owner.st_gid)
    new.chmod(0o700)
    server.wait_for(2)


def test_a_link_in_the_way(retrying):
    server = retrying
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)
    elsewhere = server.folder / 'elsewhere'
    os.rename(server.mailbox(), elsewhere)
    server.mailbox().symlink_to(elsewhere)
    time.sleep(1.2)  # an open folder is looked up again after a second
    server.send('bob@postbuch.test', MESSAGE)
    deferral(server, ['symbolic link', str(server.mailbox())])
    assert len(list((elsewhere / 'new').iterdir())) == 1
    server.mailbox().unlink()
    os.rename(elsewhere, server.mailbox())
    server.wait_for(2)


def test_quota():
    with lab.Server(RETRY + 'mailbox: { quota: 20K }') as server:
        for _ in range(3):
            server.send('bob@postbuch.test', MESSAGE + b'x' * 70 + b'\r\n' + b'y' * 8000 + b'\r\n')
        server.wait_for(2)
        deferral(server, ['4.2.2', 'full'])
        assert len(server.messages()) == 2
        server.messages()[0].unlink()
        lab.eventually(lambda: len(server.messages()) == 2, 'the third one comes')
        server.send('alice@postbuch.test', MESSAGE)
        server.wait_for(1, 'alice')
        # Whoever sent it learns what it was, not where the mailbox lies and what is in it.
        server.send('bob@postbuch.test', MESSAGE + (b'z' * 70 + b'\r\n') * 300)
        report = server.wait_for(2, 'alice')[1].read_bytes()
        assert b'the message is larger than the mailbox may be\n' in report, report
        for ours in (server.mailbox(), 20480, 'Remote-MTA'):
            assert str(ours).encode() not in report, report


@needs_root
def test_full_disk(retrying):
    server = retrying
    server.stop()
    mail = server.folder / 'mail'
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k,mode=777', 'none', mail], check=True)
    try:
        server.start()
        (mail / 'ballast').write_bytes(b'x' * 240000)
        server.send('bob@postbuch.test', b'Subject: big\r\n\r\n' + b'y' * 60000 + b'\r\n')
        deferral(server, ['4.3.1', 'full'])
        assert server.messages() == []
        assert list((server.mailbox() / 'tmp').iterdir()) == []
        (mail / 'ballast').unlink()
        server.wait_for(1)
        server.stop()
    finally:
        subprocess.run(['umount', '-l', mail], check=True)


def test_a_mailbox_that_was_deleted_is_made_again(retrying):
    server = retrying
    for count in (1, 2, 3):
        server.send('bob@postbuch.test', MESSAGE)
        server.wait_for(1)
        shutil.rmtree(server.mailbox())


def test_a_folder_of_mailboxes_that_comes_late(retrying):
    """It isn't there when the server starts: its mail waits, and goes when it is. Until then a
    reload doesn't end the process, which delivers the others' mail."""
    server = retrying
    mail = server.folder / 'mail'
    owner = mail.stat()
    server.stop()
    shutil.rmtree(mail)
    mail.write_text('in the way')
    server.start()
    server.send('bob@postbuch.test', MESSAGE)
    deferral(server, ['4.3.5', str(mail), 'administrator', 'move away'])
    pids = server.pids('mailbox')
    server.command('reload')
    assert server.pids('mailbox') == pids
    mail.unlink()
    mail.mkdir(0o711)
    if lab.IS_ROOT:
        os.chown(mail, owner.st_uid, owner.st_gid)
    server.wait_for(1)
    assert f'ALARM: the folder of mailboxes {mail} ' in server.log()


def test_another_folder_of_mailboxes(retrying):
    """A copy is put in its place, or a disk mounted over it: mail goes where its path leads now."""
    server = retrying
    mail, away = server.folder / 'mail', server.folder / 'away'
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)
    owner = mail.stat()
    mail.rename(away)
    time.sleep(1.2)  # an open folder is looked up again after a second
    server.send('bob@postbuch.test', MESSAGE)
    deferral(server, ['4.3.5', str(mail), 'administrator'])
    mail.mkdir(0o711)
    if lab.IS_ROOT:
        os.chown(mail, owner.st_uid, owner.st_gid)
    server.wait_for(1)
    server.send('alice@postbuch.test', MESSAGE)
    server.wait_for(1, 'alice')
    assert len(server.messages()) == 1
    assert len(list((away / lab.DOMAIN / 'bob' / 'new').iterdir())) == 1
    assert 'another folder of mailboxes' in server.log()
