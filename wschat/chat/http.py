"""The chat over HTTP: one request at a time, or a stream that follows a room.

The same identities, rooms, rates and rules hold as for connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from wschat.brokers.base import Draft, Message
from wschat.chat.action import run_action
from wschat.chat.actions.nick import Nick
from wschat.chat.actions.say import Say, deduplication_key
from wschat.chat.addresses import network_of
from wschat.chat.budgets import Budgets
from wschat.chat.costs import cost_of_saying, cost_of_text
from wschat.chat.dialects.sse import Sse
from wschat.chat.fields import MAX_MESSAGES
from wschat.chat.moderation import BAN, MUTE
from wschat.chat.parser import make_action
from wschat.chat.posting import PostResult, post
from wschat.chat.rates import Allowances
from wschat.chat.sessions import Identity, Peer, Session, User, expiring
from wschat.chat.state import State
from wschat.connection.event_stream import EventStream, Utf8
from wschat.errors import HistoryUnavailable, Rejected
from wschat.events import Event, Gap
from wschat.names import NAMELESS, key_of
from wschat.server.requests import Request


class HttpGateway:
    """The chat for HTTP requests. From any thread. `budgets` limit what a caller may ask for."""

    def __init__(self, state: State, sse: Sse, budgets: Budgets) -> None:
        self._state = state
        self._sse = sse
        self._budgets = budgets
        self._allowances = Allowances(budgets.rate) if budgets.rate else None

    def identify(self, request: Request) -> Caller:
        """Return the caller of a request. Raises RequestRefused (400, 401, 429)."""
        return Caller(self._state, self._sse, self._state.access.identify(request), request.remote_address, self._budgets)

    def count_request(self, caller: Caller) -> None:
        """Count one request of a caller. Raises Rejected if there were too many."""
        seconds = self._allowances.try_acquire(caller.key) if self._allowances is not None else None
        if seconds is not None:
            raise Rejected("too-fast", f"Too fast: at most {self._budgets.rate}.", seconds)
        self._budgets.check(caller.network)

    def check_history(self) -> int:
        """Return how many messages cannot be read. Raises HistoryUnavailable if nothing can be made durable."""
        return self._state.broker.check()

    @property
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` header for moderators (RFC 9110, section 11.6.1), None if there are none."""
        return self._state.access.challenge


