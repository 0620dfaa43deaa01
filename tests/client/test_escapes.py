"""Text of a peer, escaped to be shown."""

from __future__ import annotations

import pytest

from wschat.client.escapes import indented, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße\t日本 😀\n\\x1b", "Grüße\t日本 😀\n\\x1b"),
        ("\x1b[2J\x1b]52;c;Zm9v\x07", "\\x1b[2J\\x1b]52;c;Zm9v\\x07"),
        ("\u009b2J\u0085\x7f\x00\b\v\f", "\\x9b2J\\x85\\x7f\\x00\\x08\\x0b\\x0c"),
        ("hi\rbob: I owe you", "hi\\rbob: I owe you"),
        ("\u202eevil\u2066\u2069\u200f\u200e\u061c\u2028x\u2029", "\\u202eevil\\u2066\\u2069\\u200f\\u200e\\u061c\\u2028x\\u2029"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_line_feeds_are_escaped_in_one_line() -> None:
    assert one_line("a\nb\r\nc") == "a\\nb\\r\\nc"


@pytest.mark.parametrize(("text", "shown"), [("a\nb\r\n\nc\rd", "a\n    b\n    \n    c\\rd"), ("a", "a"), ("", ""), ("a\n", "a\n    ")])
def test_further_lines_are_indented(text: str, shown: str) -> None:
    assert indented(text) == shown
