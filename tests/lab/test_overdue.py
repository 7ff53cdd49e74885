"""Who should have been attempted long ago and wasn't: the alarm is raised, whatever the cause."""
import json
import re
import signal

import lab
import pytest

MESSAGE = b'Subject: x\r\n\r\nhello\r\n'
BOTH = ['alice@postbuch.test', 'bob@postbuch.test']


@pytest.fixture
def forgetful(tmp_path):
    """A server whose queue forgets the second recipient of a message (forgetful.c)."""
    programs = lab.libexec(tmp_path / 'libexec', {'queue': 'tests/lab/queue_forgetful'})
    with lab.Server(libexec=programs) as server:
        yield server


def overdue(server):
    """How many the queue says are overdue, and whose."""
    figures = next(p['figures'] for p in server.status()['processes'] if p['name'] == 'queue')
    return figures['overdue'], figures['overdue_first']


def wait_for_alarm(server):
    """The line in the log and the figure; returns the message's id."""
    said = lab.eventually(lambda: re.search(
        r'ALARM: 1 recipient is overdue, the first of (\w+), which waits for the outcome of an '
        r'attempt; postbuch audit names them', server.log()), 'an alarm')
    lab.eventually(lambda: overdue(server) == (1, [said[1]]), 'the figure')
    return said[1]


def audit(server):
    """Its exit code, who it says is overdue, and how many alarms are booked."""
    done = server.command('audit', '--json', '--overdue', '1s', check=False)
    told = json.loads(done.stdout)
    assert [f for f in told['findings'] if f['kind'] != 'overdue'] == []
    return done.returncode, [(f['id'], f['recipient']) for f in told['findings']], told['alarms']


def alarms(server, message):
    """The recipients whose trace tells of an alarm."""
    return [recipient['address'] for traced in server.trace(message)
            for recipient in traced['recipients']
            for event in recipient['events'] if event['kind'] == 'alarm']


def test_a_recipient_that_was_forgotten_is_missed(forgetful):
    forgetful.send(BOTH, MESSAGE)
    forgetful.wait_for(1, 'alice')
    message = wait_for_alarm(forgetful)
    lab.eventually(lambda: alarms(forgetful, message) == BOTH[1:], 'the alarm is booked')
    assert audit(forgetful) == (1, [(message, 1)], 1)
    assert forgetful.messages('bob') == []
    forgetful.libexec = None  # a queue without the fault has it from the spool
    forgetful.restart()
    forgetful.wait_for(1, 'bob')
    assert len(forgetful.messages('alice')) == 1
    lab.eventually(lambda: audit(forgetful) == (0, [], 1), 'all is in order again')


def test_a_carrier_that_hangs_is_missed(forgetful):
    forgetful.kill('mailbox', signal.SIGSTOP)
    forgetful.send(BOTH[:1], MESSAGE)
    message = wait_for_alarm(forgetful)
    lab.eventually(lambda: alarms(forgetful, message) == BOTH[:1], 'the alarm is booked')
    assert audit(forgetful) == (1, [(message, 0)], 1)
    forgetful.kill('mailbox', signal.SIGCONT)
    forgetful.wait_for(1, 'alice')
    lab.eventually(lambda: overdue(forgetful)[0] == 0, 'nothing is overdue')
