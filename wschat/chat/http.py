"""Visits: what people do in the chat without being there, one request at a time, or by following a room.

The same identities, rooms, rates and rules hold as for those who are connected.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from wschat.brokers.base import Broker, Draft, Known, Message, Outcome
from wschat.chat.addresses import place_of
from wschat.chat.budgets import Budgets
from wschat.chat.costs import cost_of_request, cost_of_saying, cost_of_text
from wschat.chat.dialects.sse import Sse
from wschat.chat.events import Event, Gap
from wschat.chat.handlers import handle, say_key
from wschat.chat.moderation import BAN, MUTE
from wschat.chat.names import NAMELESS, key_of
from wschat.chat.rates import Allowances
from wschat.chat.requests import MAX_MESSAGES, Nick, Say, make_request
from wschat.chat.sessions import Identity, Peer, Person, Session, expiring
from wschat.chat.state import State
from wschat.connection.event_stream import EventStream, Utf8
from wschat.errors import HistoryUnavailable, Rejected
from wschat.server.requests import Request


class Posted(NamedTuple):
    """What was said, and whether it was said just now. The time of what was said before and is no longer kept is 0."""

    message: Message
    is_new: bool


class Visits:
    """Those who come with a request. From any thread. `budgets` are what they may ask for."""

    def __init__(self, state: State, sse: Sse, budgets: Budgets) -> None:
        self._state = state
        self._sse = sse
        self._budgets = budgets
        self._allowances = Allowances(budgets.rate) if budgets.rate else None

    def begin(self, request: Request) -> Visit:
        """Somebody has come. Raises RequestRefused (400, 401, 429)."""
        return Visit(self._state, self._sse, self._state.access.identify(request), request.remote_address, self._budgets)

    def count(self, visit: Visit) -> None:
        """Raise Rejected for who comes too often."""
        seconds = self._allowances.take(visit.caller) if self._allowances is not None else None
        if seconds is not None:
            raise Rejected("too-fast", f"Too fast: at most {self._budgets.rate}.", seconds)
        self._budgets.check(visit.place)

    def check_history(self) -> int:
        """Return how many messages cannot be read. Raises HistoryUnavailable if nothing can be kept just now."""
        return self._state.broker.check()

    @property
    def challenge(self) -> str | None:
        """How a moderator who comes over HTTP is asked for a password or a token (RFC 9110, section 11); None if there is none."""
        return self._state.access.challenge


class Visit:
    """One request of somebody. For one thread; what reads or writes waits, and raises Rejected and HistoryUnavailable."""

    def __init__(self, state: State, sse: Sse, identity: Identity, remote_address: object, budgets: Budgets) -> None:
        self._state = state
        self._sse = sse
        self._budgets = budgets
        self._session = self._session_of(identity, _Caller(remote_address))

    def _session_of(self, identity: Identity, peer: Peer) -> Session:
        session = Session(peer, self._sse, identity)
        if identity.name is not None:
            session.person = Person(identity.name, identity)  # whom nobody sees: it is for the rules about a name
        return session

    @property
    def caller(self) -> str:
        """What somebody's requests are counted by: a name that is theirs, or where they are."""
        identity = self._session.identity
        if identity.is_proven and self._session.person is not None:
            return f"name {self._session.person.key}"
        return f"at {self.place}"

    @property
    def place(self) -> str:
        """Where somebody is."""
        return place_of(self._session.address)

    @property
    def is_moderator(self) -> bool:
        """Whether this is a moderator of all rooms."""
        return self._session.identity.is_moderator and "*" in self._session.identity.rooms

    def ask(self, kind: str, fields: Mapping[str, object]) -> Event | None:
        """Carry a request out that only reads, by its type and its fields."""
        self._spend(cost_of_text(""))
        request = make_request({**fields, "type": kind})
        answer = handle(self._state, self._session, request)
        self._spend(cost_of_request(self._state, self._session, request, answer))
        return answer

    def post(self, fields: Mapping[str, object], name: object = None) -> Posted:
        """Say something, by a name if they have none yet. What begins with a slash is no command here."""
        say = make_request({**fields, "type": Say.type})
        assert isinstance(say, Say)
        self._spend(cost_of_text(say.text) + cost_of_saying(self._state.rooms, say.room, say.text))
        if name is not None:
            self._take_name(name)
        self._check_room(say.room)
        self._check_not_somebody_else()
        session = self._session
        self._state.moderation.check(MUTE, session, say.room)
        self._state.new_rooms.check(session, say.room)
        key = say_key(session.person, say.id)
        return _Post(self._state.broker).append(Draft(say.room, session.name or NAMELESS, say.text, key))

    def export(self, room: str) -> Iterator[Sequence[Message]]:
        """All that is kept of a room as of now, in order, some at a time; if it cannot be read, that is known at once."""
        self._check_room(room)
        pages = self._pages(room, self._state.broker.last_number(room))
        return chain(filter(None, [next(pages, None)]), pages)

    def follow(self, room: str, stream: EventStream, last_event_id: str | None) -> None:
        """Have a stream get what is said in a room, after an event or from now on, until it is over. For its own thread.

        It is over, too, when the past cannot be read: whoever follows comes again.
        """
        session = self._session_of(self._session.identity, stream)
        with expiring(session), suppress(HistoryUnavailable):
            stream.send(self._sse.greeting(session))
            try:
                self._state.rooms.follow(room, session, self._begin(room, stream, last_event_id))
                if self._state.moderation.holds(BAN, session, room):  # since a moment ago
                    return
                stream.wait()
            finally:
                self._state.rooms.leave(room, session)

    def check_follow(self, room: str, last_event_id: str | None) -> None:
        """Raise Rejected if this room, or from this event on, is not to be followed."""
        self._check_room(room)
        if last_event_id is not None:
            self._sse.since(last_event_id)

    def _begin(self, room: str, stream: EventStream, last_event_id: str | None) -> int:
        """The number after which a stream begins; it is told where it is, and if that is not where it wants to be."""
        broker = self._state.broker
        last = broker.last_number(room)
        since = last if last_event_id is None else self._sse.since(last_event_id)
        if since is not None and since <= last:
            stream.send(self._sse.place(since))
            next_one = next(iter(broker.read_since(room, since, 1)), None)
            self._spend(last - next_one.seq + 1 if next_one else 0)
            return since
        first = next(iter(broker.read_since(room, 0, 1)), None)
        begins_at = first.seq if first else last + 1
        stream.send(self._sse.event(Gap(room, begins_at)) or "")
        return begins_at - 1

    def _pages(self, room: str, last: int) -> Iterator[Sequence[Message]]:
        seq = 0
        while seq < last and (messages := self._state.broker.read_since(room, seq, MAX_MESSAGES)):
            self._spend(len(messages))
            yield [message for message in messages if message.seq <= last]
            seq = messages[-1].seq

    def _spend(self, cost: float) -> None:
        self._budgets.spend(self.place, cost)

    def _check_room(self, room: str) -> None:
        self._session.identity.check_room(room)
        self._state.moderation.check(BAN, self._session, room)

    def _take_name(self, name: object) -> None:
        """Be called something from here on. Raises Rejected if that is not for them."""
        nick = make_request({"type": Nick.type, "name": name})
        assert isinstance(nick, Nick)
        identity = self._session.identity
        if identity.name is None or key_of(identity.name) != key_of(nick.name):
            self._state.access.check_name(identity, nick.name)
            self._session = self._session_of(replace(identity, name=nick.name), self._session.connection)

    def _check_not_somebody_else(self) -> None:
        """Raise NameTaken if another guest is here by that name, or it is kept for one: what is said would be taken for theirs."""
        if self._session.name is not None and not self._session.identity.is_proven:
            self._state.people.check_is_free_for(self._session, self._session.name)


