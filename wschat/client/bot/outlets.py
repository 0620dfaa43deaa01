"""Outlets: where the texts of a bot go."""

from __future__ import annotations

from collections.abc import Callable

from wschat.client.bot.message import Outlet
from wschat.client.chat.client import ChatClient


class Reply(str):
    """A text that a bot has sent. It is equal to any str with the same characters."""

    __slots__ = ("room", "to")

    room: str
    """The room; empty for a whisper."""
    to: str
    """The user a whisper is for; empty for a text in a room."""

    def __new__(cls, text: str, *, room: str = "", to: str = "") -> Reply:
        """Make a reply: in a room, or to a user."""
        reply = super().__new__(cls, text)
        reply.room, reply.to = room, to
        return reply


class Recorder:
    """An outlet that keeps the texts."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        """The texts, in order."""

    def say(self, room: str, text: str, *, id: str | None = None) -> int:  # noqa: A002
        """Keep a text for a room, and return how many texts there are."""
        self.replies.append(Reply(text, room=room))
        return len(self.replies)

    def whisper(self, name: str, text: str) -> None:
        """Keep a text for a user."""
        self.replies.append(Reply(text, to=name))


class ClientOutlet:
    """Sends texts by a client. Waits for their replies at most `timeout` seconds, in which a lost connection may come back."""

    def __init__(self, client: ChatClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    def say(self, room: str, text: str, *, id: str | None = None) -> int:  # noqa: A002
        """Send a text to a room, and return its number."""
        return self._client.say(room, text, id=id, timeout=self._timeout)

    def whisper(self, name: str, text: str) -> None:
        """Send a text to one user."""
        self._client.whisper(name, text, timeout=self._timeout)


class CountingOutlet:
    """Sends texts by another outlet, and counts the handler's first one as an answer."""

    def __init__(self, outlet: Outlet, count: Callable[[], object]) -> None:
        self._outlet = outlet
        self._count: Callable[[], object] | None = count

    def say(self, room: str, text: str, *, id: str | None = None) -> int:  # noqa: A002
        """Send a text to a room, and return its number."""
        self._note()
        return self._outlet.say(room, text, id=id)

    def whisper(self, name: str, text: str) -> None:
        """Send a text to one user."""
        self._note()
        self._outlet.whisper(name, text)

    def _note(self) -> None:
        if self._count is not None:
            self._count()
            self._count = None
