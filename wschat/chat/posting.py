"""Posting: append one message and wait until it is durable, without being in the room."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from wschat.brokers.base import Broker, Draft, Duplicate, Message, Outcome


class PostResult(NamedTuple):
    """The result of posting a message."""

    message: Message
    """The message. Its time is 0 if it was posted before and is no longer kept."""
    is_new: bool
    """False if it was posted before, with the same key."""


def post(broker: Broker, draft: Draft) -> PostResult:
    """Append a message, and wait until it is durable. Raises Rejected and HistoryUnavailable."""
    publisher = _Publisher()
    broker.subscribe(draft.room, publisher)
    try:
        broker.append(draft, publisher)
        _, seq = publisher.wait()
    finally:
        broker.unsubscribe(draft.room, publisher)
    if not isinstance(seq, int):
        raise seq
    message = publisher.messages.get(seq)
    if message is not None:
        return PostResult(message, is_new=not isinstance(seq, Duplicate))
    kept = broker.read_since(draft.room, seq - 1, 1)
    if kept and kept[0].seq == seq:
        return PostResult(kept[0], is_new=False)
    return PostResult(Message(draft.room, seq, draft.sender, draft.text, 0.0), is_new=False)


class _Publisher:
    """The publisher of one message, subscribed to its room until the message is delivered."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self._outcome: Outcome | None = None
        self._is_settled = threading.Event()

    def wait(self) -> Outcome:
        """Return the outcome, when it is known."""
        self._is_settled.wait()
        assert self._outcome is not None
        return self._outcome

    def on_messages(self, messages: Sequence[Message]) -> None:
        """Take the next messages from the broker."""
        self.messages.update((message.seq, message) for message in messages)

    def on_members(self, joined: Sequence[str], left: Sequence[str]) -> None:
        """Do nothing."""

    def on_lost(self, last: int, topic: Message | None) -> None:
        """Do nothing: the outcome tells."""

    def flush(self) -> None:
        """Do nothing: nothing is sent on."""

    def on_appended(self, outcomes: list[Outcome]) -> None:
        """Take the outcome from the broker."""
        (self._outcome,) = outcomes
        self._is_settled.set()
