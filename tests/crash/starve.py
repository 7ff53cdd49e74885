#!/usr/bin/python3
"""Every n-th allocation of one process fails, under load.

    starve.py [--process NAME] [--every N] [--seconds N] [--clients N] [--seed N]

The process lives, sessions get 4xx or end, and nothing is lost (oracle.py). Needs $POSTBUCH_BUILD, a
release build.
"""
import argparse
import sys
import time

from oracle import RETRY, Clients, lab, options

from net.hostile import Station

# The mailbox process ends by itself when there is no memory for a batch: its jobs are made again.
PROCESSES = ('smtpd', 'queue', 'smtp', 'directory', 'book')


def feed(server, process, clients, seconds):
    """Lets them send; gives the process back its memory at the end."""
    before = server.pids(process)
    with clients:
        time.sleep(seconds)
        after = server.pids(process)
    assert before and before == after, f'{process} ended:\n{server.log()[-4000:]}'
    server.environment = {}
    server.restart()
    print(process, end=': ')


def starve(process, wishes):
    port = lab.free_port()
    station = Station('127.0.0.1', {}, port)
    relays = f'relays: {{ far.example: {{ to: ["smtp:127.0.0.1:{port}"] }} }}\n'

    def bodies():
        return [m[m.index(b'Subject: x\r\n'):].replace(b'\r\n', b'\n') for m in station.messages]
    with lab.Server(RETRY + relays) as server:
        server.stop()
        server.environment = {'LD_PRELOAD': str(lab.BUILD / 'tests' / 'crash' / 'libstarve.so'),
                              'STARVE': process, 'STARVE_EVERY': str(wishes.every)}
        server.start()
        relayed = process == 'smtp'
        clients = Clients(server, wishes.clients, wishes.seed,
                          ['bob@far.example' if relayed else 'bob@postbuch.test'])
        feed(server, process, clients, wishes.seconds)
        clients.check(server, 4096, *((bodies, 'relayed') if relayed else ()))
    station.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--process', choices=PROCESSES)
    parser.add_argument('--every', type=int, default=97)
    parser.add_argument('--seconds', type=float, default=8)
    wishes = options(parser)
    for process in [wishes.process] if wishes.process else PROCESSES:
        starve(process, wishes)
    return 0


if __name__ == '__main__':
    sys.exit(main())
