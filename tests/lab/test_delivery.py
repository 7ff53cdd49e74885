"""What a client sent and what lies in the mailbox: the same bytes, whatever they are."""
import smtplib

import lab
import pytest

HEAD = b'From: alice@postbuch.test\r\nTo: bob@postbuch.test\r\nSubject: x\r\nMessage-ID: <%d@lab>\r\n\r\n'

# Bodies that something on the way could take for something else, or mend.
BODIES = {
    'plain': b'hello\r\n',
    'empty': b'',
    'dots': b'.\r\n..\r\n.leading\r\nend.\r\n...\r\n',
    'blanks': b'trailing \t \r\n\r\n\r\n \r\n',
    'eight_bit': bytes(range(1, 10)) + bytes(range(11, 13)) + bytes(range(14, 256)) + b'\r\n',
    'from_line': b'From the beginning\r\n>From quoted\r\n',
    'long_line': b'x' * 998 + b'\r\n' + b'y' * 20000 + b'\r\n',
    'looks_like_a_record': b'\x50\x42\x53\x47' * 4000 + b'\r\n',
    'just_inline': b'z' * 62 + b'\r\n' + b'i' * 60000 + b'\r\n',
    'just_not_inline': b'n' * 66000 + b'\r\n',
}


def as_stored(sent):
    """A Maildir has Unix line ends; nothing else changes."""
    return sent.replace(b'\r\n', b'\n')


@pytest.mark.parametrize('name', BODIES)
def test_bytes_are_kept(server, name):
    sent = HEAD % 1 + BODIES[name]
    server.send('bob@postbuch.test', sent, mail_options=['BODY=8BITMIME'])
    server.wait_for(1)
    assert server.bodies() == [as_stored(sent)]


def bdat(client, *chunks):
    """One message in BDAT chunks (RFC 3030); smtplib knows no CHUNKING."""
    for i, chunk in enumerate(chunks):
        last = b' LAST' if i == len(chunks) - 1 else b''
        client.sock.sendall(b'BDAT %d%s\r\n' % (len(chunk), last) + chunk)
        code, text = client.getreply()
        assert code == 250, text


@pytest.mark.parametrize('body', [b'no line end', b'.\r\n', b'one\r\n.\r\ntwo\r\n', b''])
def test_chunking(server, body):
    sent = HEAD % 1 + body
    with server.smtp() as client:
        client.ehlo()
        assert client.has_extn('chunking')
        for chunks in ([sent], [sent[:7], sent[7:]], [sent, b''],
                       [sent[i:i + 1] for i in range(len(sent))]):
            client.mail('alice@postbuch.test', ['BODY=8BITMIME'])
            client.rcpt('bob@postbuch.test')
            bdat(client, *chunks)
    server.wait_for(4)
    assert server.bodies() == [as_stored(sent)] * 4


def test_smtputf8():
    with lab.Server(users=('bob', 'jürgen')) as server:
        sent = HEAD % 1 + 'Grüße\r\n'.encode()
        server.send('jürgen@postbuch.test', sent, sender='müller@postbuch.test',
                    mail_options=['SMTPUTF8', 'BODY=8BITMIME'])
        server.wait_for(1, 'jürgen')
        assert server.bodies('jürgen') == [as_stored(sent)]
        head = server.messages('jürgen')[0].read_bytes().split(b'\n')[:2]
        assert head == ['Return-Path: <müller@postbuch.test>'.encode(),
                        'Delivered-To: jürgen@postbuch.test'.encode()]


def test_eight_bit_addresses_need_smtputf8(server):
    with pytest.raises(smtplib.SMTPResponseException) as e, server.smtp() as client:
        client.ehlo()
        client.putcmd('MAIL', 'FROM:<')
        client.getreply()
        client.sock.sendall('MAIL FROM:<müller@postbuch.test>\r\n'.encode())
        code, text = client.getreply()
        raise smtplib.SMTPResponseException(code, text)
    assert 500 <= e.value.smtp_code < 600


