"""The secrets that identify guests: an opaque string for each guest, known only to the guest and the chat."""

from __future__ import annotations

import re
import secrets

_BYTES = 24
# At least as many characters as 128 bits take in base64, so that a secret that a client makes itself cannot be guessed.
_SECRET = re.compile(r"[A-Za-z0-9_-]{22,128}")

SECRET_RULE = "22 to 128 letters, digits, '-' or '_'"
"""What a secret must be, for error messages."""


def make_secret() -> str:
    """Return a secret for a new guest."""
    return secrets.token_urlsafe(_BYTES)


def is_secret(text: str) -> bool:
    """Return True if the text has the form of a secret."""
    return _SECRET.fullmatch(text) is not None
