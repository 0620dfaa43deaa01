"""The dialect `wschat.v1`: one JSON object in each text message, for programs and pages."""

from __future__ import annotations

import importlib.metadata
import math

from wschat.brokers.base import Draft, Message, Result
from wschat.chat.action import AnyAction
from wschat.chat.actions.say import Say
from wschat.chat.dialects.interactive import InteractiveDialect
from wschat.chat.messages import ack_as_json, message_as_json
from wschat.chat.parser import id_in, parse_action, parse_command
from wschat.chat.rates import Rate
from wschat.chat.text import is_command
from wschat.chat.users import NameTaken
from wschat.errors import HistoryUnavailable, Rejected
from wschat.events import Ack, Error, Event, Id, Welcome


class V1(InteractiveDialect):
    """JSON in and out. `rate` is what one connection may send; the `welcome` names it."""

    one_room = False
    needs_name = True

    def __init__(self, rate: Rate | None = None) -> None:
        self._limits = {} if rate is None else {"requests": rate.messages, "seconds": rate.seconds}
        self._server = f"wschat/{importlib.metadata.version('wschat')}"

    def greeting(self, name: str | None, secret: str | None) -> str:
        return Welcome(self._server, name, self._limits, secret).as_json()

    def parse(self, text: str, room: str | None) -> AnyAction:
        action = parse_action(text)
        if isinstance(action, Say) and is_command(action.text):
            return parse_command(action.text, action.room, action.id)
        return action

    def reply_to(self, action: AnyAction, reply: Event | None) -> str | None:
        if reply is not None:
            return reply.as_json()
        return Ack(action.id).as_json() if action.id is not None else None

    def rejection_of(self, request_text: str, error: Rejected, *, is_news: bool) -> str | None:
        request_id = id_in(request_text)
        return _error(error, request_id) if is_news or request_id is not None else None

    def outcome(self, draft: Draft, result: Result) -> str | None:
        request_id: Id | None = draft.tag  # type: ignore[assignment]  # the action put it there
        if isinstance(result, HistoryUnavailable):
            return _error(Rejected("unavailable", f"Sorry, {result}."), request_id)
        if isinstance(result, Rejected):
            return _error(result, request_id)
        return None if request_id is None else ack_as_json(request_id, result)

    def event(self, event: Event) -> str | None:
        return event.as_json()

    def message(self, message: Message) -> str:
        return message_as_json(message)


def _error(error: Rejected, request_id: Id | None) -> str:
    # Rounded up: a client that waits for that long must not be too early.
    seconds = None if error.seconds is None else math.ceil(error.seconds * 1000) / 1000
    yours = True if isinstance(error, NameTaken) and error.is_yours else None
    return Error(error.code, error.text, request_id, seconds, yours).as_json()
