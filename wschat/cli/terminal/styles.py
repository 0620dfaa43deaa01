"""The colours of the screen, which are readable on a dark and on a light background. `NO_COLOR` turns them off."""

from __future__ import annotations

import zlib

from prompt_toolkit.styles import Style

# Of the palette of 256 colours, at least 3:1 in contrast to black and to white.
NAME_COLOURS = (
    "#d75f5f", "#d75f00", "#af8700", "#5f8700", "#008700", "#00875f",
    "#008787", "#0087af", "#0087d7", "#5f87ff", "#875fff", "#af5fff", "#d75fd7", "#d75f87",
)  # fmt: skip

STYLE = Style(
    [
        ("title", "bold"),
        ("title topic", "nobold"),
        ("status", "bg:#3a3a4a #d0d0d0"),
        ("status strong", "bold #ffffff"),
        ("status unread", "bold #ffd75f"),
        ("status good", "#87d787"),
        ("status bad", "bold #ff8787"),
        ("dim", "#808080"),
        ("info", "italic #808080"),
        ("error", "#d75f5f"),
        ("sent", "bold #0087af"),
        ("received", "bold #008700"),
        ("mention", "bold #d75f00"),
        ("whisper", "#af5fff"),
        ("json-key", "#0087af"),
        ("json-string", "#008700"),
        ("json-number", "#af8700"),
        ("json-word", "#af5fff"),
        ("prompt", "bold"),
        ("completion-menu.completion", "bg:#3a3a4a #d0d0d0"),
        ("completion-menu.completion.current", "bg:#0087af #ffffff"),
        ("completion-menu.meta.completion", "bg:#303040 #a0a0b0"),
        ("completion-menu.meta.completion.current", "bg:#0087af #ffffff"),
    ]
)
"""The style of each class."""


def name_style(name: str) -> str:
    """Return the style of a name, which is the same in each run."""
    return NAME_COLOURS[zlib.crc32(name.casefold().encode(errors="replace")) % len(NAME_COLOURS)]
