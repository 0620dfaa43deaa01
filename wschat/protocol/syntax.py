"""Elements of HTTP's syntax in opening handshakes (RFC 9110, section 5.6)."""

from __future__ import annotations

import re

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The pattern of a token, such as the name of a header, of a subprotocol, or of an extension."""

_WHOLE = re.compile(TOKEN)


def is_token(text: str) -> bool:
    """Return True if the text is a token."""
    return _WHOLE.fullmatch(text) is not None
