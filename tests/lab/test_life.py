"""A server's life: reload, processes that die, the end and the beginning."""
import os
import shutil
import signal

import lab
import pytest

MESSAGE = b'Subject: x\r\n\r\nhello\r\n'
PROCESSES = ('smtpd', 'queue', 'book', 'directory', 'mailbox')


def add_user(server, user):
    with open(server.folder / 'users', 'a') as users:
        users.write(f'{user}@postbuch.test:*\n')


def send_until_taken(server, user):
    """As a mail server would: again after a temporary failure or a lost connection."""
    def sent():
        try:
            server.send(f'{user}@postbuch.test', MESSAGE)
            return True
        except (lab.smtplib.SMTPException, OSError):
            return False
    lab.eventually(sent, 'the message is taken')


def test_processes_are_there(server):
    for name in PROCESSES:
        assert server.pids(name), name


@pytest.mark.parametrize('name', PROCESSES)
def test_a_process_that_dies_comes_back(name):
    with lab.Server() as server:
        server.send('bob@postbuch.test', MESSAGE)
        server.wait_for(1)
        old = server.pids(name)
        server.kill(name)
        lab.eventually(lambda: server.pids(name) and not set(server.pids(name)) & set(old),
                       f'{name} is started again')
        send_until_taken(server, 'bob')
        server.wait_for(2)


def test_reload_takes_new_users(server):
    with server.smtp() as client:
        client.ehlo()
        add_user(server, 'carol')
        assert client.docmd('NOOP')[0] == 250
        server.command('reload')
        assert client.docmd('NOOP')[0] == 250  # the session goes on
    server.send('carol@postbuch.test', MESSAGE)
    server.wait_for(1, 'carol')


def test_reload_refuses_what_is_wrong(server):
    good = (server.folder / 'postbuch.yaml').read_text()
    (server.folder / 'postbuch.yaml').write_text(good + 'nonsense: 1\nlimits: x\n')
    done = server.command('reload', check=False)
    assert done.returncode == 1
    assert b'nonsense' in done.stdout + done.stderr
    (server.folder / 'postbuch.yaml').write_text(good)
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)


def test_a_trust_anchor_of_no_use_is_refused(server):
    """The resolver that works goes on."""
    before = server.pids('resolver')
    path = server.folder / 'postbuch.yaml'
    good = path.read_text()
    path.write_text(good + 'resolver: { trust_anchor: anchor }\n')
    for text in None, '; being written\n':
        if text:
            (server.folder / 'anchor').write_text(text)
        assert server.command('check-config', check=False).returncode == 1
        done = server.command('reload', check=False)
        assert done.returncode == 1 and b'/anchor: error: ' in done.stdout + done.stderr
    path.write_text(good)
    server.command('reload')
    assert server.pids('resolver') == before
    assert 'starting again' not in server.log()


def test_reload_with_another_folder_of_mailboxes(server):
    """The mailbox process can't open it behind its sandbox: a new one takes over."""
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)
    path = server.folder / 'postbuch.yaml'
    path.write_text(path.read_text().replace('/mail/%d/%u', '/other/%d/%u'))
    server.command('reload')
    send_until_taken(server, 'bob')
    other = server.folder / 'other' / 'postbuch.test' / 'bob' / 'new'
    lab.eventually(lambda: other.is_dir() and len(list(other.iterdir())) == 1, 'delivered there')


def test_status(server):
    status = server.json('status')
    for name in PROCESSES:
        assert name in str(status), name
    assert server.figures('queue')['reports'] == {
        'failed': 0, 'delayed': 0, 'receipts': 0, 'under_way': 0, 'put_off': 0, 'memory_bytes': 0,
        'trouble': 'none'}
    server.stop()
    assert server.command('status', check=False).returncode == 75


def test_what_waits_survives(server):
    """Stopped with mail in the queue, started again: it goes on."""
    server.stop()
    server.write_config('retry: { first: 1s, max: 2s, give_up: 1d }\n')
    blocked = server.mailbox('bob')
    blocked.parent.mkdir(parents=True, exist_ok=True)
    if lab.IS_ROOT:
        shutil.chown(blocked.parent, 'mail', 'mail')
    blocked.write_text('a file in the way')
    server.start()
    for _ in range(5):
        server.send('bob@postbuch.test', MESSAGE)
    server.restart()
    server.kill_all()
    blocked.unlink()
    server.start()
    assert len(server.wait_for(5)) == 5


def test_ends_on_sigterm_with_sessions_open(server):
    s, stream = server.socket()
    lab.talk(stream, b'EHLO client.test')
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    rest = stream.read()
    assert rest == b'' or rest.startswith(b'421')
    assert "doesn't end" not in server.log()  # the client, which stays, holds nothing up
    for name in PROCESSES:
        assert not server.pids(name)
    s.close()


def test_starts_again_at_once_after_its_supervisor_was_killed(server):
    """While a client of the old one is in the middle of a message, and takes its time."""
    server.allowed.append("can't start: Resource temporarily unavailable")  # the queue: the old one may have the spool
    s, stream = server.socket()
    lab.talk(stream, b'EHLO client.test', b'MAIL FROM:<a@b.test>', b'RCPT TO:<bob@postbuch.test>', b'DATA')
    server.process.kill()
    server.process.wait(60)
    server.start()
    assert 'Address already in use' not in server.log()
    server.send('bob@postbuch.test', MESSAGE)
    assert len(server.wait_for(1)) == 1
    s.close()


