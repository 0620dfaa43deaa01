"""Rooms: who is in one, and how what is said there reaches them.

A room follows its log: what is appended goes to the hubs, one for each dialect. Whoever joins gets the past and then what is
new, with no hole and nothing twice, because a room decides under one lock where the past ends and the new begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from wschat.brokers.base import Broker, Message
from wschat.brokers.sorted_names import SortedNames
from wschat.chat.events import Event, Gap, Id, Joined, MemberEvent, message_fields
from wschat.chat.requests import DEFAULT_MESSAGES, MAX_MESSAGES, Join
from wschat.chat.sessions import Dialect, Session
from wschat.errors import Rejected
from wschat.hub import Hub, Member, flush_together

# In how many rooms one connection may be: each of them costs memory.
_MAX_ROOMS = 100


class Room:
    """A room with somebody in it. From any thread."""

    def __init__(self, name: str, dialects: Collection[Dialect], broker: Broker, moderators: Callable[[], Sequence[str]]) -> None:
        self.name = name
        self.sessions: dict[Session, str | None] = {}  # by which name each is in; guarded, as the next, by the lock of `Rooms`
        self.unnamed = 0  # how many of them are seen and have no name
        self._broker = broker
        self._moderators = moderators
        # Guards all below, and what is before what in the hubs. Taken after a broker's lock, before those of hubs.
        self._order = threading.Lock()
        self._hubs = {dialect: Hub() for dialect in dialects}
        self._meanwhile: list[list[Message]] = []  # what has been said since each of those began to read the past who are coming in
        self._last = 0
        last = broker.subscribe(name, self)
        with self._order:
            self._last = max(self._last, last)  # something may have been taken meanwhile

    @property
    def audience(self) -> int:
        """How many are told who comes and goes, as of some moment just now."""
        return sum(len(hub) for dialect, hub in self._hubs.items() if dialect.hears_of_members)

    @property
    def hearers(self) -> int:
        """How many hear what is said, as of some moment just now."""
        return sum(map(len, self._hubs.values()))

    @property
    def last(self) -> int:
        """The number of its last message, as of some moment just now."""
        return self._last

    def take(self, messages: Sequence[Message]) -> None:
        """For the broker: the next messages."""
        with self._order:
            self._last = messages[-1].seq
            for heard in self._meanwhile:
                heard += messages
            for dialect, hub in self._hubs.items():
                if not hub.is_deserted:
                    for message in messages:
                        hub.add(dialect.message(message))

    def flush(self) -> None:
        """Send what was taken, and the answers, now or at the end of the calling thread's turn."""
        for hub in self._hubs.values():
            hub.send_soon()

    def flush_for(self, session: Session) -> None:
        """As `flush`, for those who speak the dialect of this session."""
        self._hubs[session.dialect].send_soon()

    def answer(self, session: Session, text: str) -> None:
        """Have somebody in the room get this after what was said before. `flush` has to follow."""
        self._hubs[session.dialect].add_for(session.connection, text)

    def announce(self, event: Event, exclude: Collection[Member] = ()) -> None:
        """Tell everybody in the room about something that happened. Never waits."""
        self.add(event, exclude)
        self.flush()

    def add(self, event: Event, exclude: Collection[Member] = ()) -> None:
        """Give an event its place after what was said before. `flush` has to follow, or `flush_together` with its hubs."""
        with self._order:  # whoever comes in just now has been told of it, or will be
            for dialect, hub in self._hubs.items():
                text = None if hub.is_deserted else dialect.event(event)
                if text is not None:
                    hub.add(text, exclude)

    @property
    def hubs(self) -> list[Hub]:
        """One for each dialect."""
        return list(self._hubs.values())

    def admit(self, session: Session, request: Join | None) -> None:
        """Let somebody in, from now on or, for a request that asks for it, with what was said before.

        Who is in already begins anew. `flush_for` has to follow. Reads from the broker, which may wait for a disk. Raises
        HistoryUnavailable.
        """
        hub = self._hubs[session.dialect]
        if request is None:
            hub.admit(session.connection)
        else:
            self._admit_with_past(session, hub, request)

    def admit_after(self, session: Session, since: int) -> None:
        """Let somebody in who gets all that was said after a number, however much it is, and then what is new.

        For those who cannot ask for the rest. `flush_for` has to follow. Waits for them to take it, and reads from the broker.
        Raises HistoryUnavailable, and what sending raises.
        """
        hub, tell = self._hubs[session.dialect], _Teller(self.name, session.dialect, since)
        while messages := self._broker.read_since(self.name, tell.told, MAX_MESSAGES):
            session.connection.send(tell(messages))
        with self._hearing() as (known, heard):
            rest = ""
            while tell.told < known and (messages := self._broker.read_since(self.name, tell.told, MAX_MESSAGES)):
                rest += tell(messages)
            with self._order:
                rest += tell(heard) + tell.what_is_missing(self._last)
                hub.admit(session.connection, rest or None)

    def expel(self, session: Session) -> None:
        """Let somebody out."""
        greeting = self._hubs[session.dialect].leave(session.connection)
        if greeting is not None:
            session.offer(str(greeting))  # which is an answer that somebody waits for, even if they have left before it came

    def _admit_with_past(self, session: Session, hub: Hub, request: Join) -> None:
        with self._hearing() as (known, heard):
            past = _read_past(self._broker, self.name, request, known)
            moderators = self._moderators()  # before `_order`: it takes the lock of `Rooms`
            with self._order:
                past.add(heard)
                joined = past.as_event(self._broker.members(self.name), moderators, self._last, request.id)
                hub.admit(session.connection, session.dialect.answer(session, request, joined))

    @contextmanager
    def _hearing(self) -> Iterator[tuple[int, list[Message]]]:
        """The last number, and what is said after it from here on: for whoever reads the past meanwhile."""
        heard: list[Message] = []
        with self._order:
            known = self._last
            self._meanwhile.append(heard)
        try:
            yield known, heard
        finally:
            with self._order:
                # By identity: two empty lists are equal.
                self._meanwhile = [other for other in self._meanwhile if other is not heard]


