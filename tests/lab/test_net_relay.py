"""Mail leaves by MX or route, waits with a reason, or comes back with a report: each kind of domain."""
import subprocess

import pytest

import lab
from net import odd_dns, zones
from net.internet import RETRY, needs_internet, net, reports, server, settled, troubled

pytestmark = needs_internet

TEXT = b'Subject: on its way\r\n\r\n.\r\n..dots\r\nthe end\r\n'

RELAYED = ['two', 'equal', 'direct', 'direct6', 'aliasedhost', 'alias', 'private-first', 'backup',
           'signed']
RETURNED = {'null': '5.1.10', 'self': '5.4.6', 'self-address': '5.4.6', 'private': '5.4.4',
            'empty': '5.1.2', 'gone': '5.4.4', 'nothere': '5.1.2', 'nothere.signed': '5.1.2'}
WAITING = {'circle': ('4.4.3', 'circle'), 'lame': ('4.4.3', 'lame.example'),
           'bad.signed': ('4.4.3', 'DNSSEC'), 'down-only': ('4.4.1', 'Connection refused'),
           'dumb': ('4.4.3', 'dumb.example'), 'silent': ('4.4.1', 'no answer')}

# The answer to the question for MX; for A where AAAA has none; for AAAA where A has none.
RCODES = {'nodata': ('5.1.2', '5.4.4', '5.4.4'), 'nxdomain': ('5.1.2', '5.4.4', '5.4.4')}
WAITS = ('4.4.3', '4.4.3', '4.4.3')


def test_the_second_server_takes_it(net, server):
    subprocess.run(['swaks', '--server', zones.POSTBUCH, '--from', 'alice@postbuch.test', '--to',
                    'bob@two.example', '--data', TEXT.decode().replace('\r\n', '\\n')], check=True,
                   stdout=subprocess.DEVNULL)
    found = settled(server, 'bob@two.example', 'relayed')
    done = found['events'][-1]
    assert 'down.example: can\'t connect to [192.0.2.3]:25: Connection refused' in done['detail']
    assert found['holder']['host'] == 'mx.example' and len(found['holder']['id']) > 5
    assert f'{found["holder"]["id"]}: to=<bob@two.example>' in net.postfix.log()
    last = server.command('trace', 'bob@two.example').stdout.decode().strip().splitlines()[-1]
    assert last.startswith('  Handed on to mx.example [') and found['holder']['id'] in last
    assert last.endswith('that station is responsible now, ask its postmaster.')
    data = net.postfix.message(b'X-Original-To: bob@two.example')
    body = data.partition(b'\n\n')[2].rstrip()  # swaks ends it with one more line
    assert body + b'\n' == TEXT.partition(b'\r\n\r\n')[2].replace(b'\r\n', b'\n')


def test_domains_that_take_mail(net, server):
    addresses = [f'bob@{d}.example' for d in RELAYED]
    server.send(addresses, TEXT)
    for address in addresses:
        assert settled(server, address, 'relayed')['holder']['host'] in (
            'mx.example', 'www.example', address.partition('@')[2])
        net.postfix.message(b'X-Original-To: ' + address.encode())


def test_domains_that_cannot_take_mail(server):
    addresses = {f'bob@{d}.example': status for d, status in RETURNED.items()}
    addresses['nobody@two.example'] = '5.1.1'
    for address in addresses:
        server.send(address, TEXT)
    for address, status in addresses.items():
        found = settled(server, address, 'returned')
        assert found['events'][-1]['status'] == status, found
    server.wait_for(len(addresses), 'alice')
    told = reports(server)
    assert {a: fields['Status'] for a, (_, fields) in told.items()} == addresses
    report, fields = told['nobody@two.example']
    assert fields['Remote-MTA'] == 'dns; mx.example'
    assert fields['Diagnostic-Code'].startswith('smtp; 550 5.1.1')
    assert 'nobody@two.example' in next(report.iter_parts()).get_content()
    assert server.json('queue') == []


