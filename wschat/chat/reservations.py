"""Reservations: the name of a guest whose connection has ended is reserved for some minutes.

Only for a guest who brought a secret. A guest without one, such as a plain-text client or a script that is started again, could
not prove to be the same and would be kept from its own name. And not after a close with 1000, by which a guest says that it has finished.
"""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

SECONDS_RESERVED = 300.0
"""For how long a name is reserved."""
_MAX_NAMES = 10_000
_MAX_NAMES_OF_ONE_NETWORK = 64  # a school class comes from one address


class Reservation(NamedTuple):
    """A name that is reserved for the guest with a secret."""

    secret: str
    """The guest's secret."""
    network: str
    """Where the guest was connected from."""
    until: float
    """When it ends, by the monotonic clock."""


class Reservations:
    """The reserved names, by their keys. Not thread-safe: its owner has a lock."""

    def __init__(self) -> None:
        self._reserved: dict[str, Reservation] = {}  # in the order in which they end
        self._keys_of: dict[str, dict[str, None]] = {}  # the keys reserved from each network, in the same order

    def reserve(self, key: str, secret: str, network: str) -> None:
        """Reserve a name. If there are too many, of this network or in all, the oldest one is released."""
        self.release(key)
        keys = self._keys_of.get(network, {})
        if len(keys) >= _MAX_NAMES_OF_ONE_NETWORK:
            self.release(next(iter(keys)))
        elif len(self._reserved) >= _MAX_NAMES:
            self.release(next(iter(self._reserved)))
        self._reserved[key] = Reservation(secret, network, monotonic() + SECONDS_RESERVED)
        self._keys_of.setdefault(network, {})[key] = None

    def release(self, key: str) -> None:
        """Release a name. Do nothing if it is not reserved."""
        reservation = self._reserved.pop(key, None)
        if reservation is None:
            return
        keys = self._keys_of[reservation.network]
        del keys[key]
        if not keys:
            del self._keys_of[reservation.network]

    def find(self, key: str) -> Reservation | None:
        """Return the reservation of a name, None if there is none."""
        self._release_expired()
        return self._reserved.get(key)

    def _release_expired(self) -> None:
        now = monotonic()
        while self._reserved:
            key, reservation = next(iter(self._reserved.items()))
            if reservation.until > now:
                return
            self.release(key)
