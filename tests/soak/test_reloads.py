"""A server that a program starts and stops many times leaves nothing over; `scripts/soak reloads` has more rounds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.concurrency import TIMEOUT

ROUNDS = 10


@pytest.mark.gil  # CPython 3.13 without it never frees functions
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_ten_servers_leave_no_thread_descriptor_or_object() -> None:
    command = [sys.executable, "-m", "tests.soak.reloads", str(ROUNDS)]
    program = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT, check=False)
    assert program.returncode == 0, program.stdout + program.stderr
