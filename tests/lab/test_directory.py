"""Who may receive, who may come how often, and what a reload changes: a real server's answers."""
import re
import smtplib

import pytest

import lab

ALIASES = '''\
team: alice, bob, alice+x
info: team
bob: \\bob, alice
round: about
about: round
gone: nobody
far: someone@elsewhere.test
'''


def rcpt(server, address, sender='x@elsewhere.test'):
    """Code and text of the reply to one RCPT."""
    with server.smtp() as client:
        client.ehlo()
        client.mail(sender)
        code, text = client.rcpt(address)
        return code, text.decode()


@pytest.fixture
def aliased():
    with lab.Server(aliases=ALIASES) as s:
        yield s


@pytest.mark.parametrize('address, code, part', [
    ('bob@postbuch.test', 250, ''),
    ('BOB@Postbuch.TEST', 250, ''),
    ('bob+lists@postbuch.test', 250, ''),
    ('postmaster', 250, ''),
    ('abuse@postbuch.test', 250, ''),
    ('team@postbuch.test', 250, ''),
    ('nobody@postbuch.test', 550, '5.1.1'),
    ('+bob@postbuch.test', 550, '5.1.1'),
    ('someone@elsewhere.test', 550, '5.7.1'),
    ('round@postbuch.test', 451, 'leads to nobody'),
    ('gone@postbuch.test', 451, 'leads to nobody'),
    ('far@postbuch.test', 250, ''),
])
def test_recipients(aliased, address, code, part):
    got, text = rcpt(aliased, address)
    assert (got, part in text) == (code, True), text


def test_an_alias_becomes_each_user_once(aliased):
    aliased.send(['info@postbuch.test', 'alice@postbuch.test'], b'Subject: s\r\n\r\nx\r\n')
    aliased.wait_for(1, 'alice')
    aliased.wait_for(1, 'bob')
    lab.eventually(lambda: aliased.status(), 'it still answers')
    assert len(aliased.messages('bob')) == 1


def test_a_user_who_forwards_and_keeps_a_copy(aliased):
    aliased.send(['bob@postbuch.test'], b'Subject: s\r\n\r\nx\r\n')
    aliased.wait_for(1, 'alice')
    aliased.wait_for(1, 'bob')


def test_connections_at_once_are_limited_and_given_back():
    with lab.Server(limits='limits: { client_connections: 2 }') as server:
        first, second = server.smtp(), server.smtp()
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            server.smtp()
        assert refused.value.smtp_code == 421
        first.quit()
        lab.eventually(lambda: can_connect(server), 'its place is free again')
        # An smtpd that dies takes its clients along; its successors start from nothing.
        server.kill('smtpd')
        second.close()
        lab.eventually(lambda: can_connect(server), 'the dead give back')


def can_connect(server):
    try:
        with server.smtp():
            return True
    except (smtplib.SMTPException, OSError):
        return False


def test_who_guesses_names_is_sent_away():
    with lab.Server(limits='limits: { client_refusals: 5 }') as server:
        with server.smtp() as client:
            client.ehlo()
            client.mail('x@elsewhere.test')
            for i in range(5):
                assert client.rcpt(f'guess{i}@postbuch.test')[0] == 550
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            lab.eventually(lambda: server.smtp().close(), 'it is refused')
        assert refused.value.smtp_code == 421


def test_trusted_clients_have_no_limits():
    with lab.Server(limits='limits: { client_connections: 1 }',
                    extra='trusted: [127.0.0.0/8]\n') as server:
        clients = [server.smtp() for _ in range(4)]
        for client in clients:
            assert client.noop()[0] == 250
            client.quit()


def test_a_reload_with_errors_changes_nothing_and_says_so(server):
    users = server.folder / 'users'
    good = users.read_text()
    users.write_text(good.replace('bob@postbuch.test:*', 'bob'))
    done = server.command('reload', check=False)
    assert done.returncode == 1
    assert b'users:2:1: error: no colon' in done.stderr
    assert rcpt(server, 'bob@postbuch.test')[0] == 250
    users.write_text(good + 'carl@postbuch.test:*:\n')
    server.command('reload')
    lab.eventually(lambda: rcpt(server, 'carl@postbuch.test')[0] == 250, 'carl is known')


def test_users_come_and_go_by_command(server):
    server.command('user', 'add', 'carl@postbuch.test', stdin=b'secret\n')
    lab.eventually(lambda: rcpt(server, 'carl@postbuch.test')[0] == 250, 'carl is known')
    assert [u['address'] for u in server.json('user', 'list')] == [
        'alice@postbuch.test', 'bob@postbuch.test', 'carl@postbuch.test']
    server.command('user', 'remove', 'carl@postbuch.test')
    lab.eventually(lambda: rcpt(server, 'carl@postbuch.test')[0] == 550, 'carl is gone')


def test_without_a_valid_users_file_all_is_deferred():
    server = lab.Server()
    (server.folder / 'users').write_text('bob\n')
    with server:
        code, text = rcpt(server, 'bob@postbuch.test')
        assert code == 451, text
        assert re.search(r'directory\[\d+\] does without a part of its configuration: Invalid argument', server.log())
        done = server.command('check-config', check=False)
        assert done.returncode == 1 and b'users:1:1: error: no colon' in done.stdout
        (server.folder / 'users').write_text('bob@postbuch.test:*:\n')
        server.command('reload')
        lab.eventually(lambda: rcpt(server, 'bob@postbuch.test')[0] == 250, 'bob is known')


def test_the_directory_may_die(server):
    server.kill('directory')
    lab.eventually(lambda: rcpt_or_none(server) == 250, 'another one answers')


def rcpt_or_none(server):
    try:
        return rcpt(server, 'bob@postbuch.test')[0]
    except (smtplib.SMTPException, OSError):
        return None
