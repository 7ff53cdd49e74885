"""Stations that break the rules in each phase: what a message to each of them comes to."""
import lab
from net.hostile import DROP, STALL
from net.internet import RETRY, fate, needs_internet, net, reports, server, settled, troubled

pytestmark = needs_internet

TEXT = b'Subject: into the lion\'s den\r\n\r\n.\r\ntext\r\n'
LONG_LINE = b'250-' + b'x' * 1000000 + b'\r\n'
GARBAGE = b'\x00\xff\x1b[2Jnonsense\r\n'

# What it says or does in one phase -> status and a word of the reason.
RETURNED = {
    ('mail', b'553 5.1.8 not from you\r\n'): ('5.1.8', '553 5.1.8 not from you'),
    ('rcpt', b'550 5.1.1 no such user\r\n'): ('5.1.1', '550 5.1.1 no such user'),
    ('rcpt', b'550-5.1.1 no\x1b[2J\xff\r\n550 5.1.1 really\r\n'): ('5.1.1', '550 5.1.1 really'),
    ('rcpt', b'550\r\n'): ('5.0.0', '550'),
    ('data', b'554 5.6.0 no data\r\n'): ('5.6.0', '554 5.6.0 no data'),
    ('dot', b'554 5.7.1 spam\r\n'): ('5.7.1', '554 5.7.1 spam'),
}
WAITING = {
    ('connect', b'554 5.7.1 listed\r\n'): ('4.7.1', '554 5.7.1 listed'),
    ('connect', b'421 4.3.2 too busy\r\n'): ('4.3.2', '421 4.3.2 too busy'),
    ('connect', b'SSH-2.0-OpenSSH_9.2\r\n'): ('4.5.0', 'no SMTP reply'),
    ('connect', LONG_LINE): ('4.5.0', 'no SMTP reply'),
    ('connect', DROP): ('4.4.2', 'closed the connection'),
    ('ehlo', b'550 5.7.0 go away\r\n'): ('4.7.0', '550 5.7.0 go away'),
    ('ehlo', GARBAGE): ('4.5.0', 'no SMTP reply'),
    ('ehlo', LONG_LINE): ('4.5.0', 'no SMTP reply'),
    ('ehlo', b'250-again\r\n' * 50000): ('4.5.0', 'no SMTP reply'),
    ('ehlo', DROP): ('4.4.2', 'closed the connection'),
    ('mail', b'451 4.3.0 later\r\n'): ('4.3.0', '451 4.3.0 later'),
    ('mail', GARBAGE): ('4.5.0', 'no SMTP reply'),
    ('mail', DROP): ('4.4.2', 'closed the connection'),
    ('rcpt', b'450 4.2.0 greylisted\r\n'): ('4.2.0', '450 4.2.0 greylisted'),
    ('rcpt', GARBAGE): ('4.5.0', 'no SMTP reply'),
    ('rcpt', LONG_LINE): ('4.5.0', 'no SMTP reply'),
    ('rcpt', DROP): ('4.4.2', 'closed the connection'),
    ('data', b'452 4.3.1 full\r\n'): ('4.3.1', '452 4.3.1 full'),
    ('data', GARBAGE): ('4.5.0', 'no SMTP reply'),
    ('data', DROP): ('4.4.2', 'closed the connection'),
    ('dot', b'452 4.2.2 mailbox full\r\n'): ('4.2.2', '452 4.2.2 mailbox full'),
}
UNCERTAIN = {
    ('dot', DROP): ('4.4.2', 'closed the connection'),
    ('dot', GARBAGE): ('4.5.0', 'no SMTP reply'),
    ('dot', LONG_LINE): ('4.5.0', 'no SMTP reply'),
}
STALLING = ('connect', 'ehlo', 'mail', 'rcpt', 'data', 'text', 'dot')


def stations(net, cases):
    """One station a case; (recipient, station, what is expected)"""
    found = []
    for (phase, act), expected in cases.items():
        station, domain = net.station({phase: act})
        found.append((f'bob@{domain}', station, expected))
    return found


def events(found, kind):
    return [e for e in found['events'] if e['kind'] == kind]


