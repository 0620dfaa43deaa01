"""Signals of a command: their actions run in a thread, where they can wait and take locks.

A signal handler can do neither, because it interrupts the main thread at any point, even inside another handler.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Mapping

from wschat.daemons import join_daemon, start_daemon

logger = logging.getLogger("wschat.server")

_READ_BYTES = 4096


class Signals:
    """Calls an action for each signal, one at a time, in a thread that ends with the block.

    Equal signals that arrive while an action runs count once. After the block, signals are ignored. For the main thread.
    """

    def __init__(self, actions: Mapping[int, Callable[[], None]]) -> None:
        self._actions = actions
        self._arrived, self._arrivals = socket.socketpair()

    def __enter__(self) -> Signals:
        self._arrived.setblocking(False)
        # The interpreter writes the number of each signal to this socket. If it is full, the number is likely to be there already.
        signal.set_wakeup_fd(self._arrived.fileno(), warn_on_full_buffer=False)
        for number in self._actions:
            signal.signal(number, _do_nothing)
        self._thread = start_daemon(self._act, "wschat-signals")
        return self

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(-1)
        self._arrived.close()
        join_daemon(self._thread)
        self._arrivals.close()

    def _act(self) -> None:
        while numbers := self._arrivals.recv(_READ_BYTES):
            for number in set(numbers) & self._actions.keys():
                try:
                    self._actions[number]()
                except Exception:
                    logger.exception("the action for signal %d failed", number)  # later signals still count


def _do_nothing(*_: object) -> None:
    """Take the place of the default handler, which would end the process."""
