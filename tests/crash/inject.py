#!/usr/bin/python3
"""Lets a call of the real queue process fail, or kills it in that call, again and again, under load.

    inject.py [--rounds N] [--clients N] [--seed N] [--process queue|book|mailbox]

strace makes the n-th write, sync or rename of each thread fail with EIO or ENOSPC, or sends KILL
there. See oracle.py for what must hold. Needs strace, the right to trace (root), and
$POSTBUCH_BUILD, a release build; exit code 77 where that isn't to be had.
"""
import argparse
import random
import shutil
import subprocess
import sys
import time

from oracle import RETRY, Clients, lab, options

DOUBLES_A_FAULT = 256
CALLS = ('pwritev,pwrite64', 'write,writev', 'fdatasync', 'fsync', 'rename,renameat,renameat2',
         'fallocate')
FAULTS = ('error=EIO', 'error=ENOSPC', 'signal=KILL')


def one_round(server, process, rng):
    """Attaches for a while; gives what was done, or None when the process wasn't there."""
    pids = server.pids(process)
    if not pids:
        return None
    call, fault = rng.choice(CALLS), rng.choice(FAULTS)
    if call.startswith('write,') and fault != 'signal=KILL':
        return None  # mostly pipes and sockets, which don't fail so
    first = rng.randrange(1, 30 if 'write' in call or 'sync' in call else 3)
    when = rng.choice((f'{first}', f'{first}+{rng.randrange(1, 9)}'))
    tracer = subprocess.Popen(['strace', '-f', '-o', server.folder / 'strace', '-p', str(pids[0]),
                               '-e', f'trace={call}', '-e', f'inject={call}:{fault}:when={when}'],
                              stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0.3, 1.5))
    tracer.terminate()
    tracer.wait(30)
    said = server.folder / 'strace'
    hits = said.read_text(errors='replace').count('INJECTED') if said.exists() else 0
    return f'{call}:{fault}:when={when}, {hits} failed, ' + \
           ('killed' if pids != server.pids(process) else 'lives')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--process', default='queue')
    wishes = options(parser)
    if not lab.IS_ROOT or not shutil.which('strace'):
        print('SKIPPED: needs root and strace')
        return 77
    rng = random.Random(wishes.seed)
    with lab.Server(RETRY + 'spool_segment_size: 1M\n', sandbox='errno') as server:
        with Clients(server, wishes.clients, wishes.seed) as clients:
            for i in range(wishes.rounds):
                done = one_round(server, wishes.process, rng)
                print(f'round {i + 1}: {done}', flush=True)
                time.sleep(rng.uniform(0.2, 1))
            time.sleep(1)
        clients.check(server, wishes.rounds * DOUBLES_A_FAULT)
    return 0


if __name__ == '__main__':
    sys.exit(main())
