#!/usr/bin/python3
"""A disk of 64 MB with everything on it runs out of space, and another one out of inodes, while
clients send.

    full.py [--fs ext4|xfs] [--clients N] [--seed N]

New mail is deferred with 452 before DATA, no process ends, what waits is delivered and booked as
soon as there is room, and the server starts on a full disk. See oracle.py for what must hold. Needs
what power.py needs.
"""
import argparse
import os
import subprocess
import sys
import time

from oracle import RETRY, Clients, lab, options
from power import Image, is_possible

SETTINGS = RETRY + 'spool_segment_size: 1M\n'
LIMITS = ('limits: { disk_reserve: 12M, client_rate: 0, client_connections: 0, network_rate: 0, '
          'network_connections: 0, client_refusals: 0 }')
NAMES = ('queue', 'book', 'directory', 'mailbox', 'supervisor')


def refusal(server):
    """The code and the command that new mail is refused with; None: it is taken."""
    try:
        with server.smtp() as client:
            client.ehlo()
            for command in ('MAIL FROM:<alice@postbuch.test>', 'RCPT TO:<bob@postbuch.test>'):
                code, text = client.docmd(command)
                if code != 250:
                    return code, command[:4]
            return None
    except (lab.smtplib.SMTPException, OSError):
        return 0, 'connect'


def fill_space(folder):
    """Until there is no byte left, for root neither."""
    with open(folder / 'ballast', 'wb', buffering=0) as ballast:
        size = 1 << 20
        while size >= 512:
            try:
                ballast.write(b'x' * size)
            except OSError:
                size //= 2


def fill_inodes(folder):
    (folder / 'ballast').mkdir()
    try:
        for i in range(1 << 20):
            (folder / 'ballast' / str(i)).touch()
    except OSError:
        pass


def trial(kind, make, fill, wishes):
    image = Image(kind, '64M' if kind == 'ext4' else '320M', make)
    try:
        folder = image.root / 'server'
        folder.mkdir()
        server = lab.Server(SETTINGS, folder=folder, limits=LIMITS)
        server.log_path = image.folder / 'log'
        with server:
            before = {name: server.pids(name) for name in NAMES}
            with Clients(server, wishes.clients, wishes.seed) as clients:
                # Counted, not timed: on a fast machine the mail itself would fill the image.
                lab.eventually(lambda: len(clients.acknowledged()) >= 100, 'mail flows')
                fill(image.root)
                lab.eventually(lambda: refusal(server) == (452, 'MAIL'), 'new mail is deferred before DATA')
                count = len(clients.acknowledged())
                time.sleep(3)
                print(f'full: {count} acknowledged, {len(clients.acknowledged())} a little later')
                assert {name: server.pids(name) for name in NAMES} == before, 'a process ended'
                server.kill_all()  # and starts on the full disk
                server.start()
                time.sleep(1)
                subprocess.run(['rm', '-rf', image.root / 'ballast'], check=True)
                lab.eventually(lambda: refusal(server) is None, 'new mail is taken again')
                lab.eventually(lambda: len(clients.acknowledged()) > count + 20, 'mail flows again')
            clients.check(server, 512)
    finally:
        image.remove()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--fs', default='ext4')
    wishes = options(parser)
    if not is_possible(wishes.fs):
        print(f'SKIPPED: no loop-mounted {wishes.fs} can be had here')
        return 77
    print('no space left:')
    trial(wishes.fs, (), fill_space, wishes)
    print('no inodes left:')
    trial(wishes.fs, ('-N', '3000') if wishes.fs == 'ext4' else ('-i', 'maxpct=1'), fill_inodes, wishes)
    return 0


if __name__ == '__main__':
    sys.exit(main())
