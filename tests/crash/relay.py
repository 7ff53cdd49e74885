#!/usr/bin/python3
"""Kills what carries mail on, again and again, while clients send to other servers.

    relay.py [--rounds N] [--clients N] [--seed N]

Of the servers one takes mail for bob and refuses nobody, and one is down. The oracle stands outside:
the clients write down what was acknowledged, the servers what arrived. Each acknowledged message has
arrived, or was returned by a report to its sender, or waits; and what waits arrives when its server is
there again. At most what was under way at a kill arrives twice. Needs root, NSD, Postfix' programs for
the lab, and $POSTBUCH_BUILD, a release build; exit code 77 where that isn't to be had.
"""
import argparse
import random
import sys

from kill import kill_rounds
from oracle import NUMBER, Clients, lab, options

from net import zones
from net.hostile import Station
from net.internet import internet, why_not

VICTIMS = ('smtp', 'queue', 'resolver', 'all')
# The widest window of a destination, and as many outcomes that were not sealed yet.
DOUBLES_A_KILL = 128


def take_bob(line):
    return b'250 2.1.5 ok\r\n' if b'<bob@' in line else b'550 5.1.1 no such user\r\n'


def bodies(station):
    """As they were sent to us: without the fields that Postbuch put in front. A message for nobody is
    empty: DATA was on its way when the recipient was refused."""
    return [m[m.index(b'Subject: x\r\n'):].replace(b'\r\n', b'\n') for m in station.messages if m]


def returned(server):
    """The numbers of the messages that reports are about, one for each report."""
    return [n.decode() for path in server.messages('alice')
            for n in NUMBER.findall(path.read_bytes())]


def check(server, clients, station, rounds):
    """Each message that was acknowledged has the one fate that its recipient means."""
    def is_quiet():
        return all(row['destination'] == 'down-only.example' for row in server.json('queue'))
    lab.eventually(is_quiet, 'only what can\'t be delivered waits', 180)
    recipients, acknowledged = clients.recipients(), clients.acknowledged()

    def sent_to(part):
        return {n for n in acknowledged if part in recipients[n]}
    lab.eventually(lambda: sent_to('nobody@') <= set(returned(server)), 'all reports are there', 180)
    waiting = len(server.json('queue'))
    there_again = Station(zones.DOWN, {})
    lab.eventually(lambda: server.json('queue') == [], 'what waited arrives', 180)
    there_again.stop()

    arrived, late, reports = (clients.count_whole(bodies(station)),
                              clients.count_whole(bodies(there_again)), returned(server))
    doubles = [sum(n - 1 for n in arrived.values()), sum(n - 1 for n in late.values()),
               len(reports) - len(set(reports))]
    print(f'sent {len(recipients)}, acknowledged {len(acknowledged)} = '
          f'{len(acknowledged & arrived.keys())} arrived + {len(acknowledged & late.keys())} waiting + '
          f'{len(acknowledged & set(reports))} returned; doubles {doubles[0]}, of those that waited '
          f'{doubles[1]}, of reports {doubles[2]}', flush=True)
    assert sent_to('bob@station') <= arrived.keys(), 'lost'
    assert sent_to('@down-only') <= late.keys() and waiting == len(late), 'lost'
    assert not (arrived.keys() & late.keys() or arrived.keys() & set(reports)), 'two fates'
    assert sum(doubles) <= rounds * DOUBLES_A_KILL
    clients.check_book(server, len(arrived) + len(late), 'relayed')


def main():
    wishes = options(argparse.ArgumentParser())
    if reason := why_not():
        print(f'SKIPPED: {reason}')
        return 77
    with internet() as net, net.server() as server:
        station, domain = net.station({'rcpt': take_bob})
        addresses = (*[f'bob@{domain}'] * 6, f'nobody@{domain}', 'bob@down-only.example')
        with Clients(server, wishes.clients, wishes.seed, addresses) as clients:
            kill_rounds(server, wishes.rounds, random.Random(wishes.seed), VICTIMS)
        check(server, clients, station, wishes.rounds)
    return 0


if __name__ == '__main__':
    sys.exit(main())
