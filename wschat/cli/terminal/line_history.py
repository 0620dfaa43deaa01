"""The lines that the user typed in earlier runs, in a file that only the user can read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_state_path
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

MAX_BYTES = 500_000


class LineHistory(FileHistory):
    """A file of lines. Once it cannot be written, lines are kept in memory only."""

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines of the file, the newest first, none if it cannot be read."""
        try:
            return super().load_history_strings()
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Add a line to the file."""
        try:
            super().store_string(string)
        except OSError:
            pass


def open_history(name: str, folder: Path | None = None) -> History:
    """Return the history with this name, in the user's folder for the state of programs.

    Half of a file that has become too large is dropped. Without a folder that can be written, the lines are kept in memory only.
    """
    try:
        folder = user_state_path("wschat", appauthor=False) if folder is None else folder
        path = folder / f"{name}-history"
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        if path.stat().st_size > MAX_BYTES:
            kept = path.read_bytes()[-MAX_BYTES // 2 :]
            path.write_bytes(kept[kept.find(b"\n#") :])  # each entry begins with a comment
    except (OSError, RuntimeError):  # platformdirs raises RuntimeError
        return InMemoryHistory()
    return LineHistory(path)
