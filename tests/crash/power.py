#!/usr/bin/python3
"""Cuts the power of a file system under load, again and again: shut down without a flush of its
journal (ioctl 0x8004587D), all processes killed, mounted again, recovered.

    power.py [--fs ext4|xfs] [--rounds N] [--clients N] [--seed N]

Spool, ledger and mailboxes lie on a loop-mounted image. See oracle.py for what must hold. Needs root,
loop devices, mkfs, and $POSTBUCH_BUILD, a release build; exit code 77 where that isn't to be had.
"""
import argparse
import fcntl
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from oracle import RETRY, Clients, lab, options

SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2
DOUBLES_A_CUT = 256


class Image:
    """A file system of its own in a file."""

    def __init__(self, kind, size='1G', make=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='postbuch-image-', dir='/var/tmp'))
        self.folder.chmod(0o755)
        self.file, self.root = self.folder / 'image', self.folder / 'root'
        self.root.mkdir()
        subprocess.run(['truncate', '-s', size, self.file], check=True)
        subprocess.run([f'mkfs.{kind}', '-q', *make, self.file], check=True)
        self.mount()

    def mount(self):
        subprocess.run(['mount', '-o', 'loop', self.file, self.root], check=True)

    def umount(self):
        """Waits, too, for the mount namespaces of processes that are just ending."""
        lab.eventually(lambda: subprocess.run(['umount', self.root], capture_output=True).returncode == 0
                       or time.sleep(0.1), 'the image is let go')
        lab.eventually(lambda: not subprocess.run(['losetup', '-j', self.file], capture_output=True).stdout
                       or time.sleep(0.1), 'the loop device is free')

    def cut(self):
        fd = os.open(self.root, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack('I', WITHOUT_FLUSH))
        os.close(fd)

    def remove(self):
        subprocess.run(['umount', '-l', self.root], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def is_possible(kind):
    return (lab.IS_ROOT and shutil.which(f'mkfs.{kind}') and os.path.exists('/dev/loop-control')
            and subprocess.run(['losetup', '-f'], capture_output=True).returncode == 0)


def cut_rounds(server, image, rounds, rng):
    for i in range(rounds):
        time.sleep(rng.uniform(0.5, 2))
        image.cut()
        time.sleep(rng.choice((0, 0.05, 0.5)))  # what is said on the dead disk must not be wrong
        server.kill_all()
        image.umount()
        image.mount()
        server.start()
        print(f'round {i + 1}: back', flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--fs', default='ext4')
    wishes = options(parser)
    if not is_possible(wishes.fs):
        print(f'SKIPPED: no loop-mounted {wishes.fs} can be had here')
        return 77
    image = Image(wishes.fs)
    try:
        folder = image.root / 'server'
        folder.mkdir()
        server = lab.Server(RETRY + 'spool_segment_size: 4M\n', folder=folder)
        server.log_path = image.folder / 'log'
        subprocess.run(['sync'], check=True)
        with server:
            with Clients(server, wishes.clients, wishes.seed) as clients:
                cut_rounds(server, image, wishes.rounds, random.Random(wishes.seed))
                time.sleep(1)
            clients.check(server, wishes.rounds * DOUBLES_A_CUT)
    finally:
        image.remove()
    return 0


if __name__ == '__main__':
    sys.exit(main())
