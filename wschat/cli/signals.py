"""Signals of a command: their actions run in a thread, where they can wait and take locks.

A signal handler can do neither, because it interrupts the main thread at any point, even inside another handler.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from io import RawIOBase
from typing import Any

from wschat.daemons import join_daemon, start_daemon
from wschat.forks import ForkAware

logger = logging.getLogger("wschat.server")

_READ_BYTES = 64 * 1024
_handled: set[int] = set()  # the signals that have an action


class Signals(ForkAware):
    """Calls an action for each signal, one at a time, in a thread that ends with the block.

    Equal signals that arrive while an action runs count once. After the block, signals are ignored. For the main thread. In a process
    that is forked in the block, signals do what they did before it.
    """

    def __init__(self, actions: Mapping[int, Callable[[], None]]) -> None:
        self._actions = actions
        self._arrivals, self._arrived = _open_pipe()
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        # The interpreter writes the number of each signal to this pipe.
        signal.set_wakeup_fd(self._arrived.fileno(), warn_on_full_buffer=False)
        self._earlier = {number: signal.signal(number, _do_nothing) for number in self._actions}
        self._watch_forks()
        _handled.update(self._actions)
        self._thread = start_daemon(self._act, "wschat-signals")
        return self

    def __exit__(self, *error: object) -> None:
        _handled.clear()
        signal.set_wakeup_fd(-1)
        self._arrived.close()
        join_daemon(self._thread)
        self._arrivals.close()

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        # Else a signal to the child would reach the thread of the parent, and would not end the child.
        signal.set_wakeup_fd(-1)
        for number, handler in self._earlier.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._arrived.close()
        self._arrivals.close()

    def _act(self) -> None:
        while numbers := self._arrivals.read(_READ_BYTES):
            for number in set(numbers) & self._actions.keys():
                try:
                    self._actions[number]()
                except Exception:
                    logger.exception("the action for signal %d failed", number)  # later signals still count


def _open_pipe() -> tuple[RawIOBase, RawIOBase | socket.socket]:
    """Return a pipe's ends for reading, and for writing without waiting.

    The number of a signal for which there is no room is lost. A pipe has room for 65,536 of them, a pair of sockets for some hundred.
    """
    if os.name == "posix":
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        return open(reader, "rb", buffering=0), open(writer, "wb", buffering=0)
    sock, other = socket.socketpair()  # Windows writes the numbers to sockets only
    other.setblocking(False)
    with sock:
        return sock.makefile("rb", buffering=0), other


def _do_nothing(*_: object) -> None:
    """Take the place of the default handler, which would end the process."""


class _Mask(threading.local):
    before_fork: set[int] | None = None


_mask = _Mask()


def _block() -> None:
    """Block signals until the child has its handlers."""
    if _handled:
        _mask.before_fork = signal.pthread_sigmask(signal.SIG_BLOCK, _handled)


def _unblock() -> None:
    if _mask.before_fork is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before_fork)
        _mask.before_fork = None


if hasattr(os, "register_at_fork"):
    # In a child, functions are called in the order of registration: this one after `_leave_to_parent`.
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_unblock)
