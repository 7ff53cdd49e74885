"""Postbuch and Debian's Postfix send each other mail, with what the DNS says between them."""
import smtplib

import lab
from net import zones
from net.internet import needs_internet, net, server, settled

pytestmark = needs_internet

BODY = b'.\r\n..dots\r\ngr\xc3\xbc\xc3\x9fe\r\n'
TEXT = b'Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n' \
       b'Content-Transfer-Encoding: 8bit\r\n\r\n' + BODY


def from_postfix(recipient, subject):
    with smtplib.SMTP(zones.POSTFIX, timeout=60) as client:
        client.sendmail('bob@postfix.example', recipient, TEXT % subject, ['BODY=8BITMIME'])


def test_from_postfix_into_a_mailbox(server):
    from_postfix('bob@postbuch.test', b'here')
    data = server.wait_for(1)[0].read_bytes()
    assert data.endswith(b'\n\n' + BODY.replace(b'\r\n', b'\n'))
    assert b'from mx.example (' in data and b'[192.0.2.2]' in data
    settled(server, 'bob@postbuch.test', 'delivered')
    found = server.trace('bob@postbuch.test')[0]
    assert found['from']['ip'] == zones.POSTFIX and found['sender'] == 'bob@postfix.example'


def test_who_is_unknown_is_reported_by_postfix(net, server):
    from_postfix('nobody@postbuch.test', b'for nobody')
    report = lab.eventually(lambda: [m for m in net.postfix.messages()
                                     if b'MAILER-DAEMON' in m.read_bytes()], 'the report')
    assert b'5.1.1' in report[0].read_bytes()
    assert server.messages('nobody') == []


def test_the_last_station_sends_the_receipt(server):
    """Postfix offers DSN: it hears what the sender asked for (RFC 3461), and we send no receipt."""
    with server.smtp() as client:
        client.sendmail('alice@postbuch.test', 'bob@two.example', TEXT % b'receipt, please',
                        ['ENVID=QQ+2B1'], ['NOTIFY=SUCCESS', 'ORCPT=rfc822;Bob+2Bx@two.example'])
    settled(server, 'bob@two.example', 'relayed')
    report = server.wait_for(1, 'alice')[0].read_bytes()
    assert b'\nReporting-MTA: dns; mx.example' in report
    assert b'\nOriginal-Envelope-Id: QQ+1\n' in report
    assert b'\nOriginal-Recipient: rfc822;Bob+x@two.example\n' in report
    assert len(server.messages('alice')) == 1
