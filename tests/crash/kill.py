#!/usr/bin/python3
"""Kills a random process, again and again, while clients send.

    kill.py [--rounds N] [--clients N] [--seed N]

The oracle stands outside: the clients write down each message that got its 250. At the end every
one of them must be in the mailbox, whole, or still waiting; what was never acknowledged may be
there whole or not at all. At most what was under way at a kill may be there twice.
Needs $POSTBUCH_BUILD, a release build.
"""
import argparse
import pathlib
import random
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lab'))
import lab  # noqa: E402

# What a kill may leave unreported: the mailbox's batches under way, and outcomes not yet sealed.
DOUBLES_A_KILL = 256
VICTIMS = ('smtpd', 'queue', 'book', 'directory', 'mailbox', 'all')
NUMBER = re.compile(rb'^X-Number: (\d+-\d+)$', re.MULTILINE)


def message(number, rng):
    """A message that tells by itself whether it is whole."""
    size = rng.choice((10, 1000, 10000, 70000, 200000))
    body = b'%d\r\n' % size + b'x' * 70 * (size // 70) + b'\r\nend\r\n'
    body = re.sub(rb'x{70}', b'x' * 70 + b'\r\n', body)
    return b'Subject: x\r\nX-Number: %s\r\n\r\n' % number.encode() + body


class Client(threading.Thread):
    """Sends one message after the other; writes down what was acknowledged."""

    def __init__(self, server, index, seed):
        super().__init__(daemon=True)
        self.server, self.index = server, index
        self.rng = random.Random(f'{seed}-{index}')
        self.sent, self.acknowledged = {}, set()
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
                        self.sent[number] = data
                        client.sendmail('alice@postbuch.test', 'bob@postbuch.test', data)
                        self.acknowledged.add(number)
            except (lab.smtplib.SMTPException, OSError):
                time.sleep(0.05)


def kill_rounds(server, rounds, rng):
    for i in range(rounds):
        time.sleep(rng.uniform(0.3, 1.5))
        victim = rng.choice(VICTIMS)
        print(f'round {i + 1}: {victim}', flush=True)
        if victim == 'all':
            server.kill_all()
            server.start()
        else:
            server.kill(victim)
    time.sleep(1)


def check(server, clients, rounds):
    sent = {n: d for c in clients for n, d in c.sent.items()}
    acknowledged = set().union(*(c.acknowledged for c in clients))

    lab.eventually(lambda: server.json('queue') == [], 'nothing waits any more', 120)
    found = {}
    for body in server.bodies():
        number = NUMBER.search(body).group(1).decode()
        assert body == sent[number].replace(b'\r\n', b'\n'), f'{number} is damaged'
        found[number] = found.get(number, 0) + 1
    lost = acknowledged - found.keys()
    doubles = sum(n - 1 for n in found.values())
    print(f'sent {len(sent)}, acknowledged {len(acknowledged)}, found {len(found)}, '
          f'lost {len(lost)}, doubles {doubles}')
    assert not lost, sorted(lost)[:20]
    assert doubles <= rounds * DOUBLES_A_KILL


def main():
    options = argparse.ArgumentParser()
    options.add_argument('--rounds', type=int, default=20)
    options.add_argument('--clients', type=int, default=8)
    options.add_argument('--seed', type=int, default=random.randrange(1 << 32))
    wishes = options.parse_args()
    print(f'seed {wishes.seed}')
    rng = random.Random(wishes.seed)
    with lab.Server('retry: { first: 1s, max: 2s, give_up: 1d }\n') as server:
        clients = [Client(server, i, wishes.seed) for i in range(wishes.clients)]
        for client in clients:
            client.start()
        kill_rounds(server, wishes.rounds, rng)
        for client in clients:
            client.going = False
        for client in clients:
            client.join(120)
        check(server, clients, wishes.rounds)
        audit = server.command('audit', check=False)
        print(audit.stdout.decode())
        assert audit.returncode == 0, audit.stderr.decode()


if __name__ == '__main__':
    main()
