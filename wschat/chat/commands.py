"""The commands of the chat: a line that begins with a slash, and the request that it makes. To add one, add it to the table.

They are the same wherever a line is typed: in plain text, and as the text of a `say`. What a request does is in `handlers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wschat.chat.events import Id
from wschat.chat.requests import BadField, Request, make_request
from wschat.errors import Rejected

ACTION = "/me "
"""What the text of a message begins with that says what somebody does."""

_DEFAULT_LINES = 20  # of history

Fields = dict[str, object]


@dataclass(frozen=True)
class Command:
    """How a command is written, what it does, and the fields of its request, given its words and the room it is typed in.

    `words` is how many the command takes at least and at most; the last one is all the rest of the line.
    """

    form: str
    help: str
    fields: Callable[[list[str], str | None], Fields]
    words: tuple[int, int]


def is_command(text: str) -> bool:
    """Whether a text is a command: it begins with one slash."""
    return text.startswith("/") and not text.startswith("//")


def spoken_text(text: str) -> str:
    """What a text that is no command says: two slashes at its beginning are one (but not before `me`, or it would be an action)."""
    return text[1:] if text.startswith("//") and not text.startswith(f"/{ACTION}") else text


def parse_command(line: str, room: str | None, request_id: Id | None = None) -> Request:
    """The request that a line like `/nick alice` makes, typed in this room. Raises Rejected, which names the right form."""
    name, _, rest = line[1:].partition(next(filter(str.isspace, line), " "))
    rest = rest.strip()
    command = COMMANDS.get(name.lower())
    if command is None:
        raise Rejected("bad-command", f"There is no command /{name[:40]}. /help lists those there are.")
    at_least, at_most = command.words
    words = rest.split(maxsplit=at_most - 1) if at_most else rest.split()
    if not at_least <= len(words) <= at_most:
        raise Rejected("bad-command", f"The command is: {command.form}")
    fields = command.fields(words, room)
    if fields.get("room", "") is None:
        raise Rejected("bad-command", "You are in no room. /join ROOM goes to one.")
    try:
        return make_request({**fields, "id": request_id})
    except BadField as error:
        raise Rejected("bad-command", f"{error.why} The command is: {command.form}") from None


def _seconds(words: list[str], at: int) -> Fields:
    """The number of seconds that is the word at this place, if there is one; what is no number is left for the check."""
    if len(words) <= at:
        return {}
    try:
        return {"seconds": float(words[at])}
    except ValueError:
        return {"seconds": words[at]}


def _limit(words: list[str]) -> int | str:
    if not words:
        return _DEFAULT_LINES
    # More digits than a number of lines has are for the check to refuse.
    return int(words[0]) if words[0].isascii() and words[0].isdigit() and len(words[0]) < 10 else words[0]


def _in_room(kind: str) -> Callable[[list[str], str | None], Fields]:
    """The fields of a request that somebody makes about somebody in the room, perhaps for so many seconds."""
    return lambda words, room: {"type": kind, "room": room, "name": words[0], **_seconds(words, 1)}


COMMANDS = {
    "nick": Command("/nick NAME", "take a name", lambda words, _: {"type": "nick", "name": words[0]}, (1, 1)),
    "join": Command("/join ROOM", "go to a room", lambda words, _: {"type": "join", "room": words[0]}, (1, 1)),
    "leave": Command("/leave", "leave the room", lambda _, room: {"type": "leave", "room": room}, (0, 0)),
    "who": Command("/who", "say who is in the room", lambda _, room: {"type": "who", "room": room}, (0, 0)),
    "rooms": Command("/rooms", "list the rooms", lambda _, __: {"type": "rooms"}, (0, 0)),
    "msg": Command(
        "/msg NAME TEXT", "say something to one person only", lambda words, _: {"type": "whisper", "to": words[0], "text": words[1]}, (2, 2)
    ),
    "me": Command(
        "/me TEXT", "say what you are doing", lambda words, room: {"type": "say", "room": room, "text": f"{ACTION}{words[0]}"}, (1, 1)
    ),
    "history": Command(
        "/history [LINES]",
        "show what was said last",
        lambda words, room: {"type": "history", "room": room, "limit": _limit(words)},
        (0, 1),
    ),
    "help": Command("/help", "list the commands", lambda _, __: {"type": "help"}, (0, 0)),
    "kick": Command("/kick NAME", "have somebody leave the room", _in_room("kick"), (1, 1)),
    "mute": Command("/mute NAME|ADDRESS [SECONDS]", "have somebody say nothing here; 0 seconds undo it", _in_room("mute"), (1, 2)),
    "ban": Command("/ban NAME|ADDRESS [SECONDS]", "keep somebody out of the room; 0 seconds undo it", _in_room("ban"), (1, 2)),
    "unban": Command("/unban NAME|ADDRESS", "let somebody in again", _in_room("unban"), (1, 1)),
    "op": Command("/op NAME", "make somebody a moderator of the room", _in_room("op"), (1, 1)),
}


def help_text() -> str:
    """All commands, a line each."""
    return "\n".join([*(f"{command.form}  {command.help}" for command in COMMANDS.values()), "//TEXT  say a text that begins with a slash"])
