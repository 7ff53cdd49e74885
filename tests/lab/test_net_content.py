"""What arrives is what was sent, or what the standard makes of it for a station that can't take it."""
import email
import email.policy

import lab
from net import zones
from net.internet import RETRY, needs_internet, net, server, settled

pytestmark = needs_internet

EIGHT_BIT = ('Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n'
             'Content-Transfer-Encoding: 8bit\r\n\r\ngrüße\r\n').encode()
BARE = {'ehlo': b'250 bare.example\r\n'}


def test_a_large_message_arrives_whole(net, server):
    body = b''.join(b'.%07d ' % i + b'x' * 60 + b'\r\n' for i in range(50000))
    server.send('bob@two.example', b'Subject: large\r\n\r\n' + body)
    settled(server, 'bob@two.example', 'relayed')
    data = net.postfix.message(b'Subject: large')
    assert lab.digest(data.partition(b'\n\n')[2]) == lab.digest(body.replace(b'\r\n', b'\n'))


def test_many_messages_share_connections(net, server):
    before = net.postfix.log().count('connect from')
    with server.smtp() as client:
        for _ in range(40):
            client.sendmail('alice@postbuch.test', 'bob@direct.example', b'Subject: x\r\n\r\nx\r\n')
    lab.eventually(lambda: server.json('queue') == [], 'all are there')
    lab.eventually(lambda: net.postfix.log().count('to=<bob@direct.example>') == 40,
                   'Postfix has delivered all of them')
    assert net.postfix.log().count('connect from') - before < 40


def test_eight_bits_for_a_station_of_seven(net, server):
    station, domain = net.station(BARE)
    server.send(f'bob@{domain}', EIGHT_BIT, mail_options=['BODY=8BITMIME'])
    settled(server, f'bob@{domain}', 'relayed')
    assert station.messages[0].isascii()
    message = email.message_from_bytes(station.messages[0], policy=email.policy.default)
    assert message.get_content().splitlines() == ['grüße']
    assert message['Content-Transfer-Encoding'] in ('quoted-printable', 'base64')


def test_what_a_station_cannot_take_is_returned(net, server):
    """An address in UTF-8 (RFC 6531 3.5), and more bytes than it says it takes (RFC 1870 6.1)."""
    plain, domain = net.station(BARE)
    small, small_domain = net.station({'ehlo': b'250-small.example\r\n250 SIZE 1000\r\n'})
    server.send([f'jürgen@{domain}'], EIGHT_BIT, mail_options=['SMTPUTF8', 'BODY=8BITMIME'])
    server.send([f'bob@{small_domain}'], b'Subject: x\r\n\r\n' + b'x' * 70 + b'\r\n' * 2000)
    for address, status in ((f'jürgen@{domain}', '5.6.7'), (f'bob@{small_domain}', '5.3.4')):
        found = settled(server, address, 'returned')
        assert found['events'][-1]['status'] == status, found
    told = b''.join(path.read_bytes() for path in server.wait_for(2, 'alice'))
    assert b'message/global-delivery-status' in told and b'Status: 5.3.4' in told
    assert plain.messages == small.messages == []


def test_a_circle_of_two_servers_ends(net):
    """Each of them has a route to the other. Whoever counts the hops ends it: with one report."""
    relay = f'relays: {{loop.example: {{to: ["smtp:{zones.POSTFIX}:25"]}}}}\n'
    with net.server(RETRY + relay) as server:
        server.send('bob@loop.example', b'Subject: in circles\r\n\r\nx\r\n')
        report = server.wait_for(1, 'alice')[0].read_bytes()
        assert b'bob@loop.example' in report and b'Status: 5.4.' in report
        lab.eventually(lambda: server.json('queue') == [], 'nothing goes round any more')
        assert len(server.messages('alice')) == 1
        assert server.command('audit').returncode == 0
