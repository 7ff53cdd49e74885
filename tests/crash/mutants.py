#!/usr/bin/python3
"""Which seed of the simulation catches which mutant.

    mutants.py BUILD-FOLDER

A table for README.md; exit code 1 when one is caught by none.
"""
import json
import re
import subprocess
import sys


def mutants(build):
    """Name and command of each, as tests/crash/meson.build has them."""
    listed = subprocess.run(['meson', 'introspect', '--tests', build], check=True,
                            capture_output=True, text=True).stdout
    for test in json.loads(listed):
        if name := re.fullmatch(r'crash/(?:.*, )?mutant (.*)', test['name']):
            yield name.group(1), test['cmd']


def main():
    blind = False
    for name, command in sorted(mutants(sys.argv[1])):
        done = subprocess.run(command, capture_output=True, text=True)
        blind |= done.returncode != 0
        said = re.search(r'seed (\d+), step (\d+): (.*)', done.stdout)
        crashed = re.search(r'caught by seed (\d+), by a crash', done.stdout)
        where = ' (`--ambush`)' if '--ambush' in command else ''
        where += ' (`fates`)' if '/fates' in command[0] else ''
        caught = ('**by none**' if done.returncode else
                  f'seed {said[1]}{where} | {said[3]}' if said else
                  f'seed {crashed[1]}{where} | a crash' if crashed else
                  f'`forged` | {done.stdout.strip().splitlines()[-1]}')
        print(f'| {name} | {caught} |', flush=True)
    return blind


if __name__ == '__main__':
    sys.exit(main())
