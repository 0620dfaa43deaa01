"""A room as the screen shows it: its lines, members and topic. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from time import monotonic

from wschat.cli.terminal.chat_lines import ChatLines, day_line, error_line, info_line, local_time, topic_line, unread_line
from wschat.cli.terminal.transcript import Line, Transcript
from wschat.events import Joined, MemberEvent, MessageEvent, TopicEvent

Entry = MessageEvent | TopicEvent
"""An entry of the log that is shown. Those of other kinds are for later versions."""

_TYPING_SECONDS = 5.0
_MAX_NAMES_IN_LINE = 8
_MARKS = {"join": "\u2192", "leave": "\u2190"}
_TEXTS = {
    "join": "joined",
    "leave": "left",
    "kick": "was removed",
    "ban": "was banned",
    "unban": "was unbanned",
    "mute": "was muted",
    "unmute": "was unmuted",
    "op": "is now a moderator",
}
_EXITS = ("leave", "kick", "ban")


class Room:
    """One room that the user has joined."""

    def __init__(self, name: str, lines: ChatLines) -> None:
        self.name = name
        """The room's name, as the server writes it."""
        self.transcript = Transcript()
        """Its lines."""
        self.members: dict[str, None] = {}
        """The members, in order of arrival."""
        self.moderators: set[str] = set()
        """The members who moderate the room."""
        self.topic = ""
        """The topic, empty for none."""
        self.unread = 0
        """The number of messages since the room was last shown."""
        self.is_mentioned = False
        """True if one of them has the user's name."""
        self.is_joined = False
        """False before the room is joined, and after the user has left it or was removed."""
        self.has_older = False
        """True if the server may have older messages."""
        self.is_loading = False
        """True while older messages are being read."""
        self._lines = lines
        self._unread_line = unread_line()
        self._typing: dict[str, float] = {}
        self._last_day = date.today()  # of the newest entry; today needs no line of its own
        self._first_day: date | None = None  # of the oldest entry
        self._top: Line | None = None  # the line that shows that day, if there is one
        self._news: tuple[str, list[str], Line] | None = None  # event, names and line of the newest line, if it tells who has come or gone

    @property
    def oldest_seq(self) -> int | None:
        """The number of the oldest message that is shown, None if there is none."""
        return next((line.seq for line in self.transcript.lines if line.seq is not None), None)

    @property
    def typing(self) -> list[str]:
        """The members who are typing at the moment."""
        now = monotonic()
        self._typing = {name: until for name, until in self._typing.items() if until > now}
        return list(self._typing)

    def enter(self, joined: Joined, entries: Sequence[Entry]) -> None:
        """Show a room that was joined, or joined again after a lost connection, with the newest entries of its log."""
        self.members = dict.fromkeys(map(str, joined.members))
        self.moderators = set(map(str, joined.moderators or ()))
        self.topic = str((joined.topic or {}).get("text", ""))
        if not self.transcript.lines:
            self.has_older = joined.more
        elif not self.is_joined:
            self.add_line(info_line(f"you are back in {self.name}", _MARKS["join"]))
        newest = max((line.seq for line in self.transcript.lines if line.seq is not None), default=-1)
        for entry in entries:
            if (entry.seq or 0) > newest:
                self.add(entry)
        self.is_joined = True

    def add(self, entry: Entry) -> None:
        """Add an entry of the log."""
        separator = None
        day = _day_of(entry) or self._last_day
        if day != self._last_day:
            self._last_day = day
            separator = day_line(day)
            self.transcript.append(separator)
        if self._first_day is None:
            self._first_day, self._top = day, separator
        self.add_line(self._line_of(entry))
        self._typing.pop(entry.sender or "", None)

    def count_unread(self, message: MessageEvent) -> None:
        """Count a message that is not seen. Before the first one, a line tells where the user has stopped reading."""
        if not self.unread:
            self.transcript.remove(self._unread_line)
            self.add_line(self._unread_line)
        self.unread += 1
        self.is_mentioned = self.is_mentioned or self._lines.is_mentioned(message.text)

    def come_to_front(self) -> None:
        """Note that the messages are seen."""
        self.unread, self.is_mentioned = 0, False

    def leave_front(self) -> None:
        """Note that new messages are not seen from now on."""
        self.transcript.remove(self._unread_line)

    def add_older(self, entries: Sequence[Entry], *, more: bool) -> None:
        """Add older entries of the log before the others."""
        self.is_loading = False
        self.has_older = more and not self.transcript.is_full
        lines: list[Line] = []
        last_day = top = None
        for entry in entries:
            day = _day_of(entry) or last_day
            if day is not None and day != last_day:
                lines.append(day_line(day))
                top, last_day = top or (day, lines[-1]), day
            lines.append(self._line_of(entry))
        if self._top is not None and last_day == self._first_day:
            self.transcript.remove(self._top)
        elif self._top is None and self._first_day not in (None, last_day):
            lines.append(day_line(self._first_day))
        if top is not None:
            self._first_day, self._top = top
        self.transcript.prepend(lines)

    def add_line(self, line: Line) -> None:
        """Add a line that is not in the log."""
        self._news = None
        self.transcript.append(line)

    def apply(self, event: MemberEvent) -> None:
        """Note and show what has happened to a member."""
        self._typing.pop(event.name, None)
        if event.event == "rename" and event.new_name is not None:
            self._rename(event.name, event.new_name)
            return
        if event.event in _EXITS:
            self.members.pop(event.name, None)
            self.moderators.discard(event.name)
        elif event.event == "join":
            self.members[event.name] = None
        if event.event == "op" or event.moderator:
            self.moderators.add(event.name)
        self._tell(event.event, event.name)

    def set_typing(self, name: str) -> None:
        """Note that a member is typing."""
        self._typing[name] = monotonic() + _TYPING_SECONDS

    def leave(self, text: str, *, is_error: bool = False) -> None:
        """Note that the user is not in the room any more, and show why."""
        self.is_joined = False
        self.members.clear()
        self.add_line(error_line(text) if is_error else info_line(text, _MARKS["leave"]))

    def _rename(self, name: str, new_name: str) -> None:
        self.members = dict.fromkeys(new_name if member == name else member for member in self.members)
        if name in self.moderators:
            self.moderators = self.moderators - {name} | {new_name}
        self.add_line(info_line(f"{name} is now {new_name}"))

    def _tell(self, event: str, name: str) -> None:
        """Show what has happened to a member: in the line above, if that tells the same of others."""
        names = [name]
        if self._news is not None and self._news[0] == event and len(self._news[1]) < _MAX_NAMES_IN_LINE and event in _MARKS:
            names = [*(other for other in self._news[1] if other != name), name]
            self.transcript.remove(self._news[2])
        line = info_line(f"{', '.join(names)} {_TEXTS.get(event, event)}", _MARKS.get(event, "\u00b7"))
        self.add_line(line)
        self._news = event, names, line

    def _line_of(self, entry: Entry) -> Line:
        if isinstance(entry, MessageEvent):
            return self._lines.message(entry.seq, entry.sender, entry.text, entry.time)
        return topic_line(entry.seq, entry.sender, entry.text, entry.time)


def _day_of(entry: Entry) -> date | None:
    time = local_time(entry.time)
    return None if time is None else time.date()
