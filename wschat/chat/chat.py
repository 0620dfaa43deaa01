"""The chat as a whole: who may connect, in which dialect, and the session of each connection."""

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
from wschat.chat.addresses import address_of, network_of
from wschat.chat.budgets import Budgets
from wschat.chat.conversation import Conversation, close_with_reason
from wschat.chat.costs import cost_of_announcing
from wschat.chat.dialects.plain import Plain
from wschat.chat.dialects.sse import Sse
from wschat.chat.dialects.v1 import V1
from wschat.chat.http import HttpGateway
from wschat.chat.messages import topic_event
from wschat.chat.moderation import BAN, Moderation
from wschat.chat.new_rooms import NewRooms
from wschat.chat.nodes import Nodes
from wschat.chat.rates import Rate
from wschat.chat.rooms import Rooms
from wschat.chat.sessions import Identity, Session, expiring
from wschat.chat.state import State
from wschat.chat.users import NameTaken, Users
from wschat.connection.connection import Connection
from wschat.errors import HistoryUnavailable, Rejected, RequestRefused
from wschat.names import RULE, key_of, normalize_name
from wschat.protocol.frames import CloseCode
from wschat.protocol.messages import Close
from wschat.server.requests import Request
from wschat.v1 import SUBPROTOCOL

LOBBY = "lobby"
"""The room at the path `/`."""
SUBPROTOCOLS = (SUBPROTOCOL,)
"""The subprotocols for a server of the chat. A client that asks for none gets plain text."""

_ROOM_PATH = re.compile(r"/rooms/([^/]+)")


class Chat:
    """A chat. Give `handle` and `check_request` to a server; call `close` when the server has stopped.

    `broker` keeps the messages (the default keeps none), `access` decides who may connect, and `budgets` limit what a client may
    ask for (by default, nothing does). `max_rooms` and `rooms_per_address` are explained in `NewRooms`.
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
        sse = Sse(broker)
        moderation = Moderation(broker)
        rooms = Rooms((self._plain, self._v1, sse), broker, moderation.is_moderator)
        new_rooms = NewRooms(broker, max_rooms, rooms_per_address)
        self._state = State(access or Access(), broker, moderation, new_rooms, Users(), rooms)
        broker.listen(Nodes(self._state))
        self.http = HttpGateway(self._state, sse, budgets)
        """The chat for clients that use HTTP."""

    def check_request(self, request: Request) -> None:
        """Find the client's identity.

        Raises RequestRefused for a path without a room (404), a bad name (400), a client that may not connect (401, 403), and one
        that has to wait (429).
        """
        room = _room_of(request.target)
        try:
            self._budgets.check(network_of(address_of(request.remote_address)))
        except Rejected as error:
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS, error.text, {"Retry-After": str(math.ceil(error.seconds or 0))}) from None
        request.identity = identity = self._state.access.identify(request)
        try:
            identity.check_room(room)
        except Rejected as error:
            # A client that speaks JSON joins rooms by requests; the path means nothing to it.
            if SUBPROTOCOL not in map(str.strip, request.headers.get("sec-websocket-protocol", "").split(",")):
                raise RequestRefused(HTTPStatus.FORBIDDEN, error.text) from None

    def handle(self, ws: Connection) -> None:
        """Serve one connection until it is closed."""
        try:
            identity = ws.identity if isinstance(ws.identity, Identity) else self._state.access.identify(_request_of(ws))
        except RequestRefused as refusal:
            close_with_reason(ws, refusal.text)
            return
        dialect = self._v1 if ws.subprotocol == SUBPROTOCOL else self._plain
        session = Session(ws, dialect, identity)
        conversation = Conversation(self._state, ws, session, dialect, self._budgets)
        with expiring(session), self._signing_out(session):
            try:
                self._welcome(ws, session)
            except Rejected as error:
                if isinstance(error, NameTaken) and error.is_yours:
                    conversation.reject("", error)
                close_with_reason(ws, error.text)
                return
            except HistoryUnavailable:
                ws.close(CloseCode.TRY_AGAIN_LATER, "the history is unavailable")
                return
            ws.before_close_reply = lambda frame: self._settle_and_sign_out(session, frame)
            conversation.run()

    def close(self) -> None:
        """Make everything durable, and release the broker. Waits."""
        self._state.broker.close()

    def _welcome(self, ws: Connection, session: Session) -> None:
        """Greet a client and, if its dialect has one room at a time, add it to the room of its path. Raises Rejected."""
        room = _room_of(ws.path)
        if session.identity.name is not None:
            self._state.users.sign_in(session, session.identity.name, replace=_request_of(ws).query.get("replace") == "1")
        greeting = session.dialect.greeting(session.name, session.secret)
        if not session.dialect.one_room:
            session.connection.send(greeting)
            return
        session.identity.check_room(room)
        self._state.moderation.check(BAN, session, room)
        # Once a client has the greeting, it gets all messages of the room.
        self._state.rooms.join(room, session, greeting=greeting)
        self._send_topic(room, session)
        self._spend_on_announcing(session)

    def _send_topic(self, name: str, session: Session) -> None:
        """Send the topic of a room that the session has joined, behind the greeting."""
        room, topic = self._state.rooms.find(name), self._state.broker.topic(name)
        text = session.dialect.event(topic_event(name, topic)) if topic is not None else None
        if room is not None and text is not None:
            room.queue_replies(session, text)
            room.flush_for(session)

    @contextmanager
    def _signing_out(self, session: Session) -> Iterator[None]:
        """At the end, remove the session from its rooms and free its name."""
        try:
            yield
        finally:
            self._sign_out(session)

    def _settle_and_sign_out(self, session: Session, frame: Close) -> None:
        """Prepare for the answer to the client's close frame.

        A client that says something and closes at once still receives it when it is durable. Once it has the answer, its name is free: the
        same script can be run again at once. Of a guest who brought a secret, that is so after a close with 1000.
        """
        session.wait_until_settled()
        self._sign_out(session, comes_back=frame.code != CloseCode.NORMAL)

    def _sign_out(self, session: Session, *, comes_back: bool = True) -> None:
        try:
            self._spend_on_announcing(session)
            self._state.rooms.leave_all(session)
        finally:
            self._state.users.sign_out(session, comes_back=comes_back)

    def _spend_on_announcing(self, session: Session) -> None:
        """Count the events for the members of the session's rooms when it opens or closes, for which there is no request."""
        if session.member is not None:
            self._budgets.spend(network_of(session.address), cost_of_announcing(self._state.rooms, session.rooms))


def _request_of(ws: Connection) -> Request:
    """Return the request that opened a connection."""
    return Request("GET", ws.path, dict(ws.headers), remote_address=ws.remote_address)


def _room_of(target: str) -> str:
    """Return the room of a request target. Raises RequestRefused (404)."""
    path = target.partition("?")[0]
    if path == "/":
        return LOBBY
    match = _ROOM_PATH.fullmatch(path)
    room = normalize_name(unquote(match[1])) if match else None
    if room is None:
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"No such room. / is the lobby, /rooms/NAME any other room; NAME must be {RULE}.")
    return key_of(room)
