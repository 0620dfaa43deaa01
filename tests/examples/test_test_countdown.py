"""The example of a test case of unittest."""

from __future__ import annotations

import subprocess
import sys

from tests.concurrency import TIMEOUT
from tests.examples.wiring import EXAMPLES
from tests.server.command import environment


def test_the_tests_pass() -> None:
    command = [sys.executable, "-W", "error", "-m", "unittest", "test_countdown.py"]
    done = subprocess.run(command, cwd=EXAMPLES, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.stderr.splitlines()[-1] == "OK", done.stderr
    assert "Ran 3 tests" in done.stderr
    assert done.returncode == 0
