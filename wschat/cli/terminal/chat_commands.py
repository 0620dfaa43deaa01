"""The commands of the chat: what a line means that the user has typed. Those that are not known here are the server's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wschat.errors import UsageError
from wschat.v1 import ME_PREFIX


@dataclass(frozen=True)
class Say:
    """Say a text in the room in front."""

    text: str
    """The text."""


@dataclass(frozen=True)
class JoinRoom:
    """Join a room and bring it to the front, or only the latter if it is joined already."""

    room: str
    """Its name."""


@dataclass(frozen=True)
class LeaveRoom:
    """Leave a room."""

    room: str
    """Its name, empty for the room in front."""


@dataclass(frozen=True)
class GoToRoom:
    """Bring a room to the front that was joined before."""

    room: str
    """Its name, the beginning of its name, or its number."""


@dataclass(frozen=True)
class TakeName:
    """Take another name."""

    name: str
    """The name."""


@dataclass(frozen=True)
class WhisperTo:
    """Send a text to one user only."""

    name: str
    """The name of the user."""
    text: str
    """The text."""


@dataclass(frozen=True)
class AskServer:
    """Have the server carry out a command."""

    line: str
    """The line with the command, as the user has typed it."""


@dataclass(frozen=True)
class LoadOlder:
    """Read older messages."""


@dataclass(frozen=True)
class ShowHelp:
    """Show the commands and keys."""


@dataclass(frozen=True)
class Clear:
    """Remove what is shown of the room in front."""


@dataclass(frozen=True)
class Quit:
    """End the program."""


ParsedLine = Say | JoinRoom | LeaveRoom | GoToRoom | TakeName | WhisperTo | AskServer | LoadOlder | ShowHelp | Clear | Quit
"""What a line asks for."""

LOCAL_COMMANDS = {
    "room": ("/room NAME|NUMBER", "bring a room to the front"),
    "history": ("/history", "read older messages"),
    "clear": ("/clear", "empty the screen of this room"),
    "help": ("/help", "show the commands and keys"),
    "quit": ("/quit", "end the program"),
}
"""The usage and the help of the commands that are not the server's."""

KEYS = (
    ("Alt-1 to 9, Alt-Left, Right", "go to another room"),
    ("Alt-A", "go to a room with unread messages"),
    ("PageUp, PageDown, Ctrl-End", "scroll, also to older messages; go to the newest"),
    ("Tab", "complete commands, names and rooms"),
    ("Alt-Enter", "begin a new line in a message"),
    ("Up, Ctrl-R", "earlier lines; search in them"),
    ("Ctrl-C, Ctrl-D", "clear the line; end the program if it is empty"),
)
"""The keys, and what they do."""


def parse_line(line: str) -> ParsedLine:
    """Return what a line asks for. Raises UsageError if words are missing."""
    if not line.startswith("/") or line.startswith(ME_PREFIX):
        return Say(line)
    if line.startswith("//"):
        return Say(line[1:])
    name, _, rest = line[1:].partition(" ")
    parse = _PARSERS.get(name)
    return AskServer(line) if parse is None else parse(rest.strip())


def _whisper(rest: str) -> WhisperTo:
    name, _, text = rest.partition(" ")
    return WhisperTo(name, _required(text.strip(), "/msg NAME TEXT"))


def _required(text: str, usage: str) -> str:
    if not text:
        raise UsageError(f"usage: {usage}")
    return text


_PARSERS: dict[str, Callable[[str], ParsedLine]] = {
    "clear": lambda rest: Clear(),
    "exit": lambda rest: Quit(),
    "help": lambda rest: ShowHelp(),
    "history": lambda rest: LoadOlder(),
    "join": lambda rest: JoinRoom(_required(rest, "/join ROOM")),
    "leave": LeaveRoom,
    "msg": _whisper,
    "nick": lambda rest: TakeName(_required(rest, "/nick NAME")),
    "quit": lambda rest: Quit(),
    "room": lambda rest: GoToRoom(_required(rest, "/room NAME")),
}