def test_fifty_megabytes():
    limits = 'limits: { message_size: 60M, client_rate: 0, client_connections: 0 }'
    with lab.Server(limits=limits) as server:
        line = b'0123456789abcdef' * 4 + b'\r\n'
        sent = HEAD % 1 + line * (50 * 1024 * 1024 // len(line))
        server.send('bob@postbuch.test', sent)
        server.wait_for(1)
        assert lab.digest(server.bodies()[0]) == lab.digest(as_stored(sent))


def test_too_large_is_refused(server):
    with server.smtp() as client:
        client.ehlo()
        assert client.mail('a@postbuch.test', ['SIZE=99999999999'])[0] == 552
        # RFC 1870 6.3: also without the announcement.
    with lab.Server(limits='limits: { message_size: 100K }') as small:
        with pytest.raises(smtplib.SMTPDataError) as e:
            with small.smtp() as client:
                client.ehlo()
                client.mail('a@postbuch.test')
                client.rcpt('bob@postbuch.test')
                code, text = client.data(b'x' * 200000)
                raise smtplib.SMTPDataError(code, text)
        assert e.value.smtp_code == 552
        assert small.messages() == []


def test_thousand_recipients():
    users = [f'u{i}' for i in range(1000)]
    with lab.Server(users=users) as server:
        sent = HEAD % 1 + b'to all\r\n'
        refused = server.send([f'{u}@postbuch.test' for u in users], sent)
        assert refused == {}
        for user in users:
            server.wait_for(1, user)
            assert server.bodies(user) == [as_stored(sent)]
            assert f'\nDelivered-To: {user}@postbuch.test\n'.encode() in \
                server.messages(user)[0].read_bytes()


def test_null_sender(server):
    server.send('bob@postbuch.test', HEAD % 1, sender='')
    server.wait_for(1)
    assert server.messages()[0].read_bytes().startswith(b'Return-Path: <>\n')


def test_several_messages_in_one_session(server):
    with server.smtp() as client:
        for i in range(50):
            client.sendmail('alice@postbuch.test', ['bob@postbuch.test', 'alice@postbuch.test'],
                            HEAD % i)
    for user in ('bob', 'alice'):
        server.wait_for(50, user)
        assert sorted(server.bodies(user)) == sorted(as_stored(HEAD % i) for i in range(50))


def test_aliases_lead_to_mailboxes():
    with lab.Server(aliases='team: alice, bob\nchief: alice\n') as server:
        server.send('team@postbuch.test', HEAD % 1)
        server.send('chief@postbuch.test', HEAD % 2)
        server.wait_for(1, 'bob')
        server.wait_for(2, 'alice')


def test_file_names_and_modes(server):
    server.send('bob@postbuch.test', HEAD % 1)
    path = server.wait_for(1)[0]
    assert path.stat().st_mode & 0o7777 == 0o600
    assert server.mailbox().stat().st_mode & 0o7777 == 0o700
    assert f',S={path.stat().st_size},' in path.name
    assert sorted(p.name for p in server.mailbox().iterdir()) == ['cur', 'new', 'tmp']
    assert list((server.mailbox() / 'tmp').iterdir()) == []


LOOP = b'Delivered-To: bob@postbuch.test\r\n' + HEAD % 1


def test_loop_is_refused(server):
    """A message that says that it was in this mailbox before is refused while its client is there."""
    with pytest.raises(smtplib.SMTPDataError) as refused:
        server.send('bob@postbuch.test', LOOP)
    assert refused.value.smtp_code == 554 and b'5.4.6' in refused.value.smtp_error
    assert server.messages() == []


def test_loop_through_an_alias():
    """It isn't delivered again. Its sender is told if he is ours: another one's name may be forged."""
    with lab.Server(aliases='team: bob\n') as server:
        server.send('team@postbuch.test', LOOP, sender='victim@third.test')
        lab.eventually(lambda: '"discarded"' in server.command(
            'trace', 'victim@third.test', '--json', check=False).stdout.decode(), 'it is booked')
        assert server.json('queue') == []
        server.send('team@postbuch.test', LOOP)
        assert b'Status: 5.4.6' in server.wait_for(1, 'alice')[0].read_bytes()
        assert server.messages() == []
        assert server.command('audit').returncode == 0


def test_a_file_over_the_process_limit_ends_no_process(tmp_path):
    """RLIMIT_FSIZE: one message is too large, and that stops only it."""
    programs = lab.libexec(tmp_path / 'libexec', {})
    real = (programs / 'mailbox').readlink()
    (programs / 'mailbox').unlink()
    (programs / 'mailbox').write_text(f'#!/bin/sh\nulimit -f 100\nexec {real}\n')  # of 512 bytes
    (programs / 'mailbox').chmod(0o755)
    with lab.Server(libexec=programs) as server:
        mailbox, = server.pids('mailbox')
        server.send('bob@postbuch.test', HEAD % 1 + b'large\r\n' * 20000)
        lab.eventually(lambda: [r for r in server.json('queue') if 'File too large' in r['why']],
                       'the reason is told')
        server.send('bob@postbuch.test', HEAD % 2 + b'small\r\n')
        server.wait_for(1)
        assert server.pids('mailbox') == [mailbox]
