"""The dialect `wschat.v1`: one JSON object for each text message, for programs and pages."""

from __future__ import annotations

import importlib.metadata
import math

from wschat.brokers.base import Draft, Message, Result
from wschat.chat.commands import is_command, parse_command
from wschat.chat.events import Ack, Error, Event, Id, Welcome, message_as_json
from wschat.chat.people import NameTaken
from wschat.chat.rates import Rate
from wschat.chat.requests import Request, Say, id_of, parse_request
from wschat.chat.sessions import Dialect, Session
from wschat.errors import HistoryUnavailable, Rejected

SUBPROTOCOL = "wschat.v1"


class V1(Dialect):
    """JSON in and out. `rate` is what one connection may send, for the welcome."""

    one_room = False
    needs_name = True

    def __init__(self, rate: Rate | None = None) -> None:
        self._limits = {} if rate is None else {"requests": rate.messages, "seconds": rate.seconds}
        self._server = f"wschat/{importlib.metadata.version('wschat')}"

    def greeting(self, session: Session) -> str:
        return Welcome(self._server, session.name, self._limits, session.secret).as_json()

    def parse(self, session: Session, text: str) -> Request:
        request = parse_request(text)
        if isinstance(request, Say) and is_command(request.text):
            return parse_command(request.text, request.room, request.id)
        return request

    def answer(self, session: Session, request: Request, answer: Event | None) -> str | None:
        if answer is not None:
            return answer.as_json()
        return Ack(request.id).as_json() if request.id is not None else None

    def rejection(self, session: Session, request_text: str, error: Rejected, *, is_news: bool) -> str | None:
        request_id = id_of(request_text)
        return _error(error, request_id) if is_news or request_id is not None else None

    def settled(self, draft: Draft, result: Result) -> str | None:
        request_id: Id | None = draft.tag  # type: ignore[assignment]  # we have put it there
        if isinstance(result, HistoryUnavailable):
            return _error(Rejected("unavailable", f"Sorry, {result}."), request_id)
        if isinstance(result, Rejected):
            return _error(result, request_id)
        return None if request_id is None else Ack(request_id, result).as_json()

    def event(self, event: Event) -> str | None:
        return event.as_json()

    def message(self, message: Message) -> str:
        return message_as_json(message)


def _error(error: Rejected, request_id: Id | None) -> str:
    # Rounded up: who waits that long must not be too early.
    seconds = None if error.seconds is None else math.ceil(error.seconds * 1000) / 1000
    yours = True if isinstance(error, NameTaken) and error.is_yours else None
    return Error(error.code, error.text, request_id, seconds, yours).as_json()
