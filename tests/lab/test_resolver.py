"""The resolver in its sandbox asks a real name server (NSD) with domains in all shapes, signed too."""
import subprocess

import pytest

import lab
from net import nsd

needs_nsd = pytest.mark.skipif(not nsd.NSD or not nsd.SIGNER,
                               reason='needs the packages nsd and ldnsutils')

RESOLVER = lab.BUILD / 'src/proc/resolver/resolver'
ASK = lab.BUILD / 'tests/lab/ask_resolver'
TYPES = {'A': 1, 'MX': 15, 'TXT': 16, 'AAAA': 28}

HEAD = '''\
$TTL 300
@ IN SOA ns.{zone} host.{zone} 1 3600 600 86400 60
@ IN NS ns.{zone}
ns IN A 127.0.0.1
'''

TEST_ZONE = HEAD.format(zone='test.') + '''\
plain IN MX 10 mx1.plain
plain IN MX 20 mx2.plain
mx1.plain IN A 192.0.2.1
mx1.plain IN AAAA 2001:db8::1
mx2.plain IN A 192.0.2.2
nomx IN A 192.0.2.3
null IN MX 0 .
alias IN CNAME plain
aliasedhost IN MX 10 www
www IN CNAME nomx
self IN MX 5 us
backup IN MX 5 mx1.plain
backup IN MX 10 us
us IN A 192.0.2.9
private IN MX 10 inside
inside IN A 10.0.0.1
empty IN TXT "nothing else"
gone IN MX 10 nowhere
circle IN CNAME circle2
circle2 IN CNAME circle
'''

SIGNED_ZONE = HEAD.format(zone='signed.example.') + '''\
@ IN MX 10 mx
mx IN A 192.0.2.5
bad IN MX 10 mx
'''


@pytest.fixture
def name_server(tmp_path):
    server = nsd.NameServer(tmp_path)
    yield server
    server.stop()


def ask(server, questions, anchor='-'):
    """Answers to lines like "MX a.test" or "mx a.test", in their order."""
    lines = []
    for question in questions:
        kind, name = question.split(' ', 1)
        lines.append(f'{TYPES.get(kind, kind)} {name}\n')
    result = subprocess.run([ASK, RESOLVER, f'127.0.0.1@{server.port}', str(anchor)],
                            input=''.join(lines), capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    print(result.stdout, result.stderr)
    return result.stdout


def routes(server, domains):
    text = ask(server, [f'mx {d}' for d in domains])
    return dict(zip(domains, text.split('\n\n')))


@needs_nsd
def test_domains_in_all_shapes(name_server):
    name_server.add('test.', TEST_ZONE)
    name_server.start()
    found = routes(name_server, ['plain.test', 'nomx.test', 'null.test', 'alias.test',
                                 'aliasedhost.test', 'self.test', 'backup.test', 'private.test',
                                 'empty.test', 'gone.test', 'nothere.test', 'circle.test',
                                 'other.example'])
    plain = found['plain.test'].splitlines()
    assert '10  mx1.plain.test  2001:db8::1, 192.0.2.1' in plain[1]
    assert '20  mx2.plain.test  192.0.2.2' in plain[2]
    assert '0  nomx.test  192.0.2.3' in found['nomx.test']
    assert '5.1.10 is returned' in found['null.test']
    assert 'mx1.plain.test  2001:db8::1' in found['alias.test']
    assert '10  www.test  192.0.2.3' in found['aliasedhost.test']
    assert '5.4.6 is returned' in found['self.test']
    assert 'mx1.plain.test  2001' in found['backup.test']
    assert 'us.test  is this server' in found['backup.test']
    assert '5.4.4 is returned' in found['private.test'] and '10.0.0.1' in found['private.test']
    assert '5.1.2 is returned' in found['empty.test']
    assert '5.4.4 is returned' in found['gone.test']
    assert '5.1.2 is returned' in found['nothere.test']
    assert '4.4.3 waits' in found['circle.test']
    assert '4.4.3 waits' in found['other.example']  # NSD refuses: not its zone


@needs_nsd
def test_answers_as_they_come(name_server):
    name_server.add('test.', TEST_ZONE)
    name_server.start()
    lines = ask(name_server, ['A nomx.test', 'A www.test', 'A nothere.test', 'MX nomx.test',
                              'A other.example', 'TXT empty.test', 'A 1.0.0.10.in-addr.arpa',
                              'A bad..name']).splitlines()
    assert lines[0] == 'error 0 rcode 0 insecure why  data c0000203'
    assert lines[1] == 'error 0 rcode 0 insecure why  data c0000203'
    assert lines[2].startswith('error 0 rcode 3 insecure')
    assert lines[3] == 'error 0 rcode 0 insecure why  data'
    assert lines[4].startswith('error 0 rcode 2 ')
    assert lines[5].endswith(b'\x0cnothing else'.hex())
    assert ' rcode 2 ' in lines[6]  # asked, not answered from a zone of libunbound's own
    assert lines[7].startswith('error -22 ')


@needs_nsd
def test_signatures_are_checked(name_server):
    name_server.add('signed.example.', SIGNED_ZONE)
    anchor = name_server.sign('signed.example.')
    name_server.tamper('signed.example.', 'bad.', '10 mx.', '66 evil.')
    name_server.start()
    good, missing, bad = ask(name_server, ['MX signed.example', 'MX nothere.signed.example',
                                           'MX bad.signed.example'], anchor).splitlines()
    assert good.startswith('error 0 rcode 0 secure') and 'data 000a026d78' in good
    assert missing.startswith('error 0 rcode 3 secure')
    assert ' bogus ' in bad and bad.endswith(' data')
    assert 'why validation failure' in bad


@needs_nsd
def test_an_anchor_that_is_no_good_resolves_nothing(name_server, tmp_path):
    name_server.add('test.', TEST_ZONE)
    name_server.start()
    (tmp_path / 'anchor').write_text('; nothing here\n')
    answer = ask(name_server, ['MX plain.test'], tmp_path / 'anchor')
    assert answer.startswith('error -5 ') and 'trust anchor' in answer


def test_the_server_runs_it(server):
    before = server.pids('resolver')
    assert len(before) == 1
    server.write_config(extra='resolver: { servers: ["127.0.0.1@9"] }\n')
    server.command('reload')
    lab.eventually(lambda: server.pids('resolver') not in (before, []), 'a new one has started')
    lab.eventually(lambda: 'asks the configured servers' in server.log(), 'with its servers')


@needs_nsd
def test_what_is_too_large_for_a_packet_comes_over_tcp(name_server):
    """In kill mode, as all of these: libunbound connects by TCP fast open."""
    texts = [f'{i:03} ' + 'x' * 200 for i in range(40)]
    name_server.add('test.', HEAD.format(zone='test.') +
                    ''.join(f'large IN TXT "{text}"\n' for text in texts))
    name_server.start()
    answer = ask(name_server, ['TXT large.test'])
    assert all(text.encode().hex() in answer for text in texts)
