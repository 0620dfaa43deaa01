"""Small programs that use wschat, each run as a process of its own. Tests do not belong here."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.connection.wiring import PATIENCE


def run_program(source: str, *arguments: str, code: int = 0) -> str:
    """Run a program to its end, which it must reach by itself, with this exit code and no traceback. Return what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(source), *arguments]
    program = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert program.stderr == "", program.stderr
    assert program.returncode == code, program.stdout
    return program.stdout
