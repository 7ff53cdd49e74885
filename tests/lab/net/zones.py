"""What the name server of the small internet knows, and the addresses there."""

POSTBUCH, POSTBUCH6 = '192.0.2.1', '2001:db8::1'
POSTFIX, POSTFIX6 = '192.0.2.2', '2001:db8::2'
DOWN = '192.0.2.3'      # a host that has no mail server: connections are refused
NSD, ODD_DNS = '192.0.2.53', '192.0.2.54'
SILENT_NETWORK = '203.0.113.1/24'
SILENT_HOST, SILENT_DNS = '203.0.113.25', '203.0.113.53'
HOLES = 6000  # domains with name servers that never answer
STATIONS = [f'198.51.100.{n}' for n in range(1, 61)]

# Their real addresses: the resolver knows them by itself.
ROOT_SERVERS = dict(a='198.41.0.4', b='170.247.170.2', c='192.33.4.12', d='199.7.91.13',
                    e='192.203.230.10', f='192.5.5.241', g='192.112.36.4', h='198.97.190.53',
                    i='192.36.148.17', j='192.58.128.30', k='193.0.14.129', l='199.7.83.42',
                    m='202.12.27.33')
OLDER_ROOT_SERVERS = ['199.9.14.201']  # that a library which is some years old still asks

ADDRESSES = [POSTBUCH, POSTBUCH6, POSTFIX, POSTFIX6, DOWN, NSD, ODD_DNS, *STATIONS,
             *ROOT_SERVERS.values(), *OLDER_ROOT_SERVERS]

# Domains whose mail ends at Postfix. bob is there, nobody else.
POSTFIX_DOMAINS = ['postfix.example', 'two.example', 'equal.example', 'direct.example',
                   'direct6.example', 'aliasedhost.example', 'private-first.example',
                   'backup.example', 'relayed.example', 'signed.example', 'alias.example']

HEAD = '''\
$TTL 300
@ IN SOA ns.example. host.example. 1 3600 600 86400 60
@ IN NS ns.example.
'''

ROOT = '''\
$ORIGIN .
$TTL 86400
@ IN SOA a.root-servers.net. host.example. 1 3600 600 86400 60
example. IN NS ns.example.
test. IN NS ns.example.
ns.example. IN A {nsd}
'''.format(nsd=NSD) + ''.join(f'@ IN NS {n}.root-servers.net.\n{n}.root-servers.net. IN A {ip}\n'
                              for n, ip in ROOT_SERVERS.items())

TEST = HEAD + f'''\
postbuch IN MX 10 mail.postbuch
mail.postbuch IN A {POSTBUCH}
'''

EXAMPLE = HEAD + f'''\
ns IN A {NSD}
mx IN A {POSTFIX}
mx IN AAAA {POSTFIX6}
down IN A {DOWN}
silent-host IN A {SILENT_HOST}
inside IN A 10.0.0.1
we IN A {POSTBUCH}

postfix IN MX 10 mx
two IN MX 20 mx
two IN MX 10 down
equal IN MX 10 mx
equal IN MX 10 down
direct IN A {POSTFIX}
direct6 IN AAAA {POSTFIX6}
aliasedhost IN MX 10 www
www IN CNAME mx
alias IN CNAME two
null IN MX 0 .
self IN MX 5 mail.postbuch.test.
self-address IN MX 5 we
backup IN MX 5 mx
backup IN MX 10 mail.postbuch.test.
private IN MX 10 inside
private-first IN MX 10 inside
private-first IN MX 20 mx
empty IN TXT "nothing else"
gone IN MX 10 nowhere
circle IN CNAME circle2
circle2 IN CNAME circle
down-only IN MX 10 down
silent IN MX 10 silent-host
; A name server that doesn't know the domain, one that never answers, and ours with odd answers.
lame IN NS ns
dumb IN NS ns.dumb
ns.dumb IN A {SILENT_DNS}
odd IN NS ns.odd
ns.odd IN A {ODD_DNS}
signed IN NS ns
forged IN NS ns
''' + ''.join(f'station{n} IN MX 10 mx.station{n}\nmx.station{n} IN A {ip}\n'
              for n, ip in enumerate(STATIONS, 1)) + ''.join(
    f'hole{n} IN NS ns.hole{n}\nns.hole{n} IN A 203.0.113.{100 + n % 100}\n' for n in range(HOLES))

# Signed, and the resolver is given its key. The record at bad is changed afterwards.
SIGNED = HEAD + '''\
@ IN MX 10 mx.example.
bad IN MX 10 mx.example.
'''
