"""`postbuch route`, and what it warns of: mail that would come back to this server."""
import pytest

import lab
from net import nsd

needs_nsd = pytest.mark.skipif(not nsd.NSD, reason='needs the package nsd')

ALIASES = '''\
list: bob, alice
out: bob, x@routed.example, y@routed.example
empty: empty2
empty2: empty
'''
ROUTES = '''relays:
  relayed.example: {{ to: ["smtp:192.0.2.1:25"] }}
routes:
  routed.example: {{ to: ["smtp:192.0.2.2:2525", "smtp:192.0.2.3:25"] }}
  .below.example: {{ to: ["smtp:192.0.2.4:25"] }}
  back.example: {{ to: ["smtp:127.0.0.1:{port}"] }}
'''

ZONE = '''\
$TTL 300
@ IN SOA ns.example. host.example. 1 3600 600 86400 60
@ IN NS ns.example.
ns IN A 127.0.0.1
good IN MX 10 mx1.good
good IN MX 20 mx2.good
mx1.good IN A 192.0.2.11
mx2.good IN A 192.0.2.12
null IN MX 0 .
selfname IN MX 10 mail.postbuch.test.
selfip IN MX 10 us.selfip
us.selfip IN A 127.0.0.1
'''


def start(extra=''):
    port = lab.free_port()
    return lab.Server(extra=ROUTES.format(port=port) + extra, aliases=ALIASES, port=port)


def route(server, address):
    done = server.command('route', address, check=False)
    print(done.stdout.decode(), done.stderr.decode())
    return done.returncode, done.stdout.decode()


def test_local_addresses_relays_and_routes():
    cases = [
        ('bob@postbuch.test', 0, ['is a user here', 'bob@postbuch.test: into a mailbox here']),
        ('x@[127.0.0.1]', 1, ['is refused: mail is not carried to addresses in brackets']),
        ('Bob+x@postbuch.test', 0, ['is a user here']),
        ('BOB@Postbuch.Test', 0, ['bob@postbuch.test: into a mailbox here']),
        ('list@postbuch.test', 0, ['is an alias here', '  alice@postbuch.test: into a mailbox']),
        ('out@postbuch.test', 0, ['bob@postbuch.test: into a mailbox here', 'by `routes:` routed.example',
                                  '192.0.2.2 [192.0.2.2]:2525', 'as x@routed.example']),
        ('empty@postbuch.test', 1, ['is deferred: its alias leads to nobody']),
        ('eve@postbuch.test', 1, ['is refused: there is no such user or alias']),
        ('no address@x', 1, ['is no address']),
        ('bob', 0, ['bob@postbuch.test: into a mailbox here']),
        ('x@relayed.example', 0, ['by `relays:` relayed.example to 192.0.2.1:25']),
        ('x@routed.example', 0, ['192.0.2.2 [192.0.2.2]:2525\n    192.0.2.3 [192.0.2.3]:25']),
        ('x@a.below.example', 0, ['by `routes:` .below.example to 192.0.2.4:25']),
        ('x@back.example', 1, ['the route leads back to this server']),
    ]
    with start() as server:
        for address, code, lines in cases:
            got, text = route(server, address)
            assert got == code, (address, text)
            for line in lines:
                assert line in text, (address, line, text)
        assert not server.json('queue')


@needs_nsd
def test_what_the_dns_says(tmp_path):
    dns = nsd.NameServer(tmp_path)
    dns.add('example.', ZONE)
    dns.start()
    try:
        with start(f'resolver: {{ servers: ["127.0.0.1@{dns.port}"] }}\n') as server:
            code, text = route(server, 'x@good.example')
            assert code == 0 and 'by what the DNS says' in text
            assert '10  mx1.good.example  192.0.2.11' in text
            for domain, status in [('null', '5.1.10'), ('selfname', '5.4.6'), ('selfip', '5.4.6'),
                                   ('missing', '5.1.2')]:
                code, text = route(server, f'x@{domain}.example')
                assert code == 1 and f'{status} is returned' in text, (domain, text)
            way, = server.json('route', 'x@good.example')['ways']
            assert way['by'] == 'mx' and way['next_hop'] == 'mx:good.example'
            assert way['targets'] == [{'host': 'mx1.good.example', 'ip': '192.0.2.11', 'port': 25},
                                      {'host': 'mx2.good.example', 'ip': '192.0.2.12', 'port': 25}]
            way, = server.json('route', 'x@selfip.example', check=False)['ways']
            assert way['permanent'] and way['status'] == '5.4.6' and 'come back' in way['why']
    finally:
        dns.stop()


def test_no_server():
    server = start()
    done = server.command('route', 'bob@postbuch.test', check=False)
    assert done.returncode == 75
    assert b'the server' in done.stderr and b'serve' in done.stderr, done.stderr
    assert server.command('route', check=False).returncode == 2
    assert server.command('route', 'a', 'b', check=False).returncode == 2