class _Teller:
    """Tells somebody what was said in a room, and where something is missing because it is not kept."""

    def __init__(self, room: str, dialect: Dialect, told: int) -> None:
        self._room = room
        self._dialect = dialect
        self.told = told  # the number of the last message that this is about

    def __call__(self, messages: Sequence[Message]) -> str:
        texts = []
        for message in messages:
            if message.seq > self.told:
                texts += [self.what_is_missing(message.seq - 1), self._dialect.message(message)]
                self.told = message.seq
        return "".join(texts)

    def what_is_missing(self, last: int) -> str:
        """What there is to say if all up to this number should have been told by now."""
        return (self._dialect.event(Gap(self._room, last + 1)) or "") if self.told < last else ""


@dataclass
class _Past:
    """What somebody is given who comes in: what was said after a number, or last."""

    room: str
    epoch: str
    since: int | None  # None if the last messages are given
    messages: list[dict[str, object]]
    is_whole: bool  # nothing between the messages and what is said from now on is left out
    is_cut: bool  # there are older ones, of the last messages
    is_lost: bool  # the number that was asked for means nothing here

    def add(self, heard: list[Message]) -> None:
        """Add what has been said while this was read."""
        if self.is_whole:
            known = self.messages[-1]["seq"] if self.messages else 0
            self.messages += [message_fields(message) for message in heard if message.seq > known]  # type: ignore[operator]  # a number

    def as_event(self, members: Sequence[str], moderators: Sequence[str], last: int, request_id: Id | None) -> Joined:
        """The answer."""
        given = self.messages[-DEFAULT_MESSAGES:] if self.since is None else self.messages[:MAX_MESSAGES]
        is_short = len(given) < len(self.messages)
        more = (self.is_cut if self.since is None else not self.is_whole) or is_short
        gap = self.is_lost or self._has_hole(given, last if self.is_whole and (self.since is None or not is_short) else None)
        return Joined(self.room, self.epoch, last, members, given, more, gap, request_id, moderators or None)

    def _has_hole(self, given: Sequence[Mapping[str, Any]], last: int | None) -> bool:
        """Return True if a number is missing among these, after `since`, or up to `last`, None if these are not all."""
        if not given:
            return self.since is not None and last is not None and self.since < last
        begin = given[0]["seq"] - 1 if self.since is None else self.since
        end = given[-1]["seq"] if last is None else last
        return bool(len(given) < end - begin)


def _read_past(broker: Broker, room: str, request: Join, last: int) -> _Past:
    """What a request asks for of a room whose last number is given. May wait for a disk. Raises HistoryUnavailable."""
    since, is_cut = request.since, False
    if since is not None and (since > last or request.epoch not in (None, broker.epoch)):
        since = None
    if since is None:
        read = broker.read_before(room, None, DEFAULT_MESSAGES)
        is_cut = bool(read) and bool(broker.read_before(room, read[0].seq, 1))
    else:
        read = broker.read_since(room, since, MAX_MESSAGES)
    is_whole = not read or read[-1].seq >= last or not broker.read_since(room, read[-1].seq, 1)
    is_lost = since is None and request.since is not None
    return _Past(room, broker.epoch, since, [message_fields(message) for message in read], is_whole, is_cut, is_lost)


def _is_unnamed(session: Session, member: str | None) -> bool:
    """Return True if somebody is seen in a room without a name; they are in by `member`."""
    return member is None and session.dialect.is_seen


