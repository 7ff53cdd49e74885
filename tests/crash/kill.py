#!/usr/bin/python3
"""Kills a random process, again and again, while clients send.

    kill.py [--rounds N] [--clients N] [--seed N]

See oracle.py for what must hold. At most what was under way at a kill may be there twice.
Needs $POSTBUCH_BUILD, a release build.
"""
import argparse
import random
import time

from oracle import RETRY, Clients, lab, options

# What a kill may leave unreported: the mailbox's batches under way, and outcomes not yet sealed.
DOUBLES_A_KILL = 256
VICTIMS = ('smtpd', 'queue', 'book', 'directory', 'mailbox', 'smtp', 'report', 'resolver', 'all')


def kill_rounds(server, rounds, rng, victims=VICTIMS):
    for i in range(rounds):
        time.sleep(rng.uniform(0.3, 1.5))
        victim = rng.choice(victims)
        print(f'round {i + 1}: {victim}', flush=True)
        if victim == 'all':
            server.kill_all()
            server.start()
        else:
            server.kill(victim)
    time.sleep(1)


def main():
    wishes = options(argparse.ArgumentParser())
    with lab.Server(RETRY) as server:
        with Clients(server, wishes.clients, wishes.seed) as clients:
            kill_rounds(server, wishes.rounds, random.Random(wishes.seed))
        clients.check(server, wishes.rounds * DOUBLES_A_KILL)


if __name__ == '__main__':
    main()
