"""The standard streams of a command, which may be closed, full, or read by nobody any more."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TextIO

logger = logging.getLogger("wschat")


def open_standard_streams() -> None:
    """Open the null device for each standard stream that is closed: else a socket would get its number, and be written to."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # as long as the process runs
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the encoding does not


def announce(line: str) -> None:
    """Print a line. If standard output does not take it, log so and go on without."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError as error:
        logger.warning("cannot write to standard output: %s", error.strerror)
        discard(sys.stdout)


def discard(stream: TextIO) -> None:
    """Send what is written to a stream from now on to the null device, and what it still holds, too."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