def odd_cases():
    """Domain -> (answer, column, status)"""
    for answer in odd_dns.ANSWERS:
        for column, kind in enumerate(('mx', 'a', 'aaaa')):
            yield f'{kind}-{answer}.odd.example', answer, kind, RCODES.get(answer, WAITS)[column]


def test_every_answer_to_every_question(server):
    """And domains whose servers or name servers are wrong in other ways; what waits says why."""
    cases = list(odd_cases())
    addresses = [f'bob@{domain}' for domain, *_ in cases] + [f'bob@{d}.example' for d in WAITING]
    server.send(addresses, TEXT)
    table = {}
    for domain, answer, kind, status in cases:
        permanent = status[0] == '5'
        found = (settled(server, f'bob@{domain}', 'returned') if permanent
                 else troubled(server, f'bob@{domain}'))
        event = [e for e in found['events'] if e['kind'] in ('returned', 'deferred')][0]
        table.setdefault(answer, {})[kind] = event['status']
        assert permanent or found['why']
    for answer, row in table.items():
        print(f'{answer:10}', *(f'{kind}: {status:8}' for kind, status in row.items()))
    assert {(a, k): s for a, row in table.items() for k, s in row.items()} == {
        (answer, kind): status for _, answer, kind, status in cases}
    for domain, (status, why) in WAITING.items():
        found = troubled(server, f'bob@{domain}.example')
        assert found['events'][-1]['status'] == status and why in found['why'], found
    waiting = {row['address']: row for row in server.json('queue')}
    assert all(f'bob@{d}.example' in waiting for d in WAITING)


def test_a_smarthost_with_several_hosts(net):
    route = ('routes: {"*": {to: ["smtp:down.example:25", "smtp:192.0.2.3:2525", '
             '"smtp:mx.example:25"]}}\n')
    with net.server(RETRY + route) as server:
        server.send('bob@direct.example', TEXT)
        found = settled(server, 'bob@direct.example', 'relayed')
        assert found['holder']['host'] == 'mx.example'
        assert found['events'][-1]['detail'].count('Connection refused') == 2


def test_relay_domains(net):
    """Anybody may send to a domain that we relay for, nobody but trusted clients to others."""
    relay = 'relays: {relayed.example: {to: ["smtp:192.0.2.2:25"]}}\n'
    with net.server(RETRY + relay, trusted='10.0.0.0/8') as server:
        server.send('bob@relayed.example', TEXT, sender='x@elsewhere.example')
        settled(server, 'bob@relayed.example', 'relayed')
        with server.smtp() as client, pytest.raises(lab.smtplib.SMTPRecipientsRefused):
            client.sendmail('x@elsewhere.example', 'bob@two.example', TEXT)


def test_a_changed_route_is_good_for_what_waits(net):
    def to(host):
        return f'{RETRY}routes: {{"two.example": {{to: ["smtp:{host}:25"]}}}}\n'
    with net.server(to(zones.DOWN)) as server:
        server.send('bob@two.example', TEXT)
        found = troubled(server, 'bob@two.example')
        assert '192.0.2.3' in found['why']
        server.write_config(net.extra(to(zones.POSTFIX)))
        server.command('reload')
        found = settled(server, 'bob@two.example', 'relayed')
        assert found['holder']['ip'] == zones.POSTFIX


def test_dead_name_servers_hold_up_no_other_names(net):
    """The first question about a living domain is answered while very many others wait."""
    with net.server(extra='') as server:
        for first in range(0, zones.HOLES, 500):
            server.send([f'x@hole{first + i}.example' for i in range(500)], TEXT)
        lab.eventually(lambda: server.figures('resolver')['waiting'] > zones.HOLES / 2,
                       'their questions are under way')
        server.send('bob@direct.example', TEXT)
        found = settled(server, 'bob@direct.example', 'relayed')
        assert not [e for e in found['events'] if e['kind'] == 'deferred']
        # It didn't have to wait until the others are given up.
        assert server.figures('resolver')['late'] < zones.HOLES / 2
