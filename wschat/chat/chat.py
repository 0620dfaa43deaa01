"""The chat as a whole: who comes in, in which dialect, and the loop that answers one client's requests."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import unquote

from wschat.brokers.base import Broker
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.addresses import address_of, place_of
from wschat.chat.budgets import Budget, Budgets
from wschat.chat.costs import cost_of_request, cost_of_telling, cost_of_text
from wschat.chat.dialects.plain import Plain
from wschat.chat.dialects.sse import Sse
from wschat.chat.dialects.v1 import SUBPROTOCOL, V1
from wschat.chat.handlers import LATER, handle
from wschat.chat.http import Visits
from wschat.chat.moderation import BAN, Moderation
from wschat.chat.names import RULE, key_of, normalize_name
from wschat.chat.new_rooms import NewRooms
from wschat.chat.people import NameTaken, People
from wschat.chat.rates import Rate
from wschat.chat.requests import Join, Say
from wschat.chat.requests import Request as AnyRequest
from wschat.chat.rooms import Rooms
from wschat.chat.sessions import Identity, Session, expiring
from wschat.chat.state import State
from wschat.connection.connection import Connection
from wschat.errors import HistoryUnavailable, Rejected, RequestRefused
from wschat.protocol.frames import CloseCode
from wschat.server.requests import Request

LOBBY = "lobby"
SUBPROTOCOLS = (SUBPROTOCOL,)
"""What a server of the chat is to speak, besides plain text."""

_ROOM_PATH = re.compile(r"/rooms/([^/]+)")
# What somebody is told once for each room, and not again with each request, until one of this kind shows that it is over.
_TOLD_ONCE: dict[str, type[AnyRequest]] = {"muted": Say, "banned": Join}


class Chat:
    """A chat. `handle` and `check_request` are for a server; `close` is for the end, when no client is left.

    `broker` keeps what is said (by default, nothing is kept), `access` says who may come in, and `budgets` how much may be asked for
    (by default, there is no limit).
    """

    def __init__(
        self,
        broker: Broker | None = None,
        *,
        access: Access | None = None,
        budgets: Budgets | None = None,
        max_rooms: int = 0,
        rooms_per_address: Rate | None = None,
    ) -> None:
        self._budgets = budgets = budgets or Budgets()
        self._plain, self._v1 = Plain(), V1(budgets.rate)
        broker = broker or MemoryBroker(keeps_messages=False)
        sse = Sse(broker.epoch)
        moderation = Moderation(broker)
        rooms = Rooms((self._plain, self._v1, sse), broker, moderation.is_moderator)
        self._state = State(access or Access(), broker, moderation, NewRooms(broker, max_rooms, rooms_per_address), People(), rooms)
        self.visits = Visits(self._state, sse, budgets)
        """For those who come over HTTP."""

    def check_request(self, request: Request) -> None:
        """Refuse paths where there is no room (404), names that are none (400), and who may not come in (401, 403, 429)."""
        room = _room_of(request.target)
        try:
            self._budgets.check(_place_of(request))
        except Rejected as error:
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, error.text, {"Retry-After": str(math.ceil(error.seconds or 0))}) from None
        request.identity = identity = self._state.access.identify(request)
        try:
            identity.check_room(room)
        except Rejected as error:
            # To programs it is not the lobby that they come for.
            if SUBPROTOCOL not in map(str.strip, request.headers.get("sec-websocket-protocol", "").split(",")):
                raise RequestRefused(HTTPStatus.FORBIDDEN, error.text) from None

    def handle(self, ws: Connection) -> None:
        """The stay of one client."""
        try:
            identity = ws.identity if isinstance(ws.identity, Identity) else self._state.access.identify(_request_of(ws))
        except RequestRefused as refusal:
            _send_away(ws, refusal.text)
            return
        session = Session(ws, self._v1 if ws.subprotocol == SUBPROTOCOL else self._plain, identity)
        with expiring(session), self._present(session):
            try:
                self._come_in(ws, session)
            except Rejected as error:
                if isinstance(error, NameTaken) and error.is_yours:
                    self._reject(session, "", error)
                _send_away(ws, error.text)
                return
            # Whoever says something and closes at once gets it, too, as soon as it is durable.
            ws.before_close_reply = session.wait_until_settled
            self._answer_requests(ws, session)

    def close(self) -> None:
        """Keep what still has to be kept, and let go of everything. Waits."""
        self._state.broker.close()

    def _come_in(self, ws: Connection, session: Session) -> None:
        """Greet somebody and, if their dialect knows but one room at a time, let them into it. Raises Rejected."""
        room = _room_of(ws.path)
        if session.identity.name is not None:
            self._state.people.enter(session, session.identity.name, replace=_request_of(ws).query.get("replace") == "1")
        if session.dialect.one_room:
            session.identity.check_room(room)
            self._state.moderation.check(BAN, session, room)
        session.connection.send(session.dialect.greeting(session))
        if session.dialect.one_room:
            self._state.rooms.enter(room, session)
            self._spend_on_telling(session)

    def _answer_requests(self, ws: Connection, session: Session) -> None:
        budget: Budget | None = None  # most connections only listen: it is made for the first request
        for message in ws:
            budget = budget or self._budgets.begin(place_of(session.address))
            text = message if isinstance(message, str) else ""
            if session.identity.has_expired:
                return
            if budget is not None:
                refusal = budget.take()
                if budget.is_abused:
                    _send_away(ws, "too many messages")
                    return
                if refusal is not None:
                    self._reject(session, text, refusal.error, is_news=refusal.is_news)
                    continue
                budget.spend(cost_of_text(text))
            try:
                if isinstance(message, bytes):
                    raise Rejected("bad-request", "This chat takes text, not binary messages.")
                self._answer(session, message, budget)
            except Rejected as error:
                self._reject(session, text, error)
            except HistoryUnavailable as error:
                self._reject(session, text, Rejected("unavailable", f"Sorry, {error}."))

    def _answer(self, session: Session, text: str, budget: Budget | None) -> None:
        request = session.dialect.parse(session, text)
        room = getattr(request, "room", "")
        try:
            answer = handle(self._state, session, request)
        except Rejected as error:
            if error.code not in _TOLD_ONCE:
                raise
            self._reject(session, text, error, is_news=(error.code, room) not in session.told)
            session.told.add((error.code, room))
            return
        if budget is not None:
            budget.spend(cost_of_request(self._state, session, request, answer))
        if session.told:
            session.told -= {(code, room) for code, kind in _TOLD_ONCE.items() if isinstance(request, kind)}
        if answer is not LATER:
            reply = session.dialect.answer(session, request, answer)
            if reply is not None:
                session.connection.send(reply)

    def _reject(self, session: Session, text: str, error: Rejected, *, is_news: bool = True) -> None:
        reply = session.dialect.rejection(session, text, error, is_news=is_news)
        if reply is not None:
            session.connection.send(reply)

    @contextmanager
    def _present(self, session: Session) -> Iterator[None]:
        """Whoever goes leaves their rooms, and their name to others."""
        try:
            yield
        finally:
            try:
                self._spend_on_telling(session)
                self._state.rooms.leave_all(session)
            finally:
                self._state.people.leave(session)

    def _spend_on_telling(self, session: Session) -> None:
        """Count that all in the rooms of a session are told of its coming or going, which nobody has asked for by a request."""
        if session.member is not None:
            self._budgets.spend(place_of(session.address), cost_of_telling(self._state.rooms, session.rooms))


def _request_of(ws: Connection) -> Request:
    """The request that opened a connection."""
    return Request("GET", ws.path, dict(ws.headers), remote_address=ws.remote_address)


def _place_of(request: Request) -> str:
    return place_of(address_of(request.remote_address))


def _room_of(target: str) -> str:
    """Return the room that a request's target asks for. Raises RequestRefused (404)."""
    path = target.partition("?")[0]
    if path == "/":
        return LOBBY
    match = _ROOM_PATH.fullmatch(path)
    room = normalize_name(unquote(match[1])) if match else None
    if room is None:
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"There is no such room: / is the lobby, /rooms/NAME any other; NAME has {RULE}.")
    return key_of(room)


def _send_away(ws: Connection, why: str) -> None:
    # A reason has at most 123 bytes; a name in it may take most of them.
    ws.close(CloseCode.POLICY_VIOLATION, why.removesuffix(".").encode()[:123].decode(errors="ignore"))