class Caller:
    """The client that sent one HTTP request. For one thread. Methods wait, and raise Rejected and HistoryUnavailable."""

    def __init__(self, state: State, sse: Sse, identity: Identity, remote_address: object, budgets: Budgets) -> None:
        self._state = state
        self._sse = sse
        self._budgets = budgets
        self._session = self._session_for(identity, _NoConnection(remote_address))

    def _session_for(self, identity: Identity, peer: Peer) -> Session:
        session = Session(peer, self._sse, identity)
        if identity.name is not None:
            session.user = User(identity.name, identity)  # not one of `Users`: it is for the rules about a name
        return session

    @property
    def key(self) -> str:
        """What the caller's requests are counted by: a name that is proven, or the network."""
        identity = self._session.identity
        if identity.is_proven and self._session.user is not None:
            return f"name {self._session.user.key}"
        return f"at {self.network}"

    @property
    def network(self) -> str:
        """The network that the caller is in."""
        return network_of(self._session.address)

    @property
    def is_moderator(self) -> bool:
        """True for a moderator of all rooms."""
        return self._session.identity.is_moderator and "*" in self._session.identity.rooms

    def run(self, action_type: str, fields: Mapping[str, object]) -> Event | None:
        """Run an action that only reads, and return its reply."""
        self._spend(cost_of_text(""))
        action = make_action({**fields, "type": action_type})
        reply: Event | None = run_action(self._state, self._session, action)
        self._spend(action.cost(self._state, self._session, reply))
        return reply

    def post(self, fields: Mapping[str, object], name: object = None) -> PostResult:
        """Say something, by a name if one is given. A text that begins with a slash is not a command here."""
        say = make_action({**fields, "type": Say.type})
        assert isinstance(say, Say)
        self._spend(cost_of_text(say.text) + cost_of_saying(self._state.rooms, say.room, say.text))
        if name is not None:
            self._use_name(name)
        self._check_room(say.room)
        self._check_name_is_free()
        session = self._session
        self._state.moderation.check(MUTE, session, say.room)
        self._state.new_rooms.check(session, say.room)
        key = deduplication_key(session.name, say.id)
        return post(self._state.broker, Draft(say.room, session.name or NAMELESS, say.text, key))

    def export(self, room: str) -> Iterator[Sequence[Message]]:
        """Return all messages of a room up to now, in order, as pages. The first page is read at once, so that it raises here."""
        self._check_room(room)
        pages = self._pages(room, self._state.broker.last_seq(room))
        return chain(filter(None, [next(pages, None)]), pages)

    def start_of(self, room: str, last_event_id: str | None) -> tuple[int, str]:
        """Return the number of the message after which a stream begins, and the text that it begins with.

        A stream begins after the event with this id, or after the last message. Raises Rejected if `follow` is not allowed, or if
        the event id is malformed.
        """
        self._check_room(room)
        broker = self._state.broker
        last = broker.last_seq(room)
        since = last if last_event_id is None else self._sse.seq_of(last_event_id)
        if since is not None and since <= last:
            return since, self._sse.greeting(None, None) + self._sse.position(since)
        first = next(iter(broker.read_since(room, 0, 1)), None)
        begins_at = first.seq if first else last + 1
        return begins_at - 1, self._sse.greeting(None, None) + (self._sse.event(Gap(room, begins_at)) or "")

    def follow(self, room: str, since: int, stream: EventStream) -> None:
        """Send a stream the messages of a room after a number until it ends. For the stream's own thread.

        Ends the stream, too, when the past cannot be read, because the client then comes back.
        """
        session = self._session_for(self._session.identity, stream)
        with expiring(session), suppress(HistoryUnavailable):
            next_one = next(iter(self._state.broker.read_since(room, since, 1)), None)
            self._spend(self._state.broker.last_seq(room) - next_one.seq + 1 if next_one else 0)
            try:
                self._state.rooms.follow(room, session, since)
                if self._state.moderation.holds(BAN, session, room):  # set since the check
                    return
                stream.wait()
            finally:
                self._state.rooms.leave(room, session)

    def _pages(self, room: str, last: int) -> Iterator[Sequence[Message]]:
        seq = 0
        while seq < last and (messages := self._state.broker.read_since(room, seq, MAX_MESSAGES)):
            self._spend(len(messages))
            yield [message for message in messages if message.seq <= last]
            seq = messages[-1].seq

    def _spend(self, cost: float) -> None:
        self._budgets.spend(self.network, cost)

    def _check_room(self, room: str) -> None:
        self._session.identity.check_room(room)
        self._state.moderation.check(BAN, self._session, room)

    def _use_name(self, name: object) -> None:
        """Post by this name. Raises Rejected for a name that the caller may not use."""
        nick = make_action({"type": Nick.type, "name": name})
        assert isinstance(nick, Nick)
        identity = self._session.identity
        if identity.name is None or key_of(identity.name) != key_of(nick.name):
            self._state.access.check_name(identity, nick.name)
            self._session = self._session_for(replace(identity, name=nick.name), self._session.connection)

    def _check_name_is_free(self) -> None:
        """Raise NameTaken if another guest uses the name or has it reserved, and would be taken for the author."""
        if self._session.name is not None and not self._session.identity.is_proven:
            self._state.users.check_is_free_for(self._session, self._session.name)


class _NoConnection:
    """The peer of a session that is only a caller: the reply is the HTTP response, and nothing else can be sent."""

    encoding = Utf8()

    def __init__(self, remote_address: object) -> None:
        self.remote_address = remote_address

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        """Do nothing."""

    def send(self, text: str) -> None:
        """Do nothing."""

    def begin_close(self, code: int, reason: str) -> None:
        """Do nothing."""
