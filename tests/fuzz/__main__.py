"""Fuzz one target with atheris: `python -m tests.fuzz TARGET SECONDS`. `scripts/fuzz` is the way to call it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wschat"]):
    from tests.fuzz.targets import CORPUS, TARGETS

_MAX_MEMORY_MEGABYTES = 512
_MAX_SECONDS_AN_INPUT = 10


def main() -> None:
    """Run until something breaks or the time is up. What is found is left in the current folder, what is new in a temporary one."""
    target, seconds = sys.argv[1], int(sys.argv[2])
    found = Path(tempfile.mkdtemp(prefix=f"wschat-fuzz-{target}-"))
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={_MAX_MEMORY_MEGABYTES}",
        f"-timeout={_MAX_SECONDS_AN_INPUT}",
        "-max_len=20000",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / target)], TARGETS[target])
    atheris.Fuzz()


main()
