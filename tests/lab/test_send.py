"""`postbuch send` as programs on the machine use it: against a server, and while there is none."""
import os
import shutil
import stat
import subprocess

import pytest

import lab
from conftest import needs_root


def queue_id(done):
    """The id in "250 2.0.0 … queued as ID", which -v shows."""
    return done.stdout.decode().split()[-1]


def test_message_is_delivered_and_traced(server):
    done = server.command('send', '-v', '-f', 'alice@postbuch.test', 'bob@postbuch.test',
                          stdin=b'Subject: hello\n\nworld\n.\nnot this\n')
    server.wait_for(1)
    body, = server.bodies()
    assert body.startswith(b'Subject: hello\n')
    assert body.endswith(b'\n\nworld\n')
    for field in (b'\nFrom: ', b'\nDate: ', b'\nMessage-ID: <'):
        assert body.count(field) == 1
    trace = server.json('trace', queue_id(done))
    assert trace['sender'] == 'alice@postbuch.test'
    # The mailbox has it a moment before the queue has booked that.
    lab.eventually(lambda: [r['state'] for r in server.json('trace', queue_id(done))['recipients']]
                   == ['delivered'], 'the delivery is booked')


def test_recipients_from_the_header_and_no_bcc(server):
    server.command('send', '-t', '-i', stdin=b'From: alice@postbuch.test\nTo: Alice <alice>\n'
                                             b'Bcc: bob@postbuch.test\nSubject: s\n\n.\nlast\n')
    server.wait_for(1, 'alice')
    server.wait_for(1, 'bob')
    for user in ('alice', 'bob'):
        body, = server.bodies(user)
        assert b'bob@' not in body and body.endswith(b'\n\n.\nlast\n')


def test_eight_bit_and_utf8(server):
    text = 'Subject: Grüße\n\nStraße\n'.encode()
    server.command('send', 'bob@postbuch.test', stdin=text)
    server.wait_for(1)
    assert server.bodies()[0].endswith('\n\nStraße\n'.encode())


def test_refused_recipient_refuses_all(server):
    done = server.command('send', 'bob@postbuch.test', 'nobody-here@postbuch.test',
                          stdin=b'Subject: s\n\nb\n', check=False)
    assert done.returncode == 1
    assert b'nobody-here@postbuch.test: 550 5.1.1' in done.stderr
    refusal, = lab.eventually(lambda: server.trace('nobody-here@postbuch.test'), 'it is booked')
    assert refusal['from']['auth'] == f'uid {os.geteuid()}'
    server.command('send', 'bob@postbuch.test', stdin=b'Subject: second\n\nb\n')
    server.wait_for(1)
    assert b'Subject: second' in server.bodies()[0]


@pytest.mark.parametrize('arguments', [['two words'], ['a@b@c'], [], ['<>']])
def test_wrong_recipients(server, arguments):
    done = server.command('send', '--', *arguments, stdin=b'Subject: s\n\nb\n', check=False)
    assert done.returncode == 2 and done.stderr


def test_smtp_on_standard_input(server):
    done = server.command('send', '-bs', stdin=b'EHLO x\r\nMAIL FROM:<alice@postbuch.test>\r\n'
                                               b'RCPT TO:<bob@postbuch.test>\r\nDATA\r\n'
                                               b'Subject: s\r\n\r\nb\r\n.\r\nQUIT\r\n')
    assert done.stdout.startswith(b'220 ')
    assert b'\r\n354 ' in done.stdout and done.stdout.splitlines()[-1].startswith(b'221 ')
    server.wait_for(1)


def test_other_names_of_the_program(server):
    """Linked as sendmail, mailq and newaliases it does their work."""
    environment = {**os.environ, 'POSTBUCH_CONFIG': str(server.folder / 'postbuch.yaml')}
    for name, stdin in (('sendmail', b'Subject: s\n\nb\n'), ('mailq', b''), ('newaliases', b'')):
        (server.folder / name).symlink_to(lab.PROGRAM)
        arguments = {'sendmail': ['-oi', 'bob@postbuch.test'], 'mailq': ['-v', '-Ac']}.get(name, [])
        subprocess.run([server.folder / name, *arguments], input=stdin, env=environment, check=True)
    server.wait_for(1)


