"""Reservations: the names of guests who have left are theirs for some minutes more.

Only a guest who has brought a secret has a name reserved: who comes back without one, as a client of plain text or a script
that is started again, could not have it back and would be kept from their own name.
"""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

SECONDS_RESERVED = 300.0
_MAX_NAMES = 10_000
_MAX_NAMES_OF_ONE_PLACE = 64  # a class room comes from one address


class Reservation(NamedTuple):
    """A name that is kept for the guest who knows a secret. `until` is by the monotonic clock."""

    secret: str
    place: str
    until: float


class Reservations:
    """The names that are reserved, by their keys. Not for several threads at once: its owner has a lock."""

    def __init__(self) -> None:
        self._reserved: dict[str, Reservation] = {}  # in the order in which they end
        self._keys_at: dict[str, dict[str, None]] = {}  # the keys reserved from one place, in the same order

    def reserve(self, key: str, secret: str, place: str) -> None:
        """Keep a name. Where there are too many, of this place or in all, the oldest one is free again."""
        self.release(key)
        keys = self._keys_at.get(place, {})
        if len(keys) >= _MAX_NAMES_OF_ONE_PLACE:
            self.release(next(iter(keys)))
        elif len(self._reserved) >= _MAX_NAMES:
            self.release(next(iter(self._reserved)))
        self._reserved[key] = Reservation(secret, place, monotonic() + SECONDS_RESERVED)
        self._keys_at.setdefault(place, {})[key] = None

    def release(self, key: str) -> None:
        """Keep it no more; nothing happens if it was not kept."""
        reservation = self._reserved.pop(key, None)
        if reservation is None:
            return
        keys = self._keys_at[reservation.place]
        del keys[key]
        if not keys:
            del self._keys_at[reservation.place]

    def find(self, key: str) -> Reservation | None:
        """For whom a name is kept, None if it is free."""
        self._release_what_is_over()
        return self._reserved.get(key)

    def _release_what_is_over(self) -> None:
        now = monotonic()
        while self._reserved:
            key, reservation = next(iter(self._reserved.items()))
            if reservation.until > now:
                return
            self.release(key)
