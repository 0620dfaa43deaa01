"""What a bot says in a test."""

from __future__ import annotations


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
