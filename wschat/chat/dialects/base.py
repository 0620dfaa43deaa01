"""What a dialect is: how the events of the chat are written for a client."""

from __future__ import annotations

from abc import ABC, abstractmethod

from wschat.brokers.base import Draft, Message, Result
from wschat.events import Event


class Dialect(ABC):
    """How the chat writes to a client. From any thread."""

    one_room: bool
    """True if a client is in one room at a time: to join another one is to leave the first."""

    needs_name: bool
    """True if a client must have chosen a name to join rooms and to speak."""

    hears_of_members: bool = True
    """True if a client is told of members who join and leave."""

    is_seen: bool = True
    """True if a client is a member of its rooms; False if it only follows them."""

    @abstractmethod
    def greeting(self, name: str | None, secret: str | None) -> str:
        """Return the first text for a client with this name and this secret, None for no name and no secret."""

    @abstractmethod
    def event(self, event: Event) -> str | None:
        """Return the text for an event, None if the client is not told."""

    @abstractmethod
    def message(self, message: Message) -> str:
        """Return the text for a new message in a room."""

    def outcome(self, draft: Draft, result: Result) -> str | None:
        """Return the text for the author of a message that was appended or rejected, None for no text."""
        return None