def test_each_answer_has_its_outcome(net, server):
    returned = stations(net, RETURNED)
    waiting = stations(net, WAITING)
    server.send([address for address, *_ in returned + waiting], TEXT)
    for address, station, (status, why) in returned:
        event = settled(server, address, 'returned')['events'][-1]
        assert (event['status'], why in event['reply']) == (status, True), event
        assert station.sessions == 1
    for address, _, (status, why) in waiting:
        found = troubled(server, address)
        event = events(found, 'deferred')[0]
        assert (event['status'], why in event['reply']) == (status, True), (address, event)
        assert found['next_attempt'] and why in found['why']
    rows = {row['address'] for row in server.json('queue')}
    assert rows == {address for address, *_ in waiting}
    lab.eventually(lambda: reports(server).keys() == {a for a, *_ in returned}, 'all are reported')
    text = server.command('trace', returned[2][0]).stdout + server.command('queue').stdout
    assert b'\x1b' not in text and b'\\x1b' in text
    for _, station, _ in waiting + returned:
        station.stop()


def test_a_lost_verdict_is_uncertain(net, server):
    """Only then, and the trace says so; also when a later attempt gets its verdict."""
    cases = stations(net, UNCERTAIN)
    twice, domain = net.station({'dot': [DROP, b'250 2.0.0 queued as AGAIN2\r\n']})
    again = f'bob@{domain}'
    server.send([again] + [address for address, *_ in cases], TEXT)
    for address, station, (status, why) in cases:
        lab.eventually(lambda: (f := fate(server, address)) and events(f, 'uncertain'), address)
        found = fate(server, address)
        event = events(found, 'uncertain')[0]
        assert found['state'] == 'waiting' and not events(found, 'deferred')
        assert (event['status'], why in event['reply']) == (status, True), event
        assert 'it may have arrived already' in server.command('trace', address).stdout.decode()
        station.stop()
    found = settled(server, again, 'relayed')
    assert [e['kind'] for e in found['events'][2:]] == ['uncertain', 'relayed']
    assert found['holder']['id'] == 'AGAIN2' and len(twice.messages) == 2
    assert 'may have it twice' in server.command('trace', again).stdout.decode()
    assert server.command('audit').returncode == 0


def test_a_greylist_ends(net, server):
    station, domain = net.station({'rcpt': [b'450 4.2.0 greylisted\r\n', b'250 2.1.5 ok\r\n']})
    server.send(f'bob@{domain}', TEXT)
    found = settled(server, f'bob@{domain}', 'relayed')
    assert [e['kind'] for e in found['events'][2:]] == ['deferred', 'relayed']
    assert found['holder']['id'] == 'H0STILE'
    # The first time it said "go on" although it had taken nobody, and got no message.
    assert station.messages[0] == b'' and len(station.messages) == 2
    assert station.messages[1].endswith(b'\r\n\r\n..\r\ntext\r\n')


def test_a_stop_tells_what_came_of_attempts(net):
    """Only what was sent to its end is uncertain, and what wasn't begun goes at the next start."""
    with net.server(RETRY.replace('first: 1s, max: 2s', 'first: 1h, max: 1h')) as server:
        stalling = [(phase, *net.station({phase: STALL})) for phase in ('data', 'dot')]
        unbegun, domain = net.station({'connect': [STALL, b'220 hello again\r\n']})
        server.send([f'bob@{d}' for _, _, d in stalling] + [f'bob@{domain}'], TEXT)
        for station in [unbegun] + [s for _, s, _ in stalling]:
            lab.eventually(lambda: station.stalled, 'all stall')
        server.restart()
        for phase, station, d in stalling:
            last = lab.eventually(lambda: fate(server, f'bob@{d}')['events'][2:], 'booked')[0]
            assert last['kind'] == ('uncertain' if phase == 'dot' else 'deferred'), last
            assert 'about to end' in last['reply'], last
            station.stop()
        found = settled(server, f'bob@{domain}', 'relayed')
        assert [e['kind'] for e in found['events'][2:]] == ['relayed']


def test_who_stalls_holds_up_nobody_else(net, server):
    """The deadlines of RFC 5321 4.5.3.2 are minutes: until then the attempt is under way."""
    stalling = [(phase, *net.station({phase: STALL})) for phase in STALLING]
    good, domain = net.station({})
    server.send([f'bob@{d}' for _, _, d in stalling], TEXT)
    for _, station, _ in stalling:
        lab.eventually(lambda: station.stalled, 'all stall')
    server.send(f'bob@{domain}', TEXT)
    settled(server, f'bob@{domain}', 'relayed')
    rows = {row['address']: row for row in server.json('queue')}
    for phase, station, d in stalling:
        assert rows[f'bob@{d}']['waits_for'] == 'outcome', (phase, rows)
        station.stop()
    for phase, _, d in stalling:
        kind = 'uncertain' if phase in ('text', 'dot') else 'deferred'
        lab.eventually(lambda: events(fate(server, f'bob@{d}'), kind), f'{phase}: {kind}')