class Rooms:
    """The rooms with somebody in them. Every method may be called from any thread."""

    def __init__(self, dialects: Collection[Dialect], broker: Broker, is_moderator: Callable[[Session, str], bool]) -> None:
        self._dialects = dialects
        self._broker = broker
        self._is_moderator = is_moderator
        self._guard = threading.Lock()  # guards all below; the broker's lock and those of rooms are taken while it is held
        self._rooms: dict[str, Room] = {}
        self._names = SortedNames()

    def find(self, name: str) -> Room | None:
        """The room, if somebody is in it."""
        return self._rooms.get(name)

    def names(self, after: str | None, limit: int) -> list[str]:
        """Return the first rooms with somebody in them whose names come after this one, or of all, in order."""
        return self._names.after(after, limit)

    def count_people(self, name: str) -> int:
        """Return how many are in a room: a person counts once, and each of those who have no name."""
        return self._broker.count_members(name) + self.count_unnamed(name)

    def count_unnamed(self, name: str) -> int:
        """Return how many are in a room who have no name."""
        with self._guard:
            room = self._rooms.get(name)
            return room.unnamed if room else 0

    def follow(self, name: str, session: Session, since: int) -> None:
        """Let somebody into a room who gets all that was said after a number: see `Room.admit_after`."""
        self._enter(name, session, lambda room: room.admit_after(session, since))

    def enter(self, name: str, session: Session, request: Join | None = None) -> None:
        """Let somebody into a room. Reads from the broker for a request. Raises HistoryUnavailable, and Rejected for too many rooms."""
        self._enter(name, session, lambda room: room.admit(session, request))

    def _enter(self, name: str, session: Session, admit: Callable[[Room], None]) -> None:
        was_in = name in session.rooms
        room, is_first = self._register(name, session)
        if is_first and session.member is not None:
            room.announce(MemberEvent(name, session.member, "join", moderator=self._is_moderator(session, name) or None))
        try:
            admit(room)
        except BaseException:
            if not was_in:
                self.leave(name, session)
            raise
        with self._guard:
            if session not in room.sessions:
                room.expel(session)  # a moderator was quicker
        room.flush_for(session)

    def leave(self, name: str, session: Session, event: str = "leave") -> bool:
        """Let somebody out of a room. Return False if that was not in it. `event` says how it came to that."""
        with self._guard, ExitStack() as steps:  # each is done, whatever another one raises; the last one first
            room = self._rooms.get(name)
            if room is None or session not in room.sessions:
                return False
            member = room.sessions.pop(session)
            room.unnamed -= _is_unnamed(session, member)
            session.rooms.pop(name, None)
            steps.callback(self._forget_if_deserted, room)
            steps.callback(room.expel, session)
            is_last = member is not None and self._broker.leave(name, member)
        if member is not None and is_last:
            room.announce(MemberEvent(name, member, event))
        return True

    def leave_all(self, session: Session) -> None:
        """Let somebody out of all rooms: what one raises does not keep them in another."""
        with ExitStack() as steps:
            for name in tuple(session.rooms):
                steps.callback(self.leave, name, session)

    def rename(self, session: Session, name: str) -> None:
        """Somebody has another name now, or the first one."""
        events: list[tuple[Room, MemberEvent]] = []
        try:
            with self._guard:
                for room in [self._rooms[room_name] for room_name in session.rooms]:
                    old = room.sessions[session]
                    room.unnamed -= _is_unnamed(session, old)
                    self._broker.enter(room.name, name)
                    room.sessions[session] = name
                    event = MemberEvent(room.name, name, "join") if old is None else MemberEvent(room.name, old, "rename", name)
                    events.append((room, event))
                    if old is not None:
                        self._broker.leave(room.name, old)
        finally:  # also for the rooms before one that raises
            for room, event in events:
                room.add(event)
            flush_together([hub for room, _ in events for hub in room.hubs])

    def sessions_in(self, name: str) -> list[Session]:
        """Everybody in a room."""
        with self._guard:
            room = self._rooms.get(name)
            return list(room.sessions) if room else []

    def _moderators_in(self, name: str) -> list[str]:
        """The members of a room who moderate it."""
        moderators = [session for session in self.sessions_in(name) if self._is_moderator(session, name)]
        return sorted({session.member for session in moderators if session.member})

    def _register(self, name: str, session: Session) -> tuple[Room, bool]:
        """Have somebody in a room, and whether it is the first time that they are, by their name."""
        with self._guard:
            if name not in session.rooms and len(session.rooms) >= _MAX_ROOMS:
                raise Rejected("too-many-rooms", f"One connection may be in {_MAX_ROOMS} rooms.")
            if name not in self._rooms:
                self._rooms[name] = Room(name, self._dialects, self._broker, lambda: self._moderators_in(name))
                self._names.add(name)
            room = self._rooms[name]
            if session in room.sessions:
                return room, False
            try:
                is_first = session.member is not None and self._broker.enter(name, session.member)
            except BaseException:
                self._forget_if_deserted(room)
                raise
            room.sessions[session] = session.member
            room.unnamed += _is_unnamed(session, session.member)
            session.rooms[name] = room
            return room, is_first

    def _forget_if_deserted(self, room: Room) -> None:
        """With the lock held."""
        if not room.sessions:
            del self._rooms[room.name]
            self._names.remove(room.name)
            self._broker.unsubscribe(room.name, room)
