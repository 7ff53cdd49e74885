"""A few rounds of tests/crash/kill.py; many by hand."""
import subprocess
import sys

import lab


def test_kill_rounds():
    done = subprocess.run([sys.executable, lab.ROOT / 'tests' / 'crash' / 'kill.py', '--rounds', '4',
                           '--clients', '4'], capture_output=True, text=True)
    print(done.stdout[-8000:], done.stderr[-8000:])
    assert done.returncode == 0
