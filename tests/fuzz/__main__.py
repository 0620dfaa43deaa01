"""Fuzz one target with atheris: `python -m tests.fuzz TARGET SECONDS`. Call it with `scripts/fuzz`."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wschat"]):
    from tests.fuzz.targets import CORPUS, TARGETS

_MAX_MEMORY_MEGABYTES = 512
# libFuzzer checks the peak memory of the process, which on Linux starts at that of its parent process.
_MEGABYTES_AT_START = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
_MAX_SECONDS_PER_INPUT = 10


def main() -> None:
    """Run until an input fails or the time is up. Leave a failing input in the current folder, and new inputs in a temporary one."""
    target, seconds = sys.argv[1], int(sys.argv[2])
    found = Path(tempfile.mkdtemp(prefix=f"wschat-fuzz-{target}-"))
    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={_MEGABYTES_AT_START + _MAX_MEMORY_MEGABYTES}",
        f"-timeout={_MAX_SECONDS_PER_INPUT}",
        "-max_len=20000",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / target)], TARGETS[target])
    atheris.Fuzz()


main()