def test_sendmail_lists_its_own_server(server):
    assert server.command('send', '-bp').stdout == b'Nothing waits.\n'
    server.command('send', '-bi')


def test_smtp_of_a_script(server):
    """Lines end as the first one does: in a stream of CRLF a bare LF stays what it is."""
    talk = ['EHLO x', 'MAIL FROM:<alice@postbuch.test>', 'RCPT TO:<bob@postbuch.test>', 'DATA',
            'Subject: s', '', 'b', '.', 'QUIT', '']
    done = server.command('send', '-bs', stdin='\n'.join(talk).encode())
    assert done.stdout.splitlines()[-1].startswith(b'221 ')
    server.wait_for(1)
    done = server.command('send', '-bs', stdin='\r\n'.join(talk).replace('b\r\n', 'b\nc\r\n').encode())
    assert b'\r\n55' in done.stdout, done
    assert len(server.messages()) == 1


def test_what_cant_be_told_was_sent_all_the_same(server):
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([lab.PROGRAM, 'send', '--config', server.folder / 'postbuch.yaml', '-v',
                               'bob@postbuch.test'], input=b'Subject: s\n\nb\n', stdout=full)
    assert done.returncode == 0
    server.wait_for(1)


def test_more_recipients_than_strangers_may_name():
    users = [f'user{n}' for n in range(101)]
    with lab.Server(users=users, limits='limits: { recipients: 100 }') as server:
        with server.smtp() as client:
            client.ehlo()
            client.mail('x@y.example')
            replies = [client.rcpt(f'{user}@postbuch.test')[0] for user in users]
            assert replies == [250] * 100 + [452]
        server.command('send', *(f'{user}@postbuch.test' for user in users),
                       stdin=b'Subject: s\n\nb\n')
        for user in users:
            server.wait_for(1, user)
        header = b'To: ' + b','.join(b'r%d@postbuch.test' % n for n in range(10001)) + b'\n\nb\n'
        done = server.command('send', '-t', stdin=header, check=False)
        assert done.returncode == 2 and b'more than 10000 recipients' in done.stderr


# ---- a configuration with errors ----

CLIENTS = (['send', 'bob@postbuch.test'], ['queue'], ['send', '-bp'], ['status'], ['audit'],
           ['route', 'bob@postbuch.test'], ['trace', '--since', '1h'])


def test_errors_elsewhere_keep_nobody_from_the_server(server):
    """It goes on with what it read before; so does who asks it."""
    server.write_config('nonsense: true\ntls: { certificate: "x }')
    for command in CLIENTS:
        done = server.command(*command, stdin=b'Subject: s\n\nb\n', check=False)
        assert b'postbuch.yaml has errors' in done.stderr, done
        # The message may not be booked yet.
        assert done.returncode == 0 or command[0] == 'trace', (command, done)
    server.wait_for(1)
    for act in (['queue', 'remove', '--from', 'a@x.example', '--yes'],
                ['audit', '--acknowledge', 'all', '--yes', '--reason', 'x']):
        done = server.command(*act, check=False)
        assert done.returncode == 75 and b'close the quote' in done.stderr, (act, done)
    done = server.command('reload', check=False)
    assert done.returncode == 1 and b'close the quote' in done.stderr
    server.stop()
    server.command('send', 'bob@postbuch.test', stdin=b'Subject: s\n\nb\n')
    assert len(dropped(server)) == 1


def test_nobody_guesses_where_the_server_is(server):
    path = server.folder / 'postbuch.yaml'
    path.write_text(path.read_text().replace('control: ', 'control: ['))
    for command in (*CLIENTS, ['reload'], ['user', 'list']):
        done = server.command(*command, stdin=b'Subject: s\n\nb\n', check=False)
        assert done.returncode == 75 and done.stderr, done
    assert not server.messages() and not dropped(server)


