"""The secrets by which guests are known again: opaque texts, one for each guest, that only the guest and the chat know."""

from __future__ import annotations

import re
import secrets

_BYTES = 24
# As many characters as 128 bits have in base64: whoever makes their own secret makes one that nobody guesses.
_SECRET = re.compile(r"[A-Za-z0-9_-]{22,128}")

SECRET_RULE = "22 to 128 letters, digits, '-' or '_'"


def make_secret() -> str:
    """A secret for a new guest."""
    return secrets.token_urlsafe(_BYTES)


def is_secret(text: str) -> bool:
    """Return True if this may be the secret of a guest."""
    return _SECRET.fullmatch(text) is not None
