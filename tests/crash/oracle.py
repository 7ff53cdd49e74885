"""The oracle outside: clients that write down each message that got its 250, and what must hold then.

Every acknowledged message must arrive, byte for byte, or still wait; what was never acknowledged may
arrive whole or not at all.
"""
import pathlib
import random
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lab'))
import lab  # noqa: E402

RETRY = 'retry: { first: 1s, max: 2s, give_up: 1d }\n'
NUMBER = re.compile(rb'^X-Number: (\d+-\d+)$', re.MULTILINE)


def message(number, rng):
    """A message that tells by itself whether it is whole."""
    size = rng.choice((10, 1000, 10000, 70000, 200000))
    body = b'%d\r\n' % size + b'x' * 70 * (size // 70) + b'\r\nend\r\n'
    body = re.sub(rb'x{70}', b'x' * 70 + b'\r\n', body)
    return b'Subject: x\r\nX-Number: %s\r\n\r\n' % number.encode() + body


class Client(threading.Thread):
    """Sends one message after the other; writes down what was acknowledged."""

    def __init__(self, server, index, seed, addresses):
        super().__init__(daemon=True)
        self.server, self.index, self.addresses = server, index, addresses
        self.rng = random.Random(f'{seed}-{index}')
        self.sent, self.recipient, self.acknowledged = {}, {}, set()
        self.going = True

    def run(self):
        count = 0
        while self.going:
            try:
                with self.server.smtp() as client:
                    while self.going:
                        number = f'{self.index}-{count}'
                        count += 1
                        data = message(number, self.rng)
                        address = self.rng.choice(self.addresses)
                        self.sent[number], self.recipient[number] = data, address
                        client.sendmail('alice@postbuch.test', address, data)
                        self.acknowledged.add(number)
            except (lab.smtplib.SMTPException, OSError):
                time.sleep(0.05)


class Clients:
    """Several at once, for the time of a `with`."""

    def __init__(self, server, count, seed, addresses=('bob@postbuch.test',)):
        self.all = [Client(server, i, seed, addresses) for i in range(count)]

    def __enter__(self):
        for client in self.all:
            client.start()
        return self

    def __exit__(self, *exception):
        for client in self.all:
            client.going = False
        for client in self.all:
            client.join(120)

    def acknowledged(self):
        return set().union(*(c.acknowledged for c in self.all))

    def recipients(self):
        """Number -> to whom."""
        return {n: r for c in self.all for n, r in c.recipient.items()}

    def count_whole(self, bodies):
        """Number -> how often it is there; each must be as it was sent."""
        sent = {n: d for c in self.all for n, d in c.sent.items()}
        found = {}
        for body in bodies:
            number = NUMBER.search(body).group(1).decode()
            assert body == sent[number].replace(b'\r\n', b'\n'), f'{number} is damaged'
            found[number] = found.get(number, 0) + 1
        return found

    def check(self, server, doubles_at_most, bodies=None, fate='delivered'):
        """After the end: waits until nothing waits, then looks at what arrived (bodies(), if not in
        the mailbox)."""
        acknowledged = self.acknowledged()
        lab.eventually(lambda: server.json('queue') == [], 'nothing waits any more', 180)
        found = self.count_whole((bodies or server.bodies)())
        lost = acknowledged - found.keys()
        doubles = sum(n - 1 for n in found.values())
        print(f'sent {len(self.recipients())}, acknowledged {len(acknowledged)}, found {len(found)}, '
              f'lost {len(lost)}, doubles {doubles}', flush=True)
        assert not lost, sorted(lost)[:20]
        assert doubles <= doubles_at_most
        self.check_book(server, len(found), fate)

    @staticmethod
    def check_book(server, count, fate='delivered'):
        """All that arrived is booked, and nothing is off."""
        def is_right():
            audit = server.json('audit', check=False)
            return audit['ok'] and audit[fate] == count or time.sleep(1)
        lab.eventually(is_right, 'everything is booked and the book balances', 60)
        print(server.command('audit').stdout.decode())


def options(parser):
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--seed', type=int, default=random.randrange(1 << 32))
    wishes = parser.parse_args()
    print(f'seed {wishes.seed}', flush=True)
    return wishes
