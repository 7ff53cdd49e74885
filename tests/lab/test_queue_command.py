"""`postbuch queue` as an administrator uses it, on mail that can't be delivered for now."""
import os
import subprocess

import pytest

import lab
from conftest import needs_root

RETRY = 'retry: { first: 1h, max: 2h, give_up: 1d }\n'


@pytest.fixture
def stuck():
    """A server with a message for bob, whose mailbox is a symbolic link that nobody follows."""
    with lab.Server(RETRY) as server:
        (server.folder / 'mail' / lab.DOMAIN).mkdir(exist_ok=True, parents=True)
        server.mailbox().symlink_to(server.folder)
        server.command('send', '-f', 'alice@postbuch.test', 'bob@postbuch.test',
                       stdin=b'Subject: stuck\n\nb\n')
        lab.eventually(lambda: [r for r in server.json('queue') if r['attempts'] == 1],
                       'the first attempt has failed')
        yield server


def mend(server):
    server.mailbox().unlink()
    open_folder(server)


def open_folder(server):
    """Mailboxes can be made in it."""
    if lab.IS_ROOT:
        folder = server.mailbox().parent
        os.chown(folder, folder.parent.stat().st_uid, folder.parent.stat().st_gid)


def row(server):
    only, = server.json('queue')
    return only


def test_list_says_why_and_until_when(stuck):
    found = row(stuck)
    assert found['state'] == 'paused' and found['waits_for'] in ('pause', 'destination')
    assert found['address'] == 'bob@postbuch.test' and found['sender'] == 'alice@postbuch.test'
    assert found['why'] and found['next_attempt'] > found['received']
    text = stuck.command('queue').stdout.decode()
    assert found['id'] in text and 'bob@postbuch.test' in text and found['why'] in text
    assert '\x1b' not in text  # no colours but on a terminal


def test_filters(stuck):
    name = row(stuck)['id']
    for fitting in (['--id', name.lower()], ['--from', 'ALICE@postbuch.test'], ['--to', 'bob'],
                    ['--state', 'paused'], ['--from', 'alice', '--to', 'bob']):
        assert len(stuck.json('queue', *fitting)) == 1, fitting
    for other in (['--id', '1' * 16], ['--from', 'bob'], ['--to', 'alice@postbuch.test'],
                  ['--state', 'held'], ['--destination', 'other.example']):
        assert stuck.json('queue', *other) == [], other


def test_show(stuck):
    name = row(stuck)['id']
    text = stuck.command('queue', 'show', name).stdout.decode()
    assert 'to bob@postbuch.test' in text and 'after 1 attempt' in text
    done = stuck.command('queue', 'show', '1' * 16, check=False)
    assert done.returncode == 1 and b'trace' in done.stderr


def test_why_not_yet(stuck):
    """Also after a restart, when the queue itself has forgotten the words of the last trouble."""
    name, words = row(stuck)['id'], row(stuck)['why']
    stuck.restart()
    for command in (['queue', 'show', name], ['trace', name]):
        text = stuck.command(*command).stdout.decode()
        assert 'waits for its next attempt in' in text, text
        assert f'said: {words}' in text or f': {words}' in text, text
        assert 'to succeed: ' in text and 'is given up by' in text, text
    stuck.command('queue', 'hold', name)
    stuck.restart()
    text = stuck.command('trace', name).stdout.decode()
    assert 'an administrator must act' in text and f': by uid {os.geteuid()}' in text, text
    shown, = stuck.json('queue', 'show', name)
    assert shown['held_by'] == f'by uid {os.geteuid()}' and words in shown['trouble']
    assert 'postbuch queue release' in shown['to_succeed']


def test_summary(stuck):
    summary = stuck.json('queue', '--summary')
    assert (summary['messages'], summary['recipients']) == (1, 1)
    only, = summary['destinations']
    assert only['paused'] == 1 and sum(age['recipients'] for age in only['ages']) == 1
    assert b'1 messages, 1 recipients' in stuck.command('queue', '--summary').stdout
    assert stuck.command('mailq').stdout.startswith(b'ID ')


def test_retry_delivers_what_was_mended(stuck):
    mend(stuck)
    assert stuck.command('queue', 'retry', row(stuck)['id']).stdout == b'1 recipient\n'
    stuck.wait_for(1)
    lab.eventually(lambda: stuck.json('queue') == [], 'nothing waits')
    assert stuck.command('queue').stdout == b'Nothing waits.\n'


def test_hold_and_release(stuck):
    name = row(stuck)['id']
    stuck.command('queue', 'hold', name)
    assert row(stuck)['state'] == 'held' and row(stuck)['waits_for'] == 'release'
    mend(stuck)
    stuck.restart()
    assert row(stuck)['state'] == 'held'
    stuck.command('queue', 'release', '--id', name)
    stuck.command('queue', 'retry', name, check=False)
    stuck.wait_for(1)
    kinds = [e['kind'] for e in stuck.json('trace', name)['recipients'][0]['events']]
    assert kinds.index('held') < kinds.index('released')


