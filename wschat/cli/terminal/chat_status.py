"""The title, the status line and the prompt of the chat. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from wschat.cli.terminal.chat_model import ChatModel
from wschat.cli.terminal.chat_room import Room
from wschat.cli.terminal.rows import Fragment, Row
from wschat.cli.terminal.safe_text import one_row
from wschat.cli.terminal.status import below, latency, seconds_until
from wschat.cli.terminal.styles import STRONG

_SEPARATOR: Fragment = ("class:dim", " \u00b7 ")
_MAX_TYPING = 3


def title(model: ChatModel) -> tuple[Row, Row]:
    """Return the parts of the row at the top: the room and its topic, and the server."""
    room = model.current
    server: Row = [("class:dim nobold", f"{one_row(model.place)} ")]
    if room is None:
        return [("", " not in a room"), ("class:dim nobold", "  /join ROOM")], server
    topic: Row = [("nobold", f"  {one_row(room.topic)}  ")] if room.topic else []
    return [("", f" {one_row(room.name)}"), *topic], server


def status(model: ChatModel) -> tuple[Row, Row]:
    """Return the parts of the status line: the rooms, and the state of the room in front and of the connection."""
    return _tabs(model), [*below(model.transcript), *_facts(model), ("", " ")]


def prompt(model: ChatModel) -> Row:
    """Return what stands before the line that the user types."""
    return [*((f"bold {style}", text) for style, text in model.lines.name()), ("class:prompt", "\u203a ")]


def _tabs(model: ChatModel) -> Row:
    row: Row = []
    for number, room in enumerate(model.rooms.values(), 1):
        is_current = room is model.current
        row.append((STRONG if is_current else "", f" {number} {one_row(room.name)}"))
        if room.unread:
            row.append(("class:unread", f" {room.unread:,}{'!' if room.is_mentioned else ''}"))
        row.append(("", " "))
    return row


def _facts(model: ChatModel) -> Row:
    facts: list[Fragment] = []
    if model.current is not None:
        facts += _typing(model.current)
        if model.current.is_joined:
            facts.append(("", _count(len(model.current.members), "member")))
    if model.waiting:
        facts.append(("class:unread", f"{len(model.waiting)} to send"))
    if model.is_connected:
        facts.append(("class:good", f"\u25cf {latency(model.latency)}" if model.latency is not None else "\u25cf connected"))
    else:
        facts.append(("class:bad", f"\u25cb {seconds_until(model.retry_at)}"))
    return _separated(facts)


def _typing(room: Room) -> list[Fragment]:
    names = room.typing
    if not names:
        return []
    who = ", ".join(names[:_MAX_TYPING]) if len(names) <= _MAX_TYPING else f"{len(names)} members"
    return [("italic", f"{one_row(who)} {'is' if len(names) == 1 else 'are'} typing\u2026")]


def _separated(facts: Sequence[Fragment]) -> Row:
    row: Row = []
    for fact in facts:
        row += [_SEPARATOR, fact] if row else [fact]
    return row


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
