"""The end of gunicorn's workers: an open WebSocket would hold a worker until `graceful_timeout`.

A worker that is to stop sets its attribute `alive` to False, for a signal as for `max_requests`; its own hooks come after the wait
for all requests. So the attribute becomes a property here, which costs no thread and no polling.
"""

from __future__ import annotations

import _thread
import signal
from typing import Any

from wschat.wsgi.open_connections import close_all


def close_all_with_worker() -> None:
    """Have `close_all` called when the gunicorn worker of this process is to stop. From any thread; does nothing the second time."""
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if worker is not None and hasattr(worker, "alive"):
        watch(worker)


def watch(worker: Any) -> None:
    """Have `close_all` called when a gunicorn worker is to stop.

    For a program with a handler of SIGTERM of its own: `post_worker_init = wschat.wsgi.gunicorn.watch` in `gunicorn.conf.py`.
    """
    cls = type(worker)
    if not isinstance(getattr(cls, "alive", None), property):
        worker.__class__ = type(cls.__name__, (cls,), {"alive": property(_get_alive, _set_alive)})
        if not worker.alive:
            close_all()


def _get_alive(worker: Any) -> bool:
    return bool(vars(worker)["alive"])


def _set_alive(worker: Any, alive: bool) -> None:
    was_alive, vars(worker)["alive"] = vars(worker)["alive"], alive
    if was_alive and not alive:
        # A signal handler sets it, which must take no lock that its thread may hold.
        _thread.start_new_thread(close_all, ())