def test_nothing_is_left_of_it(server):
    pids = [pid for name in PROCESSES for pid in server.pids(name)]
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    for pid in pids:
        lab.eventually(lambda p=pid: not os.path.exists(f'/proc/{p}'), 'the processes end')


def test_a_file_in_the_place_of_a_socket_is_left_alone():
    server = lab.Server()
    (server.folder / 'run').mkdir()
    (server.folder / 'run' / 'control').write_text('precious')
    server.start(wait=False)
    assert server.process.wait(60) != 0
    assert (server.folder / 'run' / 'control').read_text() == 'precious'
    assert 'run/control: File exists' in server.log()
    shutil.rmtree(server.folder)


def test_second_server_on_the_spool_says_so(server):
    """Both go on: the first with its mail, the second waits for the spool."""
    with lab.Server() as second:
        second.stop()
        text = (second.folder / 'postbuch.yaml').read_text()
        (second.folder / 'postbuch.yaml').write_text(
            text.replace(f'file:{second.folder}/spool', f'file:{server.folder}/spool'))
        second.start(wait=False)
        lab.eventually(lambda: 'another server has this spool' in second.log(), 'the reason is told')
        send_until_taken(server, 'bob')
        server.wait_for(1)
        second.stop()
        second.log_path.write_text('')


@pytest.mark.skipif(not lab.IS_ROOT, reason='needs root')
def test_a_spool_that_root_put_back_is_named(server):
    server.stop()
    owner = (server.folder / 'spool').stat()
    files = list((server.folder / 'spool').iterdir())
    for file in files:
        os.chown(file, 0, 0)
    server.start(wait=False)
    lab.eventually(lambda: f'chown -R daemon: {server.folder}/spool' in server.log(), 'the way out is told')
    for file in files:
        os.chown(file, owner.st_uid, owner.st_gid)
    send_until_taken(server, 'bob')  # without another start
    server.wait_for(1)
    server.log_path.write_text('')


def test_the_file_that_keeps_it_from_starting_is_named(server):
    """A segment of a version to come: start, and audit, stop at it and say so."""
    server.send('bob@postbuch.test', b'Subject: x\r\n\r\nhello\r\n')
    server.wait_for(1)
    server.stop()
    log = sorted((server.folder / 'spool').glob('log-*'))[0]
    whole = log.read_bytes()
    log.write_bytes(whole[:8] + b'\xff' + whole[9:])
    audit = server.command('audit', check=False)
    assert audit.returncode == 1
    assert f'{log}: ' in audit.stderr.decode()
    server.start(wait=False)
    lab.eventually(lambda: f'{log} was written by a newer Postbuch' in server.log(), 'the file is told')
    log.write_bytes(whole)
    send_until_taken(server, 'bob')  # without another start
    server.wait_for(2)
    server.log_path.write_text('')


def test_status_answers_though_a_process_hangs(server):
    server.kill('mailbox', signal.SIGSTOP)
    try:
        processes = {p['name']: p for p in server.status()['processes']}
        done = server.command('status', check=False)
        text = done.stdout.decode()
    finally:
        server.kill('mailbox', signal.SIGCONT)
    assert "ready; doesn't answer: mailbox\n" in text and done.returncode == 1, text
    assert processes['mailbox']['figures'] is None
    assert processes['queue']['figures'] is not None


def test_status_tells_what_the_directory_defers(server):
    users = server.folder / 'users'
    good = users.read_text()

    def told():
        done = server.command('status', check=False)
        assert server.command('status', '--json', check=False).returncode == done.returncode
        return done.returncode, next(line.split(None, 2)[2] for line in done.stdout.decode().splitlines()
                                     if line.startswith('New mail'))

    assert told() == (0, 'is taken')
    users.write_text(good + good)
    server.restart()
    with server.smtp() as client:
        client.ehlo()
        client.mail('alice@postbuch.test')
        assert client.rcpt('bob@postbuch.test')[0] == 451
    code, text = told()
    assert code == 1 and text.startswith('is deferred: users and aliases have errors'), text
    users.write_text('')
    server.command('reload')
    code, text = told()
    assert code == 1 and 'of 1 domain only for known names' in text, text
    users.write_text(good)
    server.command('reload')
    assert told() == (0, 'is taken')


def test_an_empty_users_file_refuses_nobody(server):
    """It is what a power cut leaves: its names are deferred, and other domains don't notice."""
    text = (server.folder / 'postbuch.yaml').read_text()
    (server.folder / 'postbuch.yaml').write_text(text.replace('domains:\n', f'''domains:
  other.test:
    deliver: maildir:{server.folder}/mail/%d/%u
    users: file:{server.folder}/others
'''))
    (server.folder / 'others').write_text('carl@other.test:*\n')
    (server.folder / 'aliases').write_text('info@postbuch.test: carl@other.test\n')
    (server.folder / 'users').write_text('')
    done = server.command('reload')
    assert b'users: warning: the file is empty' in done.stderr, done
    for start in (False, True):
        if start:
            server.restart()
        with server.smtp() as client:
            client.ehlo()
            client.mail('carl@other.test')
            assert client.rcpt('bob@postbuch.test')[0] == 451
            assert client.rcpt('nobody@other.test')[0] == 550
            assert client.rcpt('info@postbuch.test')[0] == 250
            assert client.rcpt('carl@other.test')[0] == 250
    assert 'ALARM: names of 1 domain(s)' in server.log()
    done = server.command('user', 'add', 'dora@postbuch.test', '--no-login')
    assert b'users was empty' in done.stderr, done
    with server.smtp() as client:
        client.ehlo()
        client.mail('carl@other.test')
        assert client.rcpt('bob@postbuch.test')[0] == 550
