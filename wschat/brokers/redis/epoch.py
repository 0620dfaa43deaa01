"""The epoch: a new one begins if Redis has lost messages, as after FLUSHALL or a failover to a replica that lagged behind.

The numbers of the messages that were lost are then given again. So a node that finds a room's last number below one that it has seen
begins a new epoch, by compare-and-set, before it appends or delivers anything; the other nodes find the new epoch by themselves.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

from wschat.brokers.redis.following import FollowedRooms
from wschat.brokers.redis.scripts import CHANGE_EPOCH
from wschat.brokers.redis.server import Server

logger = logging.getLogger("wschat.brokers")


class Epoch:
    """The epoch of the log, as this node knows it. Methods wait for Redis, raise RedisError, and may be called from any thread."""

    def __init__(self, server: Server, followed: FollowedRooms, on_change: Callable[[str], None]) -> None:
        """`on_change` is called with the epoch, now and when it changes, before the subscribers are told."""
        self._server = server
        self._followed = followed
        self._on_change = on_change
        self._change_epoch = server.client.register_script(CHANGE_EPOCH)
        self._epoch_lock = threading.Lock()  # guards _value, also while Redis is asked; the lock of _followed is acquired while it is held
        self._value = self._change_from("")
        on_change(self._value)

    @property
    def value(self) -> str:
        """The epoch, at this moment."""
        return self._value

    def check(self) -> None:
        """Find out if another node has begun a new epoch, or if Redis has lost all."""
        with self._epoch_lock:
            stored: Any = self._server.client.get(self._server.keys.epoch)
            if stored is None or stored.decode() != self._value:
                self._adopt(self._change_from(""))

    def check_rooms(self) -> None:
        """Do what `check` does, and begin a new epoch if Redis has lost messages that were delivered here, unless another node did so."""
        self.check()
        with self._epoch_lock:
            if not self._followed.refresh():
                self._adopt(self._change_from(self._value))

    def _change_from(self, known: str) -> str:
        """Replace the epoch if it is still this one, or if there is none. Return the epoch."""
        keys = self._server.keys
        found: Any = self._change_epoch(keys=[keys.epoch, keys.relay], args=[known, secrets.token_hex(8)])
        return str(found.decode())

    def _adopt(self, value: str) -> None:
        assert self._epoch_lock.locked()
        logger.error("%s has lost messages: the history goes on with the epoch %s", self._server.url, value)
        self._on_change(value)
        self._followed.begin_anew()
        self._value = value  # last: if Redis is lost meanwhile, the next check goes on with this