class _Post:
    """One message on its way to a room's log: an author who listens until the message has passed by."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._heard: dict[int, Message] = {}
        self._outcome: Outcome | None = None
        self._is_settled = threading.Event()

    def append(self, draft: Draft) -> Posted:
        """Say it, and wait until it is durable. Raises Rejected and HistoryUnavailable."""
        self._broker.subscribe(draft.room, self)
        try:
            self._broker.append(draft, self)
            self._is_settled.wait()
        finally:
            self._broker.unsubscribe(draft.room, self)
        assert self._outcome is not None
        _, seq = self._outcome
        if not isinstance(seq, int):
            raise seq
        message = self._heard.get(seq)
        if message is not None:
            return Posted(message, is_new=not isinstance(seq, Known))
        kept = self._broker.read_since(draft.room, seq - 1, 1)
        if kept and kept[0].seq == seq:
            return Posted(kept[0], is_new=False)
        return Posted(Message(draft.room, seq, draft.sender, draft.text, 0.0), is_new=False)

    def take(self, messages: Sequence[Message]) -> None:
        """For the broker: the next messages."""
        self._heard.update((message.seq, message) for message in messages)

    def flush(self) -> None:
        """For the broker: nothing is sent on."""

    def settled(self, outcomes: list[Outcome]) -> None:
        """For the broker: what became of it."""
        (self._outcome,) = outcomes
        self._is_settled.set()


class _Caller:
    """The connection of somebody who only asks: it is not for the chat to send anything on it."""

    encoding = Utf8()

    def __init__(self, remote_address: object) -> None:
        self.remote_address = remote_address

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        """Nobody hears it."""

    def send(self, text: str) -> None:
        """Nobody hears it."""

    def begin_close(self, code: int, reason: str) -> None:
        """It is over with the answer."""
