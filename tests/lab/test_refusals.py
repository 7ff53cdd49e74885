"""What a stranger must not get: a relay, a smuggled message, anything left behind."""
import os
import select
import socket
import struct
import time

import lab
import pytest

FOREIGN = [
    '<eve@foreign.example>',
    '<eve@FOREIGN.Example>',
    '<eve@foreign.example.>',
    '<eve@sub.postbuch.test>',
    '<eve@xpostbuch.test>',
    '<eve@postbuch.test.foreign.example>',
    '<@postbuch.test:eve@foreign.example>',
    '<@foreign.example,@postbuch.test:eve@foreign.example>',
    '<eve%foreign.example@postbuch.test>',
    '<foreign.example!eve@postbuch.test>',
    '<"eve@foreign.example"@postbuch.test>',
    '<"eve%foreign.example"@postbuch.test>',
    '<eve@foreign.example@postbuch.test>',
    '<eve@postbuch.test@foreign.example>',
    '<eve%foreign.example>',
    '<foreign.example!eve>',
    '<"eve@foreign.example">',
    '<eve@foreign.example,bob@postbuch.test>',
    '<eve@foreign.example%postbuch.test>',
    '<eve@[192.0.2.1]>',
    '<eve@[IPv6:2001:db8::1]>',
    '<eve@xn--bcher-kva.example>',
    '<${run{/bin/touch /tmp/pwned}}@foreign.example>',
    '<|touch /tmp/pwned>',
    '<`id`@foreign.example>',
    '<;id;@foreign.example>',
    '<eve@>',
    '<@>',
    'eve@foreign.example',
]


@pytest.mark.parametrize('sender', ['<eve@foreign.example>', '<bob@postbuch.test>', '<>'])
def test_no_open_relay(sender):
    limits = 'limits: { errors: 10000, client_refusals: 0 }'
    with lab.Server(limits=limits) as server:
        s, stream = server.socket()
        lab.talk(stream, b'EHLO client.test')
        for recipient in FOREIGN:
            assert lab.talk(stream, b'MAIL FROM:' + sender.encode()).startswith(b'250')
            reply = lab.talk(stream, b'RCPT TO:' + recipient.encode())
            assert reply[:1] == b'5', (recipient, reply)
            assert lab.talk(stream, b'DATA')[:1] == b'5', recipient
            lab.talk(stream, b'RSET')
        lab.talk(stream, b'QUIT')
        s.close()
        assert not (server.folder / 'mail').exists() or \
            list((server.folder / 'mail').iterdir()) == []


# RFC 5321 2.3.8 and 4.1.1.4: only CRLF.CRLF ends a message.
FALSE_ENDINGS = [b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r.\r\n', b'\r\n.\r', b'\n.\r',
                 b'\r.\n', b'\r\n\0.\r\n', b'\r\n.\0\r\n', b'\r\r\n.\r\r\n', b'\n\r.\n\r']


@pytest.mark.parametrize('ending', FALSE_ENDINGS, ids=repr)
def test_false_endings(server, ending):
    s, stream = server.socket()
    lab.talk(stream, b'EHLO client.test', b'MAIL FROM:<eve@foreign.example>',
             b'RCPT TO:<bob@postbuch.test>', b'DATA')
    smuggled = (b'MAIL FROM:<chief@postbuch.test>\r\nRCPT TO:<alice@postbuch.test>\r\nDATA\r\n'
                b'Subject: smuggled\r\n')
    stream.write(b'Subject: outer\r\n\r\nbody' + ending + smuggled)
    assert select.select([s], [], [], 0.3)[0] == []  # it is all one message that has not ended
    assert lab.talk(stream, b'.')[:1] == b'5'
    assert lab.talk(stream, b'NOOP').startswith(b'250')
    s.close()
    time.sleep(0.2)
    assert server.messages('alice') == [] and server.messages('bob') == []