# ---- the drop folder ----

def dropped(server, prefix='mail.'):
    return [name for name in os.listdir(server.folder / 'drop') if name.startswith(prefix)]


def test_dropped_while_down_and_collected_at_start(server):
    server.stop()
    for number in range(3):
        server.command('send', '-f', 'alice@postbuch.test', 'bob@postbuch.test',
                       stdin=f'Subject: kept {number}\n\nb\n'.encode())
    assert len(dropped(server)) == 3
    assert not server.messages()
    server.start()
    server.wait_for(3)
    lab.eventually(lambda: not dropped(server), 'the drop folder is empty')
    subjects = sorted(body.split(b'Subject: ')[1].split(b'\n')[0] for body in server.bodies())
    assert subjects == [b'kept 0', b'kept 1', b'kept 2']
    # The hand-over leaves its trace, with the user id of who wrote the file.
    assert f'(drop folder, user id {os.geteuid()})'.encode() in server.messages()[0].read_bytes()
    message, *_ = lab.eventually(lambda: server.trace('alice@postbuch.test'), 'it is booked')
    assert message['from']['helo'] == f'uid-{os.geteuid()}.drop-folder'


@needs_root
def test_collected_by_a_user_who_gets_at_nothing_else(server):
    """The server's own user can read neither the configuration nor the folder of the program."""
    private = server.folder / 'private'
    private.mkdir(mode=0o700)
    shutil.copy(lab.PROGRAM, private / 'postbuch')
    server.stop()
    (server.folder / 'postbuch.yaml').chmod(0o600)
    server.command('send', 'bob@postbuch.test', stdin=b'Subject: s\n\nb\n')
    server.libexec = lab.libexec(server.folder / 'libexec', {})
    server.environment['POSTBUCH_PROGRAM'] = str(private / 'postbuch')
    server.start()
    server.wait_for(1)
    lab.eventually(lambda: not dropped(server), 'the drop folder is empty')


def test_damaged_and_refused_ones_stop_only_themselves(server):
    server.stop()
    folder = server.folder / 'drop'
    (folder / 'mail.bad').write_bytes(b'no such thing\n')
    os.symlink('/etc/passwd', folder / 'mail.link')
    os.mkfifo(folder / 'mail.pipe')
    (folder / 'mail.original').write_bytes(b'postbuch drop 1\nsender \nrecipient bob@postbuch.test\n\n')
    os.link(folder / 'mail.original', folder / 'second-name')
    server.command('send', 'bob@postbuch.test', 'nobody-here@postbuch.test', stdin=b'Subject: s\n\nb\n')
    server.start()
    server.wait_for(1)
    lab.eventually(lambda: not dropped(server), 'the drop folder is empty')
    aside = dropped(server, 'aside.')
    assert sorted(a for a in aside if len(a) < 20) == ['aside.bad', 'aside.link', 'aside.original',
                                                       'aside.pipe']
    left, = [a for a in aside if len(a) > 20]
    text = (folder / left).read_bytes()
    assert b'recipient nobody-here@postbuch.test\n' in text and b'recipient bob@' not in text
    assert f'set aside as {left}: nobody-here@postbuch.test: 550 5.1.1' in server.log()
    assert b'set aside there as aside.' in server.command('trace', 'nobody-here@postbuch.test').stdout
    assert len(server.messages()) == 1


