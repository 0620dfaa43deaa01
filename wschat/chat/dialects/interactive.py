"""What a dialect is that clients also write: how their requests are parsed, and how they are replied to."""

from __future__ import annotations

from abc import abstractmethod

from wschat.chat.action import AnyAction
from wschat.chat.dialects.base import Dialect
from wschat.errors import Rejected
from wschat.events import Event


class InteractiveDialect(Dialect):
    """How the chat and a client write to each other. From any thread."""

    @abstractmethod
    def parse(self, text: str, room: str | None) -> AnyAction:
        """Return the action that a client in this room asks for. Raises Rejected."""

    @abstractmethod
    def reply_to(self, action: AnyAction, reply: Event | None) -> str | None:
        """Return the reply to an action that was done, None for no reply. `reply` is what its `run` returned."""

    @abstractmethod
    def rejection_of(self, request_text: str, error: Rejected, *, is_news: bool) -> str | None:
        """Return the reply to a request that failed, None for no reply. `is_news` is False if the client was told the same before."""
