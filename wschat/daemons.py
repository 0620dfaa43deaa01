"""Daemon threads: they do not keep a program from ending, and never run again once the interpreter is finalizing."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable


def start_daemon(work: Callable[[], None], name: str) -> threading.Thread:
    """Start a thread that does not keep a program from ending. Raises OSError if there is none to be had."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.ENOMEM, str(error)) from None
    return thread


def join_daemon(thread: threading.Thread) -> None:
    """Wait until a daemon thread has ended: not if it is the calling one, and not while the interpreter is finalizing."""
    if thread.ident != threading.get_ident() and not sys.is_finalizing():
        thread.join()
