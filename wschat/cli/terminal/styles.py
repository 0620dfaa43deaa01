"""The colours of the screen, which are readable on a dark and on a light background. `NO_COLOR` turns them off."""

from __future__ import annotations

import zlib

from prompt_toolkit.styles import Style

from wschat.client.chat.conversation import comparable

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
        ("unread-line", "#d75f00"),
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


STRONG = "class:strong"
"""The style of the room in front in the status line, which is never cut off."""


class NameColours:
    """Gives each name a colour: the same in each run, unless another name has it already."""

    def __init__(self) -> None:
        self._colours: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the colour of a name, as a style."""
        key = comparable(name)
        preferred = zlib.crc32(key.encode(errors="replace")) % len(NAME_COLOURS)
        if key not in self._colours and len(self._colours) < len(NAME_COLOURS):
            self._colours[key] = self._free(preferred)
        return self._colours.get(key, NAME_COLOURS[preferred])

    def _free(self, preferred: int) -> str:
        """Return the first free colour from the preferred one on. There must be one."""
        taken = set(self._colours.values())
        # Neighbours look alike, so that every third one is tried; as 3 does not divide their number, that is all of them.
        places = ((preferred + 3 * step) % len(NAME_COLOURS) for step in range(len(NAME_COLOURS)))
        return next(NAME_COLOURS[place] for place in places if NAME_COLOURS[place] not in taken)
