"""One room: its subscription to the log, its hubs, and the point where the past ends for a session that joins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from wschat.brokers.base import TOPIC, Broker, Message
from wschat.chat.dialects.base import Dialect
from wschat.chat.fields import MAX_MESSAGES
from wschat.chat.past import Replay, Resume, read_past
from wschat.chat.sessions import Session
from wschat.errors import HistoryUnavailable
from wschat.events import Event, MemberEvent
from wschat.hub import Hub, Member
from wschat.protocol.frames import CloseCode


class Room:
    """A room that has members or followers. From any thread."""

    def __init__(self, name: str, dialects: Collection[Dialect], broker: Broker, moderators: Callable[[], Sequence[str]]) -> None:
        self.name = name
        """The room's name."""
        self.sessions: dict[Session, str | None] = {}
        """The sessions in the room, with the names by which they are members. Guarded, as the next two, by `Rooms`."""
        self.unnamed = 0
        """The number of members without a name."""
        self.unannounced: set[str] = set()
        """The members whom the others were not told of yet: new messages reach none of their sessions so far."""
        self._broker = broker
        self._moderators = moderators
        self._opening_lock = threading.Lock()  # held by the thread that opens the room; taken before all others
        # Guards all below, and the order of what is added to the hubs. Taken after a broker's lock, before those of hubs.
        self._delivery_lock = threading.Lock()
        self._is_subscribed = self._is_closed = False
        self._losses = 0
        self._hubs = {dialect: Hub() for dialect in dialects}
        self._delivered_meanwhile: list[list[Message]] = []  # a list for each session that is reading the past
        self._last = 0
        self._topic: Message | None = None  # the last entry that set the topic, or cleared it

    def open(self) -> None:
        """Subscribe to the log, unless that was done. May wait for a network. Raises HistoryUnavailable."""
        with self._opening_lock:
            if self._is_subscribed:
                return
            last = self._broker.subscribe(self.name, self)
            topic = self._broker.topic(self.name)
            with self._delivery_lock:
                if not self._losses:  # else these may be those of before
                    self._last = max(self._last, last)  # messages may have been delivered meanwhile
                    self._topic = self._topic or topic
                self._is_subscribed, is_closed = True, self._is_closed
        if is_closed:
            self._broker.unsubscribe(self.name, self)

    def close(self) -> None:
        """End the subscription, also one that another thread is about to make. For a room without sessions; never waits."""
        with self._delivery_lock:
            self._is_closed, is_subscribed = True, self._is_subscribed
        if is_subscribed:
            self._broker.unsubscribe(self.name, self)

    @property
    def audience(self) -> int:
        """The number of connections that are told of members who join and leave, at this moment."""
        return sum(len(hub) for dialect, hub in self._hubs.items() if dialect.hears_of_members)

    @property
    def hearers(self) -> int:
        """The number of connections that receive messages, at this moment."""
        return sum(map(len, self._hubs.values()))

    @property
    def last(self) -> int:
        """The number of the last message, at this moment."""
        return self._last

    @property
    def hubs(self) -> list[Hub]:
        """The hubs, one for each dialect."""
        return list(self._hubs.values())

    def on_messages(self, messages: Sequence[Message]) -> None:
        """Take the next messages from the broker."""
        with self._delivery_lock:
            self._last = messages[-1].seq
            for message in messages:
                if message.kind == TOPIC:
                    self._topic = message
            for delivered in self._delivered_meanwhile:
                delivered += messages
            for dialect, hub in self._hubs.items():
                if not hub.is_deserted:
                    for message in messages:
                        hub.add(dialect.message(message))

    def on_members(self, joined: Sequence[str], left: Sequence[str]) -> None:
        """Take changes of the members in other processes from the broker."""
        for member in joined:
            self.add(MemberEvent(self.name, member, "join"))
        for member in left:
            self.add(MemberEvent(self.name, member, "leave"))

    def on_lost(self, last: int, topic: Message | None) -> None:
        """Close the connections in the room, whose clients know numbers of another epoch: they come back, and are told of the gap."""
        with self._delivery_lock:
            self._last, self._topic = last, topic
            self._losses += 1
        for hub in self._hubs.values():
            for connection in hub:
                connection.begin_close(CloseCode.SERVICE_RESTART, "the history has lost messages")

    def flush(self) -> None:
        """Send the messages and replies that were added, now or when the calling thread uncorks."""
        for hub in self._hubs.values():
            hub.send_soon()

    def flush_for(self, session: Session) -> None:
        """Flush the hub of this session's dialect."""
        self._hubs[session.dialect].send_soon()

    def queue_replies(self, session: Session, *texts: str) -> None:
        """Send texts to one session, after what was said before. `flush` must follow."""
        self._hubs[session.dialect].add_for(session.connection, *texts)

    def announce(self, event: Event, exclude: Collection[Member] = ()) -> None:
        """Send an event to everyone in the room. Never waits."""
        self.add(event, exclude)
        self.flush()

    def add(self, event: Event, exclude: Collection[Member] = ()) -> None:
        """Add an event after what was said before. `flush`, or `flush_together` with the room's hubs, must follow."""
        with self._delivery_lock:  # a session that is joining reads the members before it or receives the event after it
            for dialect, hub in self._hubs.items():
                text = None if hub.is_deserted else dialect.event(event)
                if text is not None:
                    hub.add(text, exclude)

    def admit(self, session: Session, resume: Resume | None, greeting: str | None) -> None:
        """Deliver to a session from now on, after the past that `resume` asks for, or else after a greeting.

        A session that is in the room already starts again. `flush` must follow. Reads from the broker, which may wait for a
        disk. Raises HistoryUnavailable.
        """
        hub = self._hubs[session.dialect]
        if resume is None:
            hub.admit(session.connection, greeting)
        else:
            self._admit_with_past(session, hub, resume)

    def admit_after(self, session: Session, since: int) -> None:
        """Deliver to a session all messages after a number, however many there are, and then those from now on.

        For clients that cannot ask for the rest. `flush` must follow. Waits for the client to read them, and reads from the
        broker. Raises HistoryUnavailable, and what sending raises.
        """
        losses, hub, replay = self._losses, self._hubs[session.dialect], Replay(self.name, session.dialect, since)
        while messages := self._broker.read_since(self.name, replay.last, MAX_MESSAGES):
            session.connection.send(replay.write(messages))
        with self._recording() as (known, delivered):
            rest = ""
            while replay.last < known and (messages := self._broker.read_since(self.name, replay.last, MAX_MESSAGES)):
                rest += replay.write(messages)
            with self._delivery_lock:
                self._check_losses(losses)
                rest += replay.write(delivered) + replay.gap_up_to(self._last)
                hub.admit(session.connection, rest or None)

    def expel(self, session: Session) -> None:
        """Stop delivering to a session."""
        greeting = self._hubs[session.dialect].leave(session.connection)
        if greeting is not None:
            session.offer(str(greeting))  # the reply to a join that the client still waits for

    def _admit_with_past(self, session: Session, hub: Hub, resume: Resume) -> None:
        losses = self._losses
        with self._recording() as (known, delivered):
            past = read_past(self._broker, self.name, resume, known)
            moderators = self._moderators()  # outside of the lock: it takes the lock of `Rooms`
            with self._delivery_lock:
                self._check_losses(losses)
                past.extend(delivered)
                joined = past.as_event(self._broker.members(self.name), moderators, self._topic, self._last, resume.id)
                hub.admit(session.connection, session.dialect.event(joined))

    def _check_losses(self, losses: int) -> None:
        """Raise HistoryUnavailable if the log has lost messages since a session began to read it."""
        assert self._delivery_lock.locked()
        if losses != self._losses:
            raise HistoryUnavailable("the history has lost messages, and begins anew")

    @contextmanager
    def _recording(self) -> Iterator[tuple[int, list[Message]]]:
        """Provide the last number, and a list of the messages delivered after it, for a session that reads the past meanwhile."""
        delivered: list[Message] = []
        with self._delivery_lock:
            known = self._last
            self._delivered_meanwhile.append(delivered)
        try:
            yield known, delivered
        finally:
            with self._delivery_lock:
                # By identity: two empty lists are equal.
                self._delivered_meanwhile = [other for other in self._delivered_meanwhile if other is not delivered]
