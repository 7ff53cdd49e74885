import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lab  # noqa: E402


@pytest.fixture
def server():
    with lab.Server() as s:
        yield s


needs_root = pytest.mark.skipif(not lab.IS_ROOT, reason='needs root')
