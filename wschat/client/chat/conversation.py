"""One connection of a client to the chat: taking the name, joining the rooms again, and receiving. For the thread of the client."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from threading import RLock
from time import monotonic

from wschat.client.chat.inbox import Inbox
from wschat.client.chat.requests import PendingRequest, Requests, id_of
from wschat.client.event_parser import parse_event
from wschat.connection.connection import Connection
from wschat.errors import OpeningFailed, PeerError, Rejected
from wschat.events import Ack, Error, Event, Joined, MemberEvent, Welcome
from wschat.names import key_of
from wschat.v1 import SUBPROTOCOL

_REPLY_TIMEOUT = 30.0
_EXITS = ("kick", "ban")


class Identity:
    """The name of a client, and what proves that it is the same guest on the next connection. The lock of the client guards it."""

    def __init__(self, name: str | None, rooms: list[str], secret: str | None) -> None:
        self.name = name
        """The name to take; None for one that the server gives."""
        self.secret = secret
        """The secret of the guest: the one that was given, or that of the first welcome."""
        self.may_replace = secret is not None
        """True if another connection with the name may be this client's own."""
        self.has_name = False
        """True if the client has had its name on an earlier connection."""
        self.new_rooms = rooms
        """The rooms to join on the first connection."""


class Conversation:
    """One connection. `run` returns or raises ConnectionClosed when it has ended; any other error is final."""

    def __init__(self, ws: Connection, lock: RLock, identity: Identity, requests: Requests, inbox: Inbox) -> None:
        self._ws = ws
        self._lock = lock
        self._identity = identity
        self._requests = requests
        self._inbox = inbox

    def run(self) -> None:
        """Sign in, join the rooms, and receive until the connection ends."""
        if self._ws.subprotocol != SUBPROTOCOL:
            raise OpeningFailed(f"the server does not speak {SUBPROTOCOL}: is it a chat of wschat?", 101, self._ws.headers)
        welcome = parse_event(self._ws.recv(_REPLY_TIMEOUT))
        if not isinstance(welcome, Welcome):
            raise ValueError(f"the first event must be a welcome, not {welcome.type}")
        self._requests.begin(self._ws, welcome.limits)
        self._inbox.receive(welcome)
        if not self._sign_in(welcome):
            return
        self._join_again()
        self._join_new_rooms()
        self._requests.open()
        while True:
            self._read(None)

    def _sign_in(self, welcome: Welcome) -> bool:
        """Take the name. Return False if it is not free at the moment, after it was the client's own."""
        identity = self._identity
        identity.secret = identity.secret or welcome.secret
        if welcome.name is not None and (identity.name is None or is_same_name(welcome.name, identity.name)):
            identity.name = welcome.name
        elif identity.name is not None:
            fields = {"name": identity.name, "secret": identity.secret, "replace": identity.may_replace or None}
            reply = self._ask("nick", fields)
            if isinstance(reply, Error):
                if reply.code == "name-taken" and identity.has_name:
                    return False
                raise Rejected(reply.code, reply.text, reply.seconds)
        identity.has_name = identity.name is not None
        identity.may_replace = identity.may_replace or identity.has_name
        return True

    def _join_new_rooms(self) -> None:
        """Join the rooms that were given to the client."""
        while self._identity.new_rooms:
            joined = self._join({"room": self._identity.new_rooms[0]})
            if isinstance(joined, Error):
                raise Rejected(joined.code, joined.text, joined.seconds)
            self._inbox.enter(joined, None, None)
            del self._identity.new_rooms[0]

    def _join_again(self) -> None:
        """Join the rooms that the client was in. The error of one that it may not join any more is an event."""
        for log in self._inbox.rooms:
            joined = self._join({"room": log.name, "since": log.delivered, "epoch": log.epoch})
            if isinstance(joined, Error):
                self._inbox.leave(log.name)
                self._inbox.receive(joined)
            else:
                self._inbox.resume(log, joined)

    def _join(self, fields: Mapping[str, object]) -> Joined | Error:
        while True:
            reply = self._ask("join", fields)
            if isinstance(reply, Joined):
                return reply
            if not isinstance(reply, Error):
                raise PeerError(f"the server has answered {reply.type} to join")
            if reply.code != "unavailable":
                return reply
            self._requests.pause()

    def _ask(self, action: str, fields: Mapping[str, object]) -> Event:
        """Send a request of the client itself, and read until its reply."""
        request = PendingRequest(self._lock, action, fields)
        self._requests.add_urgent(request)
        until = monotonic() + _REPLY_TIMEOUT
        while request.reply is None:
            self._read(until)
        return request.reply

    def _read(self, until: float | None) -> None:
        """Send what is due, and receive one event. Returns without one if something else is due. Raises TimeoutError after `until`."""
        for page in self._inbox.missing_pages():
            self._requests.add_urgent(page)
        delay = self._requests.pump()
        remaining = None if until is None else until - monotonic()
        if remaining is not None and remaining <= 0:
            raise TimeoutError
        try:
            text = self._ws.recv(min((seconds for seconds in (delay, remaining) if seconds is not None), default=None))
        except TimeoutError:
            return
        self._receive(parse_event(text))

    def _receive(self, event: Event) -> None:
        request = self._requests.find(event)
        if request is not None:
            self._apply(request, event)
            self._requests.complete(request, event)
        elif id_of(event) is None:  # else the reply to a request that nothing waits for any more
            if isinstance(event, MemberEvent) and self._is_me(event.name):
                self._apply_own(event)
            self._inbox.receive(event)

    def _apply(self, request: PendingRequest, reply: Event) -> None:
        """Note what a request has changed. Those that `_ask` sends are applied by its callers."""
        if request.log is not None:
            if isinstance(reply, Error) and reply.code == "unavailable":
                self._requests.pause()
            self._inbox.receive_page(request.log, reply)
        elif isinstance(reply, Joined) and self._requests.is_open:
            since, epoch = request.fields.get("since"), request.fields.get("epoch")
            self._inbox.enter(reply, since if isinstance(since, int) else None, epoch if isinstance(epoch, str) else None)
        elif isinstance(reply, Ack) and request.type == "leave":
            self._inbox.leave(comparable(str(request.fields.get("room"))))
        elif isinstance(reply, Ack) and request.type == "nick" and self._requests.is_open:
            self._identity.name = normalized(str(request.fields.get("name")))

    def _is_me(self, name: str) -> bool:
        return self._identity.name is not None and is_same_name(name, self._identity.name)

    def _apply_own(self, event: MemberEvent) -> None:
        """Note what has happened to the client's own name."""
        if event.event in _EXITS:
            self._inbox.leave(event.room)
        elif event.event == "rename" and event.new_name is not None:
            self._identity.name = event.new_name


def normalized(name: str) -> str:
    """Return a name as the server writes it."""
    return unicodedata.normalize("NFKC", name)


def comparable(name: str) -> str:
    """Return the form in which names are compared, and rooms are written."""
    return key_of(normalized(name))


def is_same_name(one: str, other: str) -> bool:
    """Return True if two names are the same for the server."""
    return comparable(one) == comparable(other)
