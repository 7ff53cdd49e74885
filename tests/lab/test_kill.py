"""A few rounds of each of tests/crash/*.py; many by hand."""
import subprocess
import sys

import lab
import pytest

TRIALS = {
    'kill': ['kill.py', '--rounds', '4', '--clients', '4'],
    'kill under relay': ['relay.py', '--rounds', '4', '--clients', '3'],
    'power cut, ext4': ['power.py', '--fs', 'ext4', '--rounds', '2', '--clients', '3'],
    'power cut, xfs': ['power.py', '--fs', 'xfs', '--rounds', '1', '--clients', '3'],
    'failing calls': ['inject.py', '--rounds', '5', '--clients', '3'],
    'no memory for smtpd': ['starve.py', '--process', 'smtpd', '--seconds', '4', '--clients', '3'],
    'no memory for the queue': ['starve.py', '--process', 'queue', '--seconds', '4', '--clients', '3'],
    'no memory for smtp': ['starve.py', '--process', 'smtp', '--seconds', '4', '--clients', '3'],
    'full disk': ['full.py', '--clients', '3'],
}


@pytest.mark.parametrize('name', TRIALS)
def test_nothing_is_lost(name):
    program, *arguments = TRIALS[name]
    done = subprocess.run([sys.executable, lab.ROOT / 'tests' / 'crash' / program, *arguments],
                          capture_output=True, text=True)
    print(done.stdout[-8000:], done.stderr[-8000:])
    if done.returncode == 77:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0
