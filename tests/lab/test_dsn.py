"""What senders are told (RFC 3461, RFC 3464): each kind of report, read by a program that others wrote."""
import contextlib
import email
import email.policy
import json
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import lab
from net.hostile import GOOD, Station

TEXT = b'From: Alice <alice@postbuch.test>\r\nSubject: hello there\r\n\r\nthe text\r\n'
HERE = pathlib.Path(__file__).parent
DSN = GOOD['ehlo'].replace(b'250-PIPELINING', b'250-DSN')


class NoSuchDomain:
    """A name server that answers every question with NXDOMAIN."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def _answer(self):
        while True:
            packet, client = self.socket.recvfrom(4096)
            if packet == b'end':
                return
            end = 12
            while packet[end]:
                end += 1 + packet[end]
            self.socket.sendto(packet[:2] + struct.pack('>HHHHH', 0x8483 | (packet[2] & 1) << 8, 1, 0,
                                                        0, 0) + packet[12:end + 5], client)

    def stop(self):
        self.socket.sendto(b'end', self.socket.getsockname())
        self.thread.join()
        self.socket.close()


class World:
    """A server, and a station for each domain of `scripts`; "down" has none."""

    def __init__(self, scripts, extra='', aliases=''):
        self.stations, routes = {}, []
        self.dns = NoSuchDomain()
        for name, script in {**scripts, 'down': None}.items():
            port = lab.free_port()
            if script is not None:
                self.stations[name] = Station('127.0.0.1', script, port)
            routes.append(f'  {name}.example: {{ to: ["smtp:127.0.0.1:{port}"] }}\n')
        self.server = lab.Server('trusted: [127.0.0.0/8]\nroutes:\n' + ''.join(routes) +
                                 f'resolver: {{ servers: ["127.0.0.1@{self.dns.port}"] }}\n' + extra,
                                 aliases=aliases)

    def stop(self):
        for station in self.stations.values():
            station.stop()
        self.dns.stop()


@contextlib.contextmanager
def world(scripts=None, extra='', aliases=''):
    w = World(scripts or {}, extra, aliases)
    try:
        with w.server:
            yield w
    finally:
        w.stop()


def reports(server, user='alice'):
    """Recipient -> (report, fields of the message, fields of the recipient)."""
    found = {}
    for path in server.messages(user):
        report = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for part in report.walk():
            if part.get_content_type().endswith('delivery-status'):
                of_message, *rest = part.get_payload()
                for fields in rest:
                    found[fields['Final-Recipient'].split(';')[1]] = (report, of_message, fields)
    return found


def told_of(server, address, user='alice'):
    return lab.eventually(lambda: reports(server, user).get(address), f'a report about {address}')


def send(server, recipient, mail_options=(), rcpt_options=(), sender='alice@postbuch.test', text=TEXT):
    with server.smtp() as client:
        client.sendmail(sender, [recipient], text, mail_options, rcpt_options)


def text_of(report):
    return next(report.iter_parts()).get_content()


# Domain -> script, and what Sisimai calls it. Delayed mail is "expired" to it as well.
FAILURES = {
    'unknown': ({'rcpt': b'550 5.1.1 <x>: no such user here\r\n'}, 'userunknown'),
    'full': ({'rcpt': b'552 5.2.2 mailbox full\r\n'}, 'mailboxfull'),
    'policy': ({'dot': b'550 5.7.1 message refused by our policy\r\n'}, 'securityerror'),
    'sender': ({'mail': b'553 5.1.8 sender address rejected\r\n'}, 'rejected'),
    'small': ({'ehlo': GOOD['ehlo'].replace(b'SIZE 0', b'SIZE 10')}, 'mesgtoobig'),
    'loop': ({'dot': b'554 5.4.6 mail loop: too many hops\r\n'}, 'networkerror'),
}


def sisimai(server):
    """Recipient -> (reason, action), by each report in the mailbox on its own."""
    folder = server.folder / 'sisimai'
    folder.mkdir(exist_ok=True)
    for path in server.messages('alice'):
        shutil.copy(path, folder)
    done = subprocess.run(['perl', HERE / 'sisimai.pl', folder], capture_output=True, check=True)
    return {row['recipient']: (row['reason'], row['action']) for row in json.loads(done.stdout)}


@pytest.mark.skipif(subprocess.run(['perl', '-MSisimai', '-e1'], capture_output=True).returncode,
                    reason='needs libsisimai-perl')
def test_each_kind_is_understood_by_others():
    scripts = {name: script for name, (script, _) in FAILURES.items()} | {'good': {}}
    extra = 'retry: { first: 1s, max: 1s, delay_notice: 1s }\n'
    with world(scripts, extra, aliases='all: alice, bob\n') as w:
        for name in FAILURES:
            send(w.server, f'x@{name}.example')
        send(w.server, 'x@nowhere.example')
        send(w.server, 'x@down.example')
        for recipient in ('bob@postbuch.test', 'x@good.example', 'all@postbuch.test'):
            send(w.server, recipient, rcpt_options=['NOTIFY=SUCCESS'])
        wanted = {f'x@{name}.example': (reason, 'failed') for name, (_, reason) in FAILURES.items()}
        wanted |= {'x@nowhere.example': ('hostunknown', 'failed'),
                   'x@down.example': ('expired', 'delayed'),
                   'bob@postbuch.test': ('delivered', 'delivered'),
                   'x@good.example': ('delivered', 'relayed'),
                   'all@postbuch.test': ('delivered', 'expanded')}
        for address in wanted:
            told_of(w.server, address)
        assert sisimai(w.server) == wanted


def test_expiry_is_named_and_understood():
    with world(extra='retry: { first: 1s, max: 1s, give_up: 2s, delay_notice: 0 }\n') as w:
        send(w.server, 'x@down.example')
        report, _, fields = told_of(w.server, 'x@down.example')
        assert (fields['Action'], fields['Status']) == ('failed', '4.4.7')
        assert 'The time for attempts is up' in text_of(report)
        assert 'Connection refused' in fields['Diagnostic-Code']
        if not subprocess.run(['perl', '-MSisimai', '-e1'], capture_output=True).returncode:
            assert sisimai(w.server) == {'x@down.example': ('expired', 'failed')}


def test_a_delay_is_told_once_also_after_a_restart():
    with world(extra='retry: { first: 1s, max: 1s, delay_notice: 1s }\n') as w:
        send(w.server, 'x@down.example')
        report, _, fields = told_of(w.server, 'x@down.example')
        assert fields['Action'] == 'delayed' and fields['Will-Retry-Until']
        assert 'need not do anything' in text_of(report).replace('\n', ' ')
        lab.eventually(lambda: 'its sender was told that it is delayed' in
                       w.server.command('trace', 'x@down.example').stdout.decode(), 'it is booked')
        w.server.kill_all()
        w.server.start()
        send(w.server, 'never@down.example', rcpt_options=['NOTIFY=FAILURE'])
        send(w.server, 'y@down.example')
        told_of(w.server, 'y@down.example')
        assert set(reports(w.server)) == {'x@down.example', 'y@down.example'}
        assert len(w.server.messages('alice')) == 2
        assert w.server.command('audit').returncode == 0


def test_a_delay_blames_only_who_spoke():
    retry = 'retry: { first: 1s, max: 1s, delay_notice: 1s }\n'
    with world({'grey': {'rcpt': b'450 4.7.1 greylisted\r\n'}}, retry) as w:
        for name, words, status in (('grey', 'That often passes by itself', '4.7.1'),
                                    ('down', 'No attempt to deliver it has succeeded', '4.0.0')):
            send(w.server, f'x@{name}.example')
            report, _, fields = told_of(w.server, f'x@{name}.example')
            text = ' '.join(text_of(report).split())
            assert words in text and 'by its rules' not in text
            assert ('server' in text.split(f'x@{name}.example')[1].split('Your message')[0]) == (name == 'grey')
            assert (fields['Action'], fields['Status']) == ('delayed', status)


def test_names_come_back():
    with world({'bad': {'rcpt': b'550 5.1.1 no\r\n'}}) as w:
        send(w.server, 'x@bad.example', ['ENVID=QQ+2B1', 'RET=FULL'],
             ['ORCPT=rfc822;Bob+2Bx@old.test'])
        report, of_message, fields = told_of(w.server, 'x@bad.example')
        assert of_message['Original-Envelope-Id'] == 'QQ+1'
        assert fields['Original-Recipient'] == 'rfc822;Bob+x@old.test'
        whole = list(report.iter_parts())[2]
        assert whole.get_content_type() == 'message/rfc822'
        assert b'the text' in whole.as_bytes()
        send(w.server, 'y@bad.example', ['RET=HDRS'])
        report, *_ = told_of(w.server, 'y@bad.example')
        part = list(report.iter_parts())[2]
        assert part.get_content_type() == 'text/rfc822-headers' and 'the text' not in part.as_string()


def test_who_wants_no_word_gets_none():
    with world({'bad': {'rcpt': b'550 5.1.1 no\r\n'}, 'new': {'ehlo': DSN}}) as w:
        send(w.server, 'x@bad.example', rcpt_options=['NOTIFY=NEVER'])
        send(w.server, 'y@bad.example', rcpt_options=['NOTIFY=SUCCESS,DELAY'])
        send(w.server, 'x@new.example', rcpt_options=['NOTIFY=SUCCESS'])
        for address in ('x@bad.example', 'y@bad.example'):
            lab.eventually(lambda: 'asked not to be told' in
                           w.server.command('trace', address, check=False).stdout.decode(), 'booked')
        lab.eventually(lambda: w.stations['new'].messages, 'it was handed on')
        send(w.server, 'z@bad.example')
        told_of(w.server, 'z@bad.example')
        assert set(reports(w.server)) == {'z@bad.example'}, 'the next station sends its own receipt'
        assert w.server.command('audit').returncode == 0


def test_strangers_get_no_receipts_unless_configured():
    for extra, wanted in (('', 0), ('report: { receipts: all }\n', 1)):
        with world({'far': {}}, extra) as w:
            send(w.server, 'bob@postbuch.test', rcpt_options=['NOTIFY=SUCCESS'],
                 sender='eve@elsewhere.example')
            w.server.wait_for(1, 'bob')
            send(w.server, 'alice@postbuch.test', rcpt_options=['NOTIFY=SUCCESS'])
            told_of(w.server, 'alice@postbuch.test')
            found = lab.eventually(
                lambda: (rows := w.server.status()) and rows, 'the figures')
            text = json.dumps(found)
            assert f'"receipts_sent": {1 + wanted}' in text, text


def test_a_double_bounce_goes_to_the_postmaster_and_no_further():
    extra = 'postmaster: bob@postbuch.test\nreport: { double_bounce: postmaster }\n'
    with world({'bad': {'rcpt': b'550 5.1.1 no\r\n'}}, extra) as w:
        send(w.server, 'x@bad.example', sender='')
        report, _, fields = told_of(w.server, 'x@bad.example', 'bob')
        assert report['To'] == 'bob@postbuch.test' and fields['Status'] == '5.1.1'
    extra = extra.replace('bob@postbuch.test', 'pm@postbuch.test')
    with world({'bad': {'rcpt': b'550 5.1.1 no\r\n'}}, extra, 'pm: y@bad.example\n') as w:
        send(w.server, 'x@bad.example', sender='')
        lab.eventually(lambda: 'double bounce: it is a report itself' in
                       w.server.command('trace', 'y@bad.example', check=False).stdout.decode(),
                       'the end of it')
        assert w.server.json('queue') == []


def test_a_report_about_raw_bytes_reaches_a_station_of_seven_bits():
    """What a header holds that isn't ASCII comes back in quoted-printable, which all stations take."""
    with world({'far': {'ehlo': b'250 far.example\r\n'}, 'unknown': FAILURES['unknown'][0]}) as w:
        received = w.stations['far'].messages
        for option, subject in (('RET=HDRS', b'gr\xfc\xdfe'), ('RET=FULL', 'Grüße'.encode())):
            send(w.server, 'bob@unknown.example', sender='eve@far.example',
                 mail_options=['BODY=8BITMIME', option],
                 text=b'Subject: ' + subject + b'\r\n\r\nx\r\n')
            report = lab.eventually(lambda: received and received.pop(), 'the report')
            assert report.isascii(), report
            *_, original = email.message_from_bytes(report, policy=email.policy.default).iter_parts()
            assert original.get_content_type() == 'text/rfc822-headers'
            assert b'Subject: ' + subject in original.get_payload(decode=True), original


def test_a_mistyped_domain_gets_a_suggestion():
    with world() as w:
        send(w.server, 'bob@postbcuh.test')
        report, _, fields = told_of(w.server, 'bob@postbcuh.test')
        assert fields['Status'] == '5.1.2'
        assert 'Did you perhaps mean bob@postbuch.test?' in text_of(report)


def test_one_report_tells_of_many():
    with world({'bad': {'rcpt': b'550 5.1.1 no\r\n'}}) as w:
        addresses = [f'member{i}@bad.example' for i in range(300)]
        w.server.send(addresses, TEXT)
        lab.eventually(lambda: set(reports(w.server)) == set(addresses), 'all are told of')
        assert len(w.server.messages('alice')) <= 6
        assert w.server.command('audit').returncode == 0
