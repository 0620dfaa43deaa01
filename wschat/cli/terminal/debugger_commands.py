"""The commands of the debugger: what a line means that the user has typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wschat.errors import UsageError
from wschat.protocol.frames import CloseCode, check_close


@dataclass(frozen=True)
class SendMessage:
    """Send a message."""

    message: str | bytes
    """Text for str, binary for bytes."""


@dataclass(frozen=True)
class Ping:
    """Send a ping, and tell how long its pong took."""


@dataclass(frozen=True)
class CloseConnection:
    """Close the connection."""

    code: int = CloseCode.NORMAL
    """The close code."""
    reason: str = ""
    """The reason."""


@dataclass(frozen=True)
class ShowHeaders:
    """Show the headers of the opening response."""


@dataclass(frozen=True)
class ShowHelp:
    """Show the commands and keys."""


@dataclass(frozen=True)
class Clear:
    """Remove what is shown."""


@dataclass(frozen=True)
class Quit:
    """End the program."""


ParsedLine = SendMessage | Ping | CloseConnection | ShowHeaders | ShowHelp | Clear | Quit
"""What a line asks for."""


def parse_line(line: str) -> ParsedLine:
    """Return what a line asks for: a message, or a command if it begins with one slash. Raises UsageError."""
    if not line.startswith("/"):
        return SendMessage(line)
    if line.startswith("//"):
        return SendMessage(line[1:])
    name, _, rest = line[1:].partition(" ")
    if name not in COMMANDS:
        raise UsageError(f"no command is called /{name} (see /help); to send it as a message, type /{line}")
    return COMMANDS[name].parse(rest.strip())


def _close(rest: str) -> CloseConnection:
    code, _, reason = rest.partition(" ")
    if not code:
        return CloseConnection()
    if not code.isdecimal():
        raise UsageError(f"/close: the code must be a number such as 1000 or 4000, not {code!r}")
    check_close(int(code), reason.strip())
    return CloseConnection(int(code), reason.strip())


def _hex(rest: str) -> SendMessage:
    try:
        return SendMessage(bytes.fromhex(rest))
    except ValueError:
        raise UsageError(f"/hex: the bytes must be hexadecimal digits such as 00 ff, not {rest!r}") from None


@dataclass(frozen=True)
class Command:
    """A command, with what help and completion tell about it."""

    usage: str
    """The form: `/close [CODE [REASON]]`."""
    help: str
    """What it does."""
    parse: Callable[[str], ParsedLine]
    """Returns what it asks for, given the rest of the line."""


COMMANDS = {
    "ping": Command("/ping", "send a ping and measure the time until its pong", lambda rest: Ping()),
    "close": Command("/close [CODE [REASON]]", "close the connection, with 1000 by default", _close),
    "hex": Command("/hex BYTES", "send a binary message, given in hexadecimal: /hex 00 ff", _hex),
    "headers": Command("/headers", "show the headers of the server's opening response", lambda rest: ShowHeaders()),
    "clear": Command("/clear", "empty the screen", lambda rest: Clear()),
    "help": Command("/help", "show the commands and keys", lambda rest: ShowHelp()),
    "quit": Command("/quit", "close the connection and end the program", lambda rest: Quit()),
}
"""The commands by name."""
