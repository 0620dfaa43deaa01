"""Idempotency keys: what a broker remembers of a message with a key, also after the message itself is deleted."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from wschat.brokers.base import Duplicate
from wschat.errors import Rejected

MAX_KEYS = 100_000
"""How many messages of a room are remembered by their keys."""


class KeyRecord(NamedTuple):
    """The message that was appended with a key."""

    seq: int
    """The number of the message."""
    digest: bytes
    """A digest of its text, which tells it from other texts."""

    @classmethod
    def of(cls, seq: int, text: str) -> KeyRecord:
        """Return the record of a new message."""
        return cls(seq, _digest(text))

    def result_for(self, text: str) -> Duplicate | Rejected:
        """Return the result of another draft with this key: the number of the message, or an error if its text differs."""
        if self.digest == _digest(text):
            return Duplicate(self.seq)
        return Rejected("id-used", "This id belongs to a message with another text.")


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
