"""What the chat shows: rooms, the one in front, and what the server has told. Pure; for the thread of the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from wschat.cli.terminal.chat_lines import ChatLines, error_line, help_line, info_line
from wschat.cli.terminal.chat_room import Entry, Room
from wschat.cli.terminal.transcript import Transcript
from wschat.client.chat.room_log import entries_in
from wschat.events import (
    CommandList,
    Dropped,
    Error,
    Event,
    Gap,
    Joined,
    MemberEvent,
    Members,
    MessageEvent,
    Notice,
    RoomList,
    TopicEvent,
    TypingEvent,
    Welcome,
    WhisperEvent,
)


@dataclass(eq=False)
class Waiting:
    """A message that the user has typed and the server does not have yet."""

    room: str
    """The room."""
    text: str
    """The text, as `ChatClient.say` takes it."""


class ChatModel:
    """The rooms and lines of the chat. `me` returns the user's name, None before there is one."""

    def __init__(self, place: str, me: Callable[[], str | None]) -> None:
        self.place = place
        """The URL without its query."""
        self.me = me
        """Returns the user's name."""
        self.lines = ChatLines(me)
        """Makes the lines."""
        self.rooms: dict[str, Room] = {}
        """The rooms by name, in the order in which they were joined."""
        self.current: Room | None = None
        """The room in front, None without a room."""
        self.known_rooms: list[str] = []
        """The names of the server's rooms."""
        self.is_connected = False
        """True while there is a connection."""
        self.retry_at: float | None = None
        """When the next attempt to connect begins, as `monotonic` has it."""
        self.latency: float | None = None
        """The seconds that the last request took, None before."""
        self._commands: dict[str, tuple[str, str]] = {}
        self._moderator_commands: set[str] = set()
        self._lobby = Transcript()
        self._wanted = ""
        self.waiting: list[Waiting] = []
        """The messages that the server does not have yet."""

    @property
    def transcript(self) -> Transcript:
        """The lines in front."""
        return self.current.transcript if self.current else self._lobby

    @property
    def commands(self) -> dict[str, tuple[str, str]]:
        """The usage and the help of the server's commands, by name: those that the user may use in the room in front."""
        if self.current is not None and self.me() in self.current.moderators:
            return self._commands
        return {name: command for name, command in self._commands.items() if name not in self._moderator_commands}

    # What is shown

    def go_to(self, room: Room | None) -> None:
        """Bring a room to the front."""
        if self.current is not None and self.current is not room:
            self.current.leave_front()
        self.current = room
        if room is not None:
            room.come_to_front()
        self._show_waiting()

    def go_to_joined(self, name: str) -> None:
        """Bring a room to the front that the server has let the user join, as soon as its `joined` event is here."""
        room = self.rooms.get(name)
        if room is not None and room.is_joined:
            self.go_to(room)
        else:
            self._wanted = name

    def neighbour(self, step: int) -> Room | None:
        """Return the room after (1) or before (-1) the one in front."""
        rooms = list(self.rooms.values())
        return rooms[(rooms.index(self.current) + step) % len(rooms)] if self.current in rooms else None

    def next_unread(self) -> Room | None:
        """Return a room with unread messages, first one with the user's name; None if there is none."""
        unread = [room for room in self.rooms.values() if room.unread]
        return min(unread, key=lambda room: not room.is_mentioned, default=None)

    def forget(self, room: Room) -> None:
        """Remove a room that was left."""
        following = self.neighbour(1)
        del self.rooms[room.name]
        if self.current is room:
            self.go_to(following if following is not room else None)

    def tell(self, text: str) -> None:
        """Show a text in front."""
        self._add(info_line(text))

    def fail(self, text: str) -> None:
        """Show what could not be done."""
        self._add(error_line(text))

    def show_help(self, usages: Sequence[tuple[str, str]]) -> None:
        """Show commands and keys, and what they do."""
        width = max(len(usage) for usage, _ in usages)
        for usage, text in usages:
            self._add(help_line(usage, text, width))

    def whispered(self, to: str, text: str, time: float) -> None:
        """Show a text that the user has sent to one user only."""
        self._add(self.lines.whisper(self.me() or "?", to, text, time))

    # Messages on their way to the server

    def wait_for(self, waiting: Waiting) -> None:
        """Show a message that waits to be said."""
        self.waiting.append(waiting)
        self._show_waiting()

    def said(self, waiting: Waiting, error: str | None = None) -> None:
        """Note that a message was said, or why it was not."""
        self.waiting.remove(waiting)
        self._show_waiting()
        if error is not None:
            room = self.rooms.get(waiting.room)
            line = error_line(f"not said: {waiting.text} ({error})")
            room.add_line(line) if room else self._add(line)

    def _show_waiting(self) -> None:
        if self.current is not None:
            texts = [waiting.text for waiting in self.waiting if waiting.room == self.current.name]
            self.current.transcript.footer = [self.lines.waiting(text) for text in texts]

    # Attempts to connect

    def lost(self, error: str, pause: float) -> None:
        """Note that there is no connection, and when the next attempt begins."""
        if self.is_connected:
            self.is_connected = False
            self.fail(f"the connection was lost ({error}); what you say is sent when it is back")
        self.retry_at = monotonic() + pause

    def connected(self) -> None:
        """Note that there is a connection again."""
        if self.retry_at is not None:
            self.tell("connected again")
        self.is_connected, self.retry_at = True, None

    # Events

    def apply(self, event: Event) -> None:
        """Show an event. Those of other types are for later versions."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def reply(self, event: Event) -> None:
        """Show the reply to a request of the user."""
        if isinstance(event, TopicEvent):
            self.tell(f"the topic of {event.room}, set by {event.sender}: {event.text}" if event.text else f"{event.room} has no topic")
        else:
            self.apply(event)

    def _welcome(self, event: Welcome) -> None:
        self.connected()

    def _joined(self, event: Joined) -> None:
        room = self.rooms.setdefault(event.room, Room(event.room, self.lines))
        entries = [entry for _, entry in entries_in(event.messages) if isinstance(entry, Entry)]
        room.enter(event, entries)
        if self.current is None or self._wanted == room.name:
            self._wanted = ""
            self.go_to(room)

    def _entry(self, event: MessageEvent | TopicEvent) -> None:
        room = self.rooms.get(event.room)
        if room is None:
            return
        if isinstance(event, TopicEvent):
            room.topic = event.text
        elif room is not self.current:
            room.count_unread(event)
        room.add(event)

    def _member(self, event: MemberEvent) -> None:
        room = self.rooms.get(event.room)
        if room is None:
            return
        if event.name == self.me() and event.event in ("kick", "ban"):
            room.leave(f"you were {'removed' if event.event == 'kick' else 'banned'}", is_error=True)
        elif event.event != "join" or event.name != self.me():
            room.apply(event)

    def _typing(self, event: TypingEvent) -> None:
        room = self.rooms.get(event.room)
        if room is not None and event.name != self.me():
            room.set_typing(event.name)

    def _whisper(self, event: WhisperEvent) -> None:
        self._add(self.lines.whisper(event.sender, event.to, event.text, event.time))

    def _notice(self, event: Notice) -> None:
        room = self.rooms.get(event.room or "")
        room.add_line(info_line(event.text)) if room else self.tell(event.text)

    def _error(self, event: Error) -> None:
        self.fail(event.text)

    def _gap(self, event: Gap) -> None:
        room = self.rooms.get(event.room)
        if room is not None:
            room.add_line(info_line("messages are missing here: the server does not keep them"))

    def _dropped(self, event: Dropped) -> None:
        self.fail(f"{event.count} events were lost, because they came too fast")

    def _members(self, event: Members) -> None:
        room = self.rooms.get(event.room)
        moderators = room.moderators if room else ()
        names = [f"@{name}" if name in moderators else name for name in map(str, event.members)]
        unnamed = [f"{event.unnamed} without a name"] if event.unnamed else []
        self.tell(f"{len(names)} in {event.room}: {', '.join([*names, *unnamed])}")

    def _rooms(self, event: RoomList) -> None:
        self.set_known_rooms([str(room.get("room")) for room in event.rooms])
        self.tell("rooms: " + ", ".join(f"{room.get('room')} ({room.get('members')})" for room in event.rooms))

    def set_known_rooms(self, rooms: Sequence[str]) -> None:
        """Remember the names of the server's rooms, for completion."""
        self.known_rooms = list(rooms)

    def _set_commands(self, event: CommandList) -> None:
        for command in event.commands:
            name, usage, help_text = (str(command.get(field, "")) for field in ("name", "usage", "help"))
            self._commands[name] = usage, help_text
            if command.get("moderator"):
                self._moderator_commands.add(name)

    def _add(self, line: Any) -> None:
        if self.current is not None:
            self.current.add_line(line)
        else:
            self._lobby.append(line)


_HANDLERS: dict[type[Event], Callable[[ChatModel, Any], None]] = {
    Welcome: ChatModel._welcome,
    Joined: ChatModel._joined,
    MessageEvent: ChatModel._entry,
    TopicEvent: ChatModel._entry,
    MemberEvent: ChatModel._member,
    TypingEvent: ChatModel._typing,
    WhisperEvent: ChatModel._whisper,
    Notice: ChatModel._notice,
    Error: ChatModel._error,
    Gap: ChatModel._gap,
    Dropped: ChatModel._dropped,
    Members: ChatModel._members,
    RoomList: ChatModel._rooms,
    CommandList: ChatModel._set_commands,
}
