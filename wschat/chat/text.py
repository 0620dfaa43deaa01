"""The text of a message: which texts are commands, and how a message and a topic are written as a line."""

from __future__ import annotations

from wschat.brokers.base import TOPIC
from wschat.v1 import ME_PREFIX


def is_command(text: str) -> bool:
    """Return True if a typed text is a command: it begins with one slash."""
    return text.startswith("/") and not text.startswith("//")


def unescape(text: str) -> str:
    """Return what a typed text that is not a command says: `//` at its beginning stands for one slash.

    `//me ` stays as it is, because `/me ` would describe what the sender does.
    """
    return text[1:] if text.startswith("//") and not text.startswith(f"/{ME_PREFIX}") else text


def as_line(sender: object, text: str, kind: str = "") -> str:
    """Return a message, or an entry of another kind, as a line of plain text."""
    if kind == TOPIC:
        return f"{sender} changed the topic to: {text}" if text else f"{sender} cleared the topic"
    return f"* {sender} {text.removeprefix(ME_PREFIX)}" if text.startswith(ME_PREFIX) else f"{sender}: {text}"


def as_topic_line(room: str, sender: object, text: object) -> str:
    """Return the topic of a room as a line of plain text."""
    return f"Topic of {room}, set by {sender}: {text}"