TALK = [b'EHLO client.test\r\n', b'MAIL FROM:<alice@postbuch.test>\r\n',
        b'RCPT TO:<bob@postbuch.test>\r\n']
HALF = b'Subject: half\r\n\r\n' + b'line\r\n' * 100

# After how much a client goes away.
DROPS = {
    'at once': [],
    'in a command': [b'EHL'],
    'after EHLO': TALK[:1],
    'after MAIL': TALK[:2],
    'after RCPT': TALK,
    'after DATA': TALK + [b'DATA\r\n'],
    'in the header': TALK + [b'DATA\r\n', b'Subject: ha'],
    'in the body': TALK + [b'DATA\r\n', HALF],
    'before the dot': TALK + [b'DATA\r\n', HALF + b'\r\n'],
    'in the dot': TALK + [b'DATA\r\n', HALF + b'.\r'],
    'in an upload': TALK + [b'DATA\r\n', HALF * 4000],
    'in a chunk': TALK + [b'BDAT 1000\r\n', HALF[:500]],
    'between chunks': TALK + [b'BDAT %d\r\n' % len(HALF), HALF],
    'in a large chunk': TALK + [b'BDAT 9000000 LAST\r\n', HALF * 4000],
}


def open_files(server, name):
    return sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in server.pids(name))


def spool_figures(server):
    queue, = [p for p in server.status()['processes'] if p['name'] == 'queue']
    return queue['figures']['spool']


@pytest.mark.parametrize('reset', [False, True], ids=['closes', 'resets'])
def test_a_client_that_drops_leaves_nothing(reset):
    with lab.Server() as server:
        server.send('alice@postbuch.test', b'Subject: first\r\n\r\n')
        server.wait_for(1, 'alice')
        before = lab.IS_ROOT and open_files(server, 'smtpd')
        for name, writes in DROPS.items():
            s, stream = server.socket()
            for data in writes:
                s.sendall(data)
                if data in TALK or data == b'DATA\r\n':
                    lab.reply(stream)
            if reset:  # RST instead of FIN
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            stream.close()
            s.close()
        # Whatever is still under way comes to its end before this one.
        server.send('alice@postbuch.test', b'Subject: last\r\n\r\n')
        server.wait_for(2, 'alice')
        assert server.messages('bob') == []
        assert not server.mailbox('bob').exists()
        assert b'bob@' not in server.command('queue', '--json').stdout
        lab.eventually(lambda: spool_figures(server)['messages'] == 0, 'the spool is empty')
        assert spool_figures(server)['set_aside'] == 0
        if lab.IS_ROOT:
            lab.eventually(lambda: open_files(server, 'smtpd') <= before, 'sessions are closed')


def test_a_lost_reply_means_delivered_or_not_but_whole(server):
    """The client goes between the dot and the 250: the message is there as a whole or not at all."""
    whole = b'Subject: whole\r\n\r\n' + b'line\r\n' * 1000
    for _ in range(20):
        s, stream = server.socket()
        for data in TALK + [b'DATA\r\n']:
            s.sendall(data)
            lab.reply(stream)
        s.sendall(whole + b'.\r\n')
        s.close()
    server.send('alice@postbuch.test', b'Subject: last\r\n\r\n')
    server.wait_for(1, 'alice')
    time.sleep(0.5)
    for body in server.bodies():
        assert body == whole.replace(b'\r\n', b'\n')


def test_unknown_users_are_refused(server):
    s, stream = server.socket()
    lab.talk(stream, b'EHLO client.test', b'MAIL FROM:<eve@foreign.example>')
    reply = lab.talk(stream, b'RCPT TO:<nobody@postbuch.test>')
    assert reply.startswith(b'550 5.1.1 ') and b'reference' in reply
    reply = lab.talk(stream, b'RCPT TO:<eve@foreign.example>')
    assert reply.startswith(b'550 5.7.1 ') and b'reference' in reply
    s.close()
