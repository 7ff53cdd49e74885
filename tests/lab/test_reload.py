"""What a reload takes and what it leaves as it is: the server goes on whatever the file says."""
import json
import os
import re
import resource
import signal
import socket

import lab
from conftest import needs_root

MESSAGE = b'Subject: reload\r\n\r\nHello.\r\n'
MANY = 45  # domains, each with two files of its own, and addresses: more than go in one system call


def change(server, *replacements):
    path = server.folder / 'postbuch.yaml'
    text = path.read_text()
    for old, new in replacements:
        assert old in text, (old, text)
        text = text.replace(old, new)
    path.write_text(text)
    return text


def line_of(text, start):
    return 1 + text[:re.search('^' + re.escape(start), text, re.M).start()].count('\n')


def kill_and_await(server, name, await_ready=True):
    old = server.pids(name)
    starts = server.log().count(f'error: {name}[') or 0
    server.kill(name)
    lab.eventually(lambda: (new := server.pids(name)) and not set(new) & set(old),
                   f'{name} is started again')
    assert server.log().count(f'error: {name}[') > starts
    if await_ready:
        await_all(server)


def await_all(server):
    def all_are_ready():
        text = server.command('status', '--json', check=False).stdout
        return text and all(p['ready'] for p in json.loads(text)['processes'])
    lab.eventually(all_are_ready, 'all are ready again')


def domains_with_files(server, count):
    text = 'domains:\n'
    for i in range(count):
        (server.folder / f'users{i}').write_text(f'carl@d{i}.test:*\n')
        (server.folder / f'aliases{i}').write_text('info: carl\n')
        text += (f'  d{i}.test: {{ deliver: "maildir:{server.folder}/mail/%d/%u", '
                 f'users: "file:{server.folder}/users{i}", '
                 f'aliases: "file:{server.folder}/aliases{i}" }}\n')
    return text


def test_many_files_and_addresses(server):
    change(server, ('domains:\n', domains_with_files(server, MANY)),
           (f'["127.0.0.1:{server.port}"]',
            str([f'127.0.1.{i}:{server.port}' for i in range(1, MANY)] +
                [f'127.0.0.1:{server.port}']).replace("'", '"')),
           ('  mx:', '  more: { address: %s }\n  mx:' %
            str([f'127.0.2.{i}:{server.port}' for i in range(1, MANY)]).replace("'", '"')))
    for restarted in (False, True):
        if restarted:
            server.restart()
        else:
            done = server.command('reload')
            assert b'still starting' not in done.stderr, done
        with socket.create_connection((f'127.0.2.{MANY - 1}', server.port), 20) as s:
            assert s.recv(100).startswith(b'220')
        server.send(f'info@d{MANY - 1}.test', MESSAGE)
    new = server.folder / 'mail' / f'd{MANY - 1}.test' / 'carl' / 'new'
    lab.eventually(lambda: new.is_dir() and len(list(new.iterdir())) == 2, 'both are delivered')


def test_what_needs_a_restart_stays(server):
    """Spool, ledger and users as they are, also for processes that are started again."""
    good = (server.folder / 'postbuch.yaml').read_text()
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)
    text = change(server, ('/spool\n', '/spool2\n'), ('/ledger\n', '/ledger2\n'),
                  ('queue: daemon', 'queue: games'), ('hostname: mail.', 'hostname: other.'))
    done = server.command('reload', check=False)
    assert done.returncode == 1, done
    told = done.stderr.decode()
    for key, start, value in (('spool', 'spool:', f'{server.folder}/spool'),
                              ('ledger', 'ledger:', f'{server.folder}/ledger'),
                              ('users: queue', 'users: {', 'daemon')):
        place = f'postbuch.yaml:{line_of(text, start)}:'
        assert any(place in l and f'`{key}`' in l and f'`{value}`' in l
                   for l in told.splitlines()), told
    for name in ('queue', 'book'):
        kill_and_await(server, name)
        server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(3)
    assert not (server.folder / 'spool2').exists() and not (server.folder / 'ledger2').exists()
    with server.socket()[0]:
        pass
    (server.folder / 'postbuch.yaml').write_text(good)
    server.command('reload')
    lab.eventually(lambda: server.json('audit')['delivered'] == 3, 'the book has all, and balances')


@needs_root
def test_a_user_who_is_not_there_changes_nothing(server):
    change(server, ('network: nobody', 'network: nobody-at-all'))
    done = server.command('check-config', check=False)
    assert done.returncode == 1 and b'there is no user `nobody-at-all`' in done.stdout, done
    done = server.command('reload', check=False)
    assert done.returncode == 1 and b'there is no user `nobody-at-all`' in done.stderr, done
    kill_and_await(server, 'smtpd')
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)


def leave_descriptors(pid, room):
    """So many more than it has may the process open. Returns the limits before."""
    used = {int(fd) for fd in os.listdir(f'/proc/{pid}/fd')}
    free = [fd for fd in range(max(used) + room + 2) if fd not in used]
    return resource.prlimit(pid, resource.RLIMIT_NOFILE,
                            (free[room], resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))


def test_a_supervisor_without_descriptors_ends_nobody(server):
    pids = {name: server.pids(name) for name in lab.PROCESSES}
    for room in (0, 1, 3):
        before = leave_descriptors(server.process.pid, room)
        done = server.command('reload', check=False)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
        assert done.returncode == 1 and b'Too many open files' in done.stderr, done
        server.send('bob@postbuch.test', MESSAGE)
    server.command('reload')
    server.wait_for(3)
    assert pids == {name: server.pids(name) for name in lab.PROCESSES}


def test_a_users_file_that_vanished_changes_nothing(server):
    path = server.folder / 'users'
    path.unlink()
    done = server.command('reload', check=False)
    assert done.returncode == 1 and str(path).encode() in done.stderr, done
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)


def test_a_configuration_that_vanished_changes_nothing(server):
    """Also a process that is started again needs no file."""
    path = server.folder / 'postbuch.yaml'
    kept = path.read_bytes()
    path.unlink()
    os.kill(server.process.pid, signal.SIGHUP)
    lab.eventually(lambda: 'the old one stays' in server.log(), 'the reload is refused')
    kill_and_await(server, 'queue', await_ready=False)
    path.write_bytes(kept)
    await_all(server)
    server.send('bob@postbuch.test', MESSAGE)
    server.wait_for(1)
