"""The standard streams of a command, which may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TextIO

logger = logging.getLogger("wschat")


def open_standard_streams() -> None:
    """Open the null device for each closed standard stream. Otherwise a socket would get its descriptor, and what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # open as long as the process runs
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold characters that the encoding lacks


def announce(line: str) -> None:
    """Print a line. If standard output cannot be written to, log a warning and discard its output from then on."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError as error:
        logger.warning("cannot write to standard output: %s", error.strerror)
        discard(sys.stdout)


def discard(stream: TextIO) -> None:
    """Redirect a stream, and what its buffer still holds, to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
