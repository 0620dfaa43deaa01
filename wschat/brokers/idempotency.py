"""Idempotency keys: what a broker remembers of a message with a key, also after the message itself is deleted."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from wschat.brokers.base import Draft, Duplicate
from wschat.errors import Rejected

MAX_KEYS = 100_000
"""How many messages of a room are remembered by their keys."""


class KeyRecord(NamedTuple):
    """The message that was appended with a key."""

    seq: int
    """The number of the message."""
    digest: bytes
    """A digest of its text and kind, which tells it from others."""

    @classmethod
    def of(cls, seq: int, draft: Draft) -> KeyRecord:
        """Return the record of a new message, given by its number and its draft."""
        return cls(seq, _digest(draft))

    def result_for(self, draft: Draft) -> Duplicate | Rejected:
        """Return the result of another draft with this key: the number of the message, or an error if its text or kind differs."""
        if self.digest == _digest(draft):
            return Duplicate(self.seq)
        return id_used()


def id_used() -> Rejected:
    """Return the result of a draft whose key belongs to a message with another text or kind."""
    return Rejected("id-used", "This id belongs to a message with another text.")


def _digest(draft: Draft) -> bytes:
    text = draft.text.encode()
    if draft.kind:
        text = draft.kind.encode() + b"\xff" + text  # a byte that no text has in UTF-8
    return blake2b(text, digest_size=8).digest()
