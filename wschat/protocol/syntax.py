"""Pieces of HTTP's syntax that openings are made of (RFC 9110, section 5.6)."""

from __future__ import annotations

import re

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The pattern of a token: the name of a header, of a subprotocol, or of an extension."""

_WHOLE = re.compile(TOKEN)


def is_token(text: str) -> bool:
    """Return True if the text is one token."""
    return _WHOLE.fullmatch(text) is not None
