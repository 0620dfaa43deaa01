"""Signals of a command: what is to be done about them is done in a thread, where it may wait and take locks.

A signal handler does neither: it interrupts the main thread wherever that is, another handler included.
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
    """Calls a function for each signal, one at a time, in a thread that ends with the block.

    Signals of one kind that arrive while a function runs count once. After the block they are ignored. For the main thread.
    """

    def __init__(self, actions: Mapping[int, Callable[[], None]]) -> None:
        self._actions = actions
        self._arrived, self._arrivals = socket.socketpair()

    def __enter__(self) -> Signals:
        self._arrived.setblocking(False)
        # The interpreter writes the number of each signal here, before any code of ours runs. One that finds no room is one of many.
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
                    logger.exception("what signal %d asks for failed", number)  # the others have still to be heard


def _do_nothing(*_: object) -> None:
    """Take the place of the default handler, which would end the process."""
