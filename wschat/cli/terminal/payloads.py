"""Messages of any server, as displayable text: JSON indented and coloured, binary as a hex dump."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from wschat.cli.terminal.rows import Fragment
from wschat.cli.terminal.safe_text import displayable

MAX_CHARACTERS = 20_000
MAX_DUMPED_BYTES = 4096
_BYTES_A_ROW = 16
_MAX_ROW = 60
_JSON_TOKEN = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>\w+)|(?P<mark>[][{}:,])"""
)
_OPENING, _CLOSING = ("{", "["), ("}", "]")


def shown_text(text: str) -> list[Fragment]:
    """Return a text message. A JSON object or array is indented if that takes more than one row; a long text is cut."""
    if text[:1] in _OPENING and len(text) <= MAX_CHARACTERS and _is_json(text):
        return coloured_json(text, is_indented=len(text) > _MAX_ROW or "\n" in text)
    rest = len(text) - MAX_CHARACTERS
    fragments: list[Fragment] = [("", displayable(text[:MAX_CHARACTERS]))]
    return fragments if rest <= 0 else [*fragments, ("class:info", f"\n\u2026 {rest:,} more characters")]


def coloured_json(text: str, *, is_indented: bool) -> list[Fragment]:
    """Return valid JSON with a style for each kind of token. Numbers and repeated keys stay as they are."""
    fragments: list[Fragment] = []
    depth = 0
    before = ""
    for match in _JSON_TOKEN.finditer(text):
        token, kind = match[0], str(match.lastgroup)
        if token in _CLOSING:
            depth -= 1
        is_new_row = before == "," or (before in _OPENING and token not in _CLOSING) or (token in _CLOSING and before not in _OPENING)
        if is_new_row and before and is_indented:
            fragments.append(("", "\n" + "  " * depth))
        elif before in (",", ":"):
            fragments.append(("", " "))
        if token in _OPENING:
            depth += 1
        shown = json.dumps(json.loads(token), ensure_ascii=False) if kind in ("key", "string") else token
        fragments.append(("" if kind == "mark" else f"class:json-{kind}", displayable(shown)))
        before = token
    return fragments


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def shown_bytes(data: bytes) -> list[Fragment]:
    """Return a binary message: its length and a hex dump of its beginning."""
    size = f"binary, {len(data):,} byte{'' if len(data) == 1 else 's'}"
    rest = len(data) - MAX_DUMPED_BYTES
    fragments: list[Fragment] = [("class:info", size)]
    for offset, hexadecimal, characters in hex_dump(data[:MAX_DUMPED_BYTES]):
        fragments += [("class:dim", f"\n{offset}  "), ("", hexadecimal), ("class:dim", f"  {characters}")]
    return fragments if rest <= 0 else [*fragments, ("class:info", f"\n\u2026 {rest:,} more bytes")]


def hex_dump(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield rows of 16 bytes as xxd has them: the offset, the bytes in hexadecimal, and the bytes as ASCII characters."""
    for offset in range(0, len(data), _BYTES_A_ROW):
        row = data[offset : offset + _BYTES_A_ROW]
        yield f"{offset:04x}", f"{row.hex(' ', -2):<39}", "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
