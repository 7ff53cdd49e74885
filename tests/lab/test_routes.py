"""Who may send where: relay domains for anyone, all domains for whom we trust, nothing else."""

import lab
import pytest
from test_refusals import FOREIGN

RELAYS = '''relays:
  inside.example: { to: ["smtp:127.0.0.1:9"] }
routes:
  "*": { to: ["smtp:127.0.0.1:9"] }
'''


def rcpt(server, address):
    with server.smtp() as client:
        client.ehlo()
        client.mail('eve@far.example')
        code, text = client.rcpt(address)
        return code, text.decode()


def waiting(server):
    return [row['destination'] for row in server.json('queue')]


@pytest.mark.parametrize('address, code, status', [
    ('x@inside.example', 250, '2.1.5'),
    ('x@INSIDE.example', 250, '2.1.5'),
    ('x@sub.inside.example', 550, '5.7.1'),
    ('x@foreign.example', 550, '5.7.1'),
    ('x%foreign.example@inside.example', 550, '5.7.1'),
    ('foreign.example!x@inside.example', 550, '5.7.1'),
    ('"x@foreign.example"@inside.example', 550, '5.7.1'),
])
def test_strangers_reach_relay_domains_only(address, code, status):
    with lab.Server(extra=RELAYS) as server:
        got, text = rcpt(server, f'<{address}>')
        assert (got, status in text) == (code, True), text


def test_relays_make_no_open_relay():
    with lab.Server(extra=RELAYS, limits='limits: { errors: 10000, client_refusals: 0 }') as server:
        s, stream = server.socket()
        lab.talk(stream, b'EHLO client.test')
        for recipient in FOREIGN:
            lab.talk(stream, b'MAIL FROM:<eve@far.example>')
            reply = lab.talk(stream, b'RCPT TO:' + recipient.encode())
            assert reply[:1] == b'5', (recipient, reply)
            lab.talk(stream, b'RSET')
        s.close()


def test_trusted_clients_and_programs_send_anywhere():
    with lab.Server(extra=RELAYS + 'trusted: [127.0.0.0/8]\n') as server:
        assert rcpt(server, 'x@[192.0.2.1]')[0] == 550
        server.send('x@foreign.example', b'Subject: s\r\n\r\nx\r\n')
        lab.eventually(lambda: waiting(server) == ['foreign.example'], 'it waits: nobody listens there')
        server.command('send', '-f', 'alice@postbuch.test', 'x@other.example', stdin=b'\nhello\n')
        lab.eventually(lambda: sorted(waiting(server)) == ['foreign.example', 'other.example'],
                       'it waits, too')


def test_an_alias_leads_to_another_server():
    with lab.Server(extra=RELAYS, aliases='far: bob, x@foreign.example\n') as server:
        server.send('far@postbuch.test', b'Subject: s\r\n\r\nx\r\n')
        server.wait_for(1, 'bob')
        lab.eventually(lambda: waiting(server) == ['foreign.example'], 'the other one waits')


def test_a_changed_route_is_good_for_what_waits():
    with lab.Server(extra=RELAYS) as server:
        server.send('x@inside.example', b'Subject: s\r\n\r\nx\r\n', sender='eve@far.example')
        lab.eventually(lambda: waiting(server) == ['inside.example'], 'it waits')
        (server.folder / 'users').open('a').write('x@inside.example:*\n')
        text = (server.folder / 'postbuch.yaml').read_text()
        ours = '''domains:
  inside.example:
    deliver: maildir:{0}/mail/%d/%u
    users: file:{0}/users
'''.format(server.folder)
        text = text.replace('domains:\n', ours).replace(RELAYS, '')
        (server.folder / 'postbuch.yaml').write_text(text)
        server.command('reload')
        lab.eventually(lambda: (server.folder / 'mail/inside.example/x/new').is_dir() and
                       any((server.folder / 'mail/inside.example/x/new').iterdir()),
                       'it is delivered here now')
