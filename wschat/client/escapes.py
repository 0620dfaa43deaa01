"""Text of a peer, made safe to show: characters that control a terminal, or that hide or reorder text, are escaped."""

from __future__ import annotations

import re

# C0 without tab and line feed, DEL and C1; marks, embeddings, overrides and isolates of direction; line and paragraph separators.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_INDENT = "    "


def printable(text: str) -> str:
    """Return a text with control characters escaped as in Python, such as `\\x1b`; tabs and line feeds stay."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """Return a text with control characters and line feeds escaped."""
    return printable(text).replace("\n", "\\n")


def indented(text: str) -> str:
    """Return a printable text whose second and further lines are indented, so that no line looks like another message."""
    return printable(text.replace("\r\n", "\n")).replace("\n", f"\n{_INDENT}")
