"""Daemon threads, which do not keep a program from ending, and never run again once the interpreter is finalizing."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable


def start_daemon(work: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread and return it. Raises OSError if no thread can be started."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.ENOMEM, str(error)) from None
    return thread


def join_daemon(thread: threading.Thread) -> None:
    """Wait until a daemon thread has ended, unless it is the calling thread or the interpreter is finalizing."""
    if thread.ident != threading.get_ident() and not sys.is_finalizing():
        thread.join()
