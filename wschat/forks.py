"""Forks: how objects of the parent behave in a forked child.

A child has a copy of every object and descriptor of its parent, but of its threads only the one that has forked. Therefore all that was
made before the fork stays with the parent: right after the fork, the child closes its own copies of the descriptors, which the peers do
not notice, and replaces the locks that other threads may have held. Such an object raises UsageError when it is used in the child. What
the child makes itself has threads, locks and descriptors of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
from collections.abc import Callable
from weakref import WeakSet

from wschat.errors import UsageError

logger = logging.getLogger("wschat")


class ForkAware:
    """The base of objects that belong to the process that made them."""

    _is_inherited = False  # True in a forked child, if the parent made the object

    def _watch_forks(self) -> None:
        """Call `_leave_to_parent` in each forked child. Call this before the object can be used."""
        _objects.add(self)

    def _leave_to_parent(self) -> None:
        """Close the child's copies of descriptors and replace locks, without waiting for one. Overridden; called once, after a fork."""
        self._is_inherited = True

    def _check_process(self) -> None:
        """Raise UsageError if the object was inherited from the parent process."""
        if self._is_inherited:
            raise self._inherited_error()

    def _inherited_error(self) -> UsageError:
        return UsageError(f"{self!r} was made before a fork and belongs to the parent process: make another one in the child")


def check_process(value: object) -> None:
    """Raise UsageError if an object was inherited from the parent process."""
    if isinstance(value, ForkAware):
        value._check_process()


def call_in_child(function: Callable[[], None]) -> None:
    """Call a function in each forked child, before `_leave_to_parent` of the objects."""
    _functions.append(function)


def close_in_child(descriptor: socket.socket | selectors.BaseSelector) -> None:
    """Close a socket or a selector in each forked child, as long as it lives: only the descriptor of the child, as `close_copy` does."""
    _descriptors.add(descriptor)


def close_copy(sock: socket.socket) -> None:
    """Close the descriptor of a socket in this process only: without a shutdown or TLS alert, also if there are files of the socket."""
    descriptor = sock.detach()
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.close(descriptor)


_objects: WeakSet[ForkAware] = WeakSet()
_descriptors: WeakSet[socket.socket | selectors.BaseSelector] = WeakSet()
_functions: list[Callable[[], None]] = []


def _leave_all_to_parent() -> None:
    objects, descriptors = list(_objects), list(_descriptors)
    _objects.clear()
    _descriptors.clear()
    for function in (*_functions, *(each._leave_to_parent for each in objects)):
        try:
            function()
        except Exception:
            logger.exception("a forked child could not leave an object to its parent")
    for descriptor in descriptors:
        if isinstance(descriptor, socket.socket):
            close_copy(descriptor)
        else:
            descriptor.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all_to_parent)
