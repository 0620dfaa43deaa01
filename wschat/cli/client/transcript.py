"""What was received while an expectation was waited for, for the error."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from wschat.cli.client.recording import Message

_MAX_MESSAGES = 100
_MAX_CHARACTERS = 500


def text_of(message: Message) -> str:
    """Return a message as text; bytes that are not UTF-8 are escaped."""
    return message if isinstance(message, str) else message.decode(errors="backslashreplace")


class Transcript:
    """The last messages that were received, shortened."""

    def __init__(self) -> None:
        self._messages: deque[str] = deque(maxlen=_MAX_MESSAGES)
        self._count = 0

    def add(self, message: Message) -> None:
        """Add a message."""
        text = text_of(message)
        self._messages.append(text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}... ({len(text)} characters)")
        self._count += 1

    def clear(self) -> None:
        """Forget all messages: an expectation was met."""
        self._messages.clear()
        self._count = 0

    def lines(self) -> Sequence[str]:
        """Return a line for each message."""
        dropped = self._count - len(self._messages)
        return [f"({dropped} earlier messages)"] * bool(dropped) + list(self._messages)
