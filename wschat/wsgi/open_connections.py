"""The WebSockets that this process has accepted inside another server: their limits, and their end with that of the process."""

from __future__ import annotations

import _thread
import threading

from wschat.forks import call_in_child
from wschat.limits import Limits
from wschat.server.connections import Connections
from wschat.server.refusals import STOPPING

_lock = threading.Lock()  # guards `_by_limits` and `_is_closing`
_by_limits: dict[Limits, Connections] = {}
_is_closing = False


def connections_for(limits: Limits) -> Connections:
    """Return the connections that share these limits. Raises RequestRefused (503) after `close_all`."""
    with _lock:
        if _is_closing:
            raise STOPPING
        if limits not in _by_limits:
            _by_limits[limits] = Connections(limits)
        return _by_limits[limits]


def close_all() -> None:
    """Close every WebSocket that was accepted in this process with 1001, and accept no more. Never waits.

    Under gunicorn this happens by itself when a worker is to stop. For another server, call it before that is stopped.
    """
    global _is_closing
    with _lock:
        if _is_closing:
            return  # a second call may come when no thread can be started any more
        _is_closing = True
        active = dict(_by_limits)
    for limits, connections in active.items():
        if len(connections):  # else the process may be ending, and start no thread
            _thread.start_new_thread(connections.close_all, (limits.close_timeout or None,))


def _begin_anew() -> None:
    """In a forked child: the connections are the parent's."""
    global _lock, _is_closing
    _lock = threading.Lock()
    _by_limits.clear()
    _is_closing = False


call_in_child(_begin_anew)
