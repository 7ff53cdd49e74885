"""What can't be delivered comes back to its sender as a report."""
import email
import email.policy
import signal

import lab
import pytest

LOOP = (b'From: Alice <alice@postbuch.test>\r\nSubject: round and round\r\n'
        b'Delivered-To: bob@postbuch.test\r\n\r\ntext\r\n')


@pytest.fixture
def server():
    """A loop is seen too late to be refused when an alias leads to it."""
    with lab.Server(aliases='round: bob\n') as s:
        yield s


def state(server, what):
    done = server.command('trace', what, '--json', check=False)
    return done.stdout.decode()


def test_a_report_reads_well_and_parses(server):
    server.send('round@postbuch.test', LOOP)
    path = server.wait_for(1, 'alice')[0]
    report = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert report['Return-Path'] == '<>'
    assert report['Auto-Submitted'] == 'auto-replied'
    assert report.get_content_type() == 'multipart/report'
    text, status, header = report.iter_parts()
    assert text.get_content().startswith('Your message was not delivered')
    fields = status.get_payload()[1]
    assert fields['Final-Recipient'] == 'rfc822;bob@postbuch.test'
    assert fields['Action'] == 'failed' and fields['Status'] == '5.4.6'
    assert 'Subject: round and round' in header.get_content()
    ident = report['Message-ID'].strip('<>').split('@')[0]
    lab.eventually(lambda: f'"{ident}"' in state(server, 'bob@postbuch.test'),
                   'the trace of the cause names the report')
    assert server.command('audit').returncode == 0


def test_reports_are_never_reported(server):
    server.send('round@postbuch.test', LOOP, sender='')
    lab.eventually(lambda: 'double bounce' in state(server, 'bob@postbuch.test'), 'booked')
    assert '"discarded"' in state(server, 'bob@postbuch.test')
    assert server.command('audit').returncode == 0


def test_a_forged_local_sender_gets_no_mailbox(server):
    server.send('round@postbuch.test', LOOP, sender='nobody@postbuch.test')
    lab.eventually(lambda: 'double bounce' in state(server, 'bob@postbuch.test'), 'booked')
    assert not server.mailbox('nobody').exists()


def test_a_killed_report_process_delays_and_loses_nothing(server):
    server.kill('report')
    server.send('round@postbuch.test', LOOP)
    server.wait_for(1, 'alice')
    assert server.command('audit').returncode == 0


def hold_who_failed(server):
    """Before his report can be written. His message, and what the queue said of him before."""
    server.kill('report', signal.SIGSTOP)
    server.send('round@postbuch.test', LOOP)
    row, = lab.eventually(lambda: [r for r in server.json('queue') if r['waits_for'] == 'return'],
                          'he waits for his report')
    server.command('queue', 'hold', row['id'])
    return row['id'], row['why']


def test_what_failed_and_is_held_is_told_of_by_a_return(server):
    name, words = hold_who_failed(server)
    server.command('queue', 'return', name)
    server.kill('report', signal.SIGCONT)
    report = server.wait_for(1, 'alice')[0].read_text()
    assert 'Status: 5.4.6' in report, report
    lab.eventually(lambda: server.json('queue') == [], 'nothing waits')
    events = server.json('trace', name)['recipients'][-1]['events']
    assert [e['kind'] for e in events][-5:] == ['deferred', 'held', 'released', 'rerouted', 'returned']
    assert [e['status'] for e in events if e['kind'] in ('deferred', 'returned')] == ['5.4.6'] * 2
    assert server.command('audit').returncode == 0


def test_what_failed_and_is_held_is_known_after_a_restart(server):
    name, words = hold_who_failed(server)
    server.kill('report', signal.SIGCONT)
    server.restart()
    row, = server.json('queue', 'show', name)
    assert row['state'] == 'held' and row['attempts'] == 1 and words in row['trouble'], row
    for command in (['queue', 'show', name], ['trace', name]):
        text = server.command(*command).stdout.decode()
        assert words in text and 'after 1 attempt' in text, text
    assert server.messages('alice') == []
    assert server.command('audit').returncode == 0


def test_language_and_postmaster_are_as_configured():
    extra = 'report: { language: de }\npostmaster: bob@postbuch.test\n'
    with lab.Server(extra, aliases='round: bob\n') as server:
        server.send('round@postbuch.test', LOOP)
        report = email.message_from_bytes(server.wait_for(1, 'alice')[0].read_bytes(),
                                          policy=email.policy.default)
        assert '<bob@postbuch.test>' in report['From']
        text = next(report.iter_parts()).get_content()
        assert text.startswith('Ihre Nachricht wurde') and 'bob@postbuch.test' in text