def events(server, name):
    return server.json('trace', name)['recipients'][0]['events']


def test_remove(stuck):
    name = row(stuck)['id']
    assert stuck.command('queue', 'remove', name).stdout == b'1 recipient\n'
    lab.eventually(lambda: stuck.json('queue') == [], 'nothing waits')
    last = events(stuck, name)[-1]
    assert last['kind'] == 'removed' and f'uid {os.geteuid()}' in str(last)
    fate = stuck.command('trace', name).stdout.decode()
    assert f'Removed at' in fate and f'by uid {os.geteuid()}' in fate, fate
    assert 'rule' not in fate


def test_return(stuck):
    name = row(stuck)['id']
    open_folder(stuck)
    assert stuck.json('queue', 'return', '--from', 'alice@postbuch.test', '--yes') == {
        'act': 'return', 'recipients': 1, 'under_way': 0, 'error': None, 'note': None}
    path, = stuck.wait_for(1, 'alice')
    report = path.read_bytes()
    assert b'administrator of this server' in report and b'bob@postbuch.test' in report
    lab.eventually(lambda: stuck.json('queue') == [], 'nothing waits')
    kinds = [e['kind'] for e in events(stuck, name)]
    assert kinds.index('rerouted') < kinds.index('returned')
    assert b' rerouted   (by uid' in stuck.command('trace', name).stdout
    assert 'by uid' in str(events(stuck, name))


def test_reroute_survives_a_restart(stuck):
    """To a port where nobody listens, so it waits there, until it is sent the configured way."""
    name = row(stuck)['id']
    assert stuck.command('queue', 'reroute', name, '--via', 'nowhere', check=False).returncode == 2
    stuck.command('queue', 'reroute', name, '--via', 'smtp:127.0.0.1:1')
    lab.eventually(lambda: row(stuck)['attempts'] == 2, 'it was attempted there')
    assert b' rerouted   smtp:127.0.0.1:1 (by uid' in stuck.command('trace', name).stdout
    stuck.restart()
    found = row(stuck)
    assert found['destination'] == 'host:127.0.0.1:1'
    for destination in ('127.0.0.1:1', 'smtp:127.0.0.1:1', 'SMTP:127.0.0.1:1', 'host:127.0.0.1:1'):
        assert len(stuck.json('queue', '--destination', destination)) == 1, destination
    assert stuck.json('queue', '--destination', 'smtp:127.0.0.1:2') == []
    shown = stuck.command('queue', 'show', name).stdout
    assert b'an administrator chose its way: smtp:127.0.0.1:1\n' in shown, shown
    mend(stuck)
    stuck.command('queue', 'reroute', '--to', 'bob@postbuch.test', '--via', 'mx', '-y')
    stuck.wait_for(1)
    kinds = [e['kind'] for e in events(stuck, name)]
    assert kinds.count('rerouted') == 2


def test_many_are_not_removed_without_a_question(stuck):
    done = stuck.command('queue', 'remove', '--from', 'alice', check=False, stdin=b'y\n')
    assert done.returncode == 2 and b'--yes' in done.stderr
    assert len(stuck.json('queue')) == 1


@pytest.mark.parametrize('arguments', [['hold'], ['show'], ['show', 'no-id'], ['hold', '0' * 16], ['dance'],
                                       ['--state', 'gone'], ['reroute', '1' * 16], ['remove'],
                                       ['remove', '1' * 16, '--via', 'mx']])
def test_wrong_usage(server, arguments):
    done = server.command('queue', *arguments, check=False)
    assert done.returncode == 2 and done.stderr


def test_acts_that_fit_nothing(server):
    assert server.command('queue', 'retry', '1' * 16, check=False).returncode == 1


def test_server_down(server):
    server.stop()
    assert server.command('queue', check=False).returncode == 75


@needs_root
def test_others_may_not_ask(server):
    done = subprocess.run([lab.PROGRAM, 'queue', '--config', server.folder / 'postbuch.yaml'],
                          user='www-data', group='www-data', extra_groups=[], capture_output=True,
                          check=False)
    assert done.returncode == 75


@pytest.mark.parametrize('typed, completed', [
    ('q', 'queue'),
    ('queue re', 'release retry return remove reroute'),
    ('queue --sum', '--summary'),
    ('queue --state p', 'paused'),
    ('trace --s', '--since --state'),
    ('dance ', ''),
])
def test_completion(typed, completed):
    script = ('source <(postbuch completion); COMP_WORDS=(postbuch "$@"); COMP_CWORD=$#; '
              '_postbuch postbuch; echo "${COMPREPLY[*]}"')
    path = f'{lab.PROGRAM.parent}:{os.environ["PATH"]}'
    done = subprocess.run(['bash', '-c', script, 'bash', *typed.split(' ')], capture_output=True,
                          env={**os.environ, 'PATH': path}, check=True)
    assert done.stdout.decode().strip() == completed