def test_a_deferred_recipient_holds_up_nobody():
    with lab.Server(aliases='stale: nobody-here\n') as server:
        server.stop()
        server.command('send', 'bob@postbuch.test', 'stale@postbuch.test', stdin=b'Subject: s\n\nb\n')
        server.start()
        server.wait_for(1)
        put_off, = lab.eventually(lambda: dropped(server, 'mail.since-'), 'the rest is put off')
        text = (server.folder / 'drop' / put_off).read_bytes()
        assert b'recipient stale@postbuch.test\n' in text and b'recipient bob@' not in text
        assert f'drop folder waits as {put_off}' in server.log()
        assert b'left in the drop folder, waits there' in server.command('trace', 'stale').stdout
        done = server.command('status', check=False)
        assert b'1 message to be collected; 1 put off' in done.stdout and done.returncode == 1, done
        (server.folder / 'aliases').write_text('stale: alice\n')
        server.command('reload')
        # What a program left there because its dialogue broke off waits neither for the next start,
        # nor for somebody who mends the configuration.
        server.write_config('nonsense: true')
        late = server.folder / 'drop' / 'tmp.late'
        late.write_bytes(
            b'postbuch drop 1\nsender \nrecipient bob@postbuch.test\n\nSubject: late\r\n\r\nb\r\n')
        late.chmod(0o640)
        late.rename(late.with_name('mail.late'))
        server.wait_for(1, 'alice')
        lab.eventually(lambda: not dropped(server), 'the drop folder is empty')
        server.wait_for(2)  # which is delivered after its 250
        assert len(server.messages('bob')) == 2 and len(server.messages('alice')) == 1
        trace, = [line for line in server.messages('alice')[0].read_bytes().splitlines()
                  if b'(drop folder' in line]
        assert f'user id {os.geteuid()})'.encode() in trace
        server.command('status')


def test_what_a_running_server_defers_is_kept():
    with lab.Server(aliases='stale: nobody-here\n') as server:
        mail = b'Subject: s\n\nb\n'
        done = server.command('send', '-v', 'stale@postbuch.test', 'bob@postbuch.test', stdin=mail)
        assert b'451 ' in done.stdout and b'is kept until the server takes it' in done.stdout
        assert len(dropped(server)) == 1
        done = server.command('send', 'stale@postbuch.test', 'nobody-here@postbuch.test', stdin=mail,
                              check=False)
        assert done.returncode == 1 and b'550 5.1.1' in done.stderr
        assert len(dropped(server)) == 1


def test_the_disks_reserve_is_kept_free():
    with lab.Server(limits='limits: { disk_reserve: 1023G }') as server:
        done = server.command('send', 'bob@postbuch.test', stdin=b'Subject: s\n\nb\n', check=False)
        assert done.returncode == 75 and b'no room' in done.stderr, done
        assert b'the reserve is 1047552M (limits: disk_reserve)' in done.stderr, done
        assert not dropped(server)
        server.stop()
        server.command('send', 'bob@postbuch.test', stdin=b'Subject: s\n\nb\n')
        assert len(dropped(server)) == 1


def test_no_place_at_all_is_told(server):
    server.stop()
    (server.folder / 'drop').rmdir()
    done = server.command('send', 'bob@postbuch.test', stdin=b'Subject: s\n\nb\n', check=False)
    assert done.returncode == 75 and b"can't keep the message" in done.stderr


def test_what_is_too_large_is_so_for_good(server):
    done = server.command('send', 'bob@postbuch.test', stdin=bytes(256 << 20) + b'\n', check=False)
    assert done.returncode == 1 and b'256 MiB' in done.stderr, done


@needs_root
def test_any_user_may_drop_and_none_may_read(server):
    server.stop()
    mode = stat.S_IMODE((server.folder / 'drop').stat().st_mode)
    assert mode == 0o3733
    subprocess.run([lab.PROGRAM, 'send', '--config', server.folder / 'postbuch.yaml',
                    'bob@postbuch.test'], input=b'Subject: from a user\n\nb\n', user='www-data',
                   group='www-data', extra_groups=[], check=True)
    name, = dropped(server)
    for tool in (['ls', server.folder / 'drop'], ['cat', server.folder / 'drop' / name]):
        done = subprocess.run(tool, user='nobody', group='nogroup', extra_groups=[],
                              capture_output=True, check=False)
        assert done.returncode != 0 and b'denied' in done.stderr
    server.start()
    server.wait_for(1)
