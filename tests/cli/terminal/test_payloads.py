"""Messages of any server, formatted for display."""

from __future__ import annotations

import json

import pytest

from wschat.cli.terminal.payloads import MAX_CHARACTERS, shown_bytes, shown_text
from wschat.cli.terminal.rows import Fragment


def text_of(fragments: list[Fragment]) -> str:
    return "".join(text for _, text in fragments)


@pytest.mark.parametrize("text", ["hello", "", '{"a": 1, "b": [true, null]}', "{not JSON}", "[" * 19_000, '{"a": "\\u001b[2J"}'])
def test_short_texts_and_texts_that_are_not_json_are_unchanged(text: str) -> None:
    assert text_of(shown_text(text)) == text


def test_json_is_indented_and_coloured() -> None:
    text = r'{"type":"message","text":"Gr\u00fc\u00dfe \u001b[2J \u202e","numbers":[1,-2.5e3,null,true],"nested":{"empty":{}}}'
    fragments = shown_text(text)
    assert text_of(fragments) == (
        '{\n  "type": "message",\n  "text": "Grüße \\u001b[2J \\u202e",\n  "numbers": [\n    1,\n    -2.5e3,\n    null,\n    true\n  ],\n'
        '  "nested": {\n    "empty": {}\n  }\n}'
    )
    styles = {text: style for style, text in fragments}
    assert styles['"type"'] == "class:json-key"
    assert styles['"message"'] == "class:json-string"
    assert styles["-2.5e3"] == "class:json-number"
    assert styles["null"] == "class:json-word"


def test_numbers_keep_their_digits() -> None:
    text = json.dumps({"id": "x" * 60})[:-1] + ', "exact": 1.10, "long": 12345678901234567890123}'
    assert "1.10," in text_of(shown_text(text))
    assert "12345678901234567890123" in text_of(shown_text(text))


def test_a_long_text_is_truncated() -> None:
    text = text_of(shown_text("x" * (MAX_CHARACTERS + 1234)))
    assert text.endswith("x\n\u2026 1,234 more characters")


def test_binary_is_a_hex_dump() -> None:
    assert text_of(shown_bytes(b"Hello\x1b\x00 world, 17")) == (
        "binary, 17 bytes\n"
        "0000  4865 6c6c 6f1b 0020 776f 726c 642c 2031  Hello.. world, 1\n"
        "0010  37                                       7"
    )
    assert text_of(shown_bytes(b"")) == "binary, 0 bytes"
    assert text_of(shown_bytes(b"x")).startswith("binary, 1 byte\n")


def test_a_long_binary_message_is_truncated() -> None:
    text = text_of(shown_bytes(bytes(5000)))
    assert text.endswith("\n\u2026 904 more bytes")
    assert len(text.splitlines()) == 1 + 256 + 1
