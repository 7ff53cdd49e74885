"""The small internet: a network of its own, name servers, Postfix, and Postbuch among them."""
import contextlib
import email
import email.policy
import pathlib
import shutil
import tempfile

import pytest

import lab
from net import namespace, nsd, odd_dns, postfix, zones
from net.hostile import Station


def why_not():
    """Why there can be none here; None when there can."""
    if not lab.IS_ROOT:
        return 'needs root for a network of its own'
    if not (nsd.NSD and nsd.SIGNER and postfix.POSTFIX):
        return 'needs the packages nsd, ldnsutils and postfix'
    return None


needs_internet = pytest.mark.skipif(why_not() is not None, reason=why_not() or '')

# Short pauses, so that what is tried again is soon tried again.
RETRY = 'retry: { first: 1s, max: 2s, give_up: 1d }\n'


class Internet:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ends = contextlib.ExitStack()
        self.stations = 0

    def _folder(self, name):
        path = self.folder / name
        path.mkdir()
        path.chmod(0o755)
        return path

    def __enter__(self):
        with contextlib.ExitStack() as ends:
            ends.enter_context(namespace.private_network(
                [f'{a}/{128 if ":" in a else 32}' for a in zones.ADDRESSES], zones.SILENT_NETWORK))
            self.names = nsd.NameServer(self._folder('nsd'), [
                f'{a}@53' for a in (zones.NSD, *zones.ROOT_SERVERS.values(),
                                    *zones.OLDER_ROOT_SERVERS)])
            for name, text in (('.', zones.ROOT), ('test.', zones.TEST), ('example.', zones.EXAMPLE),
                               ('signed.example.', zones.SIGNED)):
                self.names.add(name, text)
            self.anchor = self.names.sign('signed.example.')
            self.names.tamper('signed.example.', 'bad.', '10 mx.', '66 mx.')
            ends.callback(self.names.stop)
            self.names.start()
            ends.callback(odd_dns.OddNameServer(zones.ODD_DNS, 53, 'odd.example').stop)
            self.postfix = postfix.Postfix(self._folder('postfix'), 'mx.example', zones.POSTFIX,
                                           zones.POSTFIX6, zones.POSTFIX_DOMAINS, zones.NSD,
                                           zones.POSTBUCH)
            ends.callback(self.postfix.stop)
            self.postfix.start()
            self.ends = ends.pop_all()
        return self

    def __exit__(self, *exception):
        if exception[0] is not None:
            print(self.postfix.log()[-4000:])
        self.ends.close()

    def station(self, script, number=None):
        """A scripted server; returns it and its domain."""
        self.stations += number is None
        number = number or self.stations
        station = Station(zones.STATIONS[number - 1], script)
        self.ends.callback(station.stop)
        return station, f'station{number}.example'

    def extra(self, extra=RETRY, trusted='192.0.2.0/24'):
        """Configuration for a Postbuch here: any client may send to any domain."""
        return (f'{extra}trusted: ["{trusted}"]\n'
                f'resolver: {{ trust_anchor: "{self.anchor}" }}\n')

    def server(self, extra=RETRY, trusted='192.0.2.0/24', **options):
        return lab.Server(self.extra(extra, trusted), address=zones.POSTBUCH, port=25, **options)


@contextlib.contextmanager
def internet():
    folder = tempfile.mkdtemp(prefix='postbuch-net-', dir='/var/tmp')
    pathlib.Path(folder).chmod(0o755)
    try:
        with Internet(folder) as net:
            yield net
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# A test file imports these two: one internet for all of it, and a Postbuch for each test.
@pytest.fixture(scope='module')
def net():
    with internet() as n:
        yield n


@pytest.fixture
def server(net):
    with net.server() as s:
        yield s


def fate(server, address):
    """The recipient as the trace has it: of the latest message to it."""
    found = server.trace(address)
    return found[-1]['recipients'][0] if found else None


def settled(server, address, state):
    def look():
        f = fate(server, address)
        return f if f and f['state'] == state else None
    return lab.eventually(look, f'{address} is {state}')


def troubled(server, address):
    """It waits, and an attempt was made."""
    def look():
        f = fate(server, address)
        return f if f and any(e['kind'] == 'deferred' for e in f['events']) else None
    found = lab.eventually(look, f'{address} was tried')
    assert found['state'] == 'waiting', found
    return found


def reports(server, user='alice'):
    """Recipient -> report."""
    found = {}
    for path in server.messages(user):
        report = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for part in report.walk():
            if part.get_content_type() == 'message/delivery-status':
                for fields in part.get_payload()[1:]:
                    found[fields['Final-Recipient'].split(';')[1]] = (report, fields)
    return found
