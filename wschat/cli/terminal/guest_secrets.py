"""The secrets by which chats know this user as the same guest in the next run, so that the name is still free for the user.

They are kept in the user's folder for the state of programs, in a file that only the user can read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from platformdirs import user_state_path


class GuestSecrets:
    """A file of secrets by server. A file that cannot be read or written is no error: the user is a new guest then."""

    def __init__(self, folder: Path | None = None) -> None:
        try:
            self._path: Path | None = (folder or user_state_path("wschat", appauthor=False)) / "guest-secrets.json"
        except RuntimeError:  # from platformdirs
            self._path = None

    def find(self, server: str) -> str | None:
        """Return the secret for a server, None if there is none."""
        secret = self._read().get(server)
        return secret if isinstance(secret, str) else None

    def store(self, server: str, secret: str) -> None:
        """Keep the secret for a server."""
        if self._path is None:
            return
        new = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump({**self._read(), server: secret}, file, indent=1)
            os.replace(new, self._path)
        except OSError:
            pass

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8")) if self._path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
