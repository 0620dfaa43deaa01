"""What the clients have said and heard. It is kept in files, so that the memory of the clients' process shows what the clients keep."""

from __future__ import annotations

from pathlib import Path

Entry = tuple[int, str]
"""The number of a message in the log of its room, and its text."""


class Notes:
    """Messages in a file. Methods must not be called by two threads at the same time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+")
        self.count = 0
        """The number of messages."""

    def add(self, seq: int, text: str) -> None:
        """Add a message."""
        self._file.write(f"{seq} {text}\n")
        self.count += 1

    def read(self) -> list[Entry]:
        """Return the messages in the order in which they were added."""
        self._file.seek(0)
        words = (line.rstrip("\n").partition(" ") for line in self._file)
        return [(int(seq), text) for seq, _, text in words]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
