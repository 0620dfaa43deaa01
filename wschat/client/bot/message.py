"""What a bot's handlers are called with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol


class Outlet(Protocol):
    """Where the texts of a bot go: to the chat, or to the list that `Bot.feed` returns."""

    def say(self, room: str, text: str, *, id: str | None = None) -> int:  # noqa: A002
        """Send a text to a room, and return its number."""

    def whisper(self, name: str, text: str) -> None:
        """Send a text to one user."""


@dataclass(frozen=True)
class Message:
    """A message that a bot has received: in a room, or a whisper to the bot."""

    room: str
    """The room; empty for a whisper."""
    sender: str
    """The name of its author."""
    text: str
    """The text."""
    seq: int
    """The number of the message in its room; 0 for a whisper."""
    time: float
    """When it was sent, in seconds since 1970, by the server's clock."""
    is_moderator: bool
    """True if the author was a moderator of the room at that moment; False if that is not known, as for a whisper."""
    outlet: Outlet = field(repr=False, compare=False)
    """Where answers go."""
    match: re.Match[str] | None = field(default=None, compare=False)
    """The match of the pattern of `on_message`; None for a command."""

    def reply(self, text: object) -> None:
        """Answer in the room, or by a whisper if it was one. Any object is sent as its `str`. Waits until the server has the answer.

        From any thread. Raises what `ChatClient.say` and `ChatClient.whisper` raise.
        """
        if self.room:
            self.outlet.say(self.room, str(text))
        else:
            self.whisper(text)

    def whisper(self, text: object) -> None:
        """Answer to the author only. Otherwise as `reply`."""
        self.outlet.whisper(self.sender, str(text))


@dataclass(frozen=True)
class Member:
    """A member who has joined a room that a bot is in."""

    room: str
    """The room."""
    name: str
    """The member's name."""
    is_moderator: bool
    """True if the member moderates the room."""
    outlet: Outlet = field(repr=False, compare=False)
    """Where answers go."""

    def reply(self, text: object) -> None:
        """Send a text to the room. Otherwise as `Message.reply`."""
        self.outlet.say(self.room, str(text))

    def whisper(self, text: object) -> None:
        """Send a text to the member only. Otherwise as `Message.reply`."""
        self.outlet.whisper(self.name, str(text))
