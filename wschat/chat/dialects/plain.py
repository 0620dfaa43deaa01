"""The dialect of plain text: what a client gets that asks for no subprotocol, such as the JavaScript tutorial's.

It is greeted, and each text it sends reaches everyone in the room, itself included, as `Server: TEXT`, or as `NAME: TEXT`
once it has a name. Besides messages it gets the replies to its own commands, and what is meant for it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wschat.brokers.base import Draft, Message, Result
from wschat.chat import events, requests
from wschat.chat.commands import ACTION, is_command, parse_command
from wschat.chat.events import Event
from wschat.chat.requests import Request, Say
from wschat.chat.sessions import Dialect, Session
from wschat.errors import HistoryUnavailable, Rejected

GREETING = "Welcome to the chat!"

_SHOWN_CHARACTERS = 40
# The errors after which one has to say something again.
_NOT_SENT = frozenset({"too-fast", "too-many-rooms", "muted", "unavailable"})


class Plain(Dialect):
    """Lines in and out."""

    one_room = True
    needs_name = False
    hears_of_members = False

    def greeting(self, session: Session) -> str:
        return GREETING

    def parse(self, session: Session, text: str) -> Request:
        if is_command(text):
            return parse_command(text, session.room)
        if session.room is None:
            raise Rejected("not-in-room", "You are in no room. /join ROOM goes to one.")
        return Say(session.room, text)

    def answer(self, session: Session, request: Request, answer: Event | None) -> str | None:
        reply = _REPLIES.get(type(request))
        return reply(request, answer) if reply is not None else None

    def rejection(self, session: Session, request_text: str, error: Rejected, *, is_news: bool) -> str | None:
        if is_command(request_text) and error.code != "too-fast":
            return error.text  # whoever gives a command waits for an answer
        if not is_news:
            return None
        return f"{error.text} This was not sent: {_beginning_of(request_text)}" if error.code in _NOT_SENT else error.text

    def settled(self, draft: Draft, result: Result) -> str | None:
        if isinstance(result, HistoryUnavailable):
            return f"Sorry, {result}. This was not sent: {_beginning_of(draft.text)}"
        return None

    def event(self, event: Event) -> str | None:
        if isinstance(event, events.Notice | events.Error):
            return event.text
        if isinstance(event, events.WhisperEvent):
            return f"{event.sender} whispers: {event.text}"
        return None

    def message(self, message: Message) -> str:
        return _line(message.sender, message.text)


def _line(sender: object, text: str) -> str:
    return f"* {sender} {text.removeprefix(ACTION)}" if text.startswith(ACTION) else f"{sender}: {text}"


def _beginning_of(text: str) -> str:
    """Enough of it to know it again."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _who(_: Any, answer: Any) -> str:
    names = sorted(answer.members)
    if answer.unnamed:
        names.append(f"{answer.unnamed} without a name")
    return f"In {answer.room}: {', '.join(names) or 'nobody'}."


def _rooms(_: Any, answer: Any) -> str:
    shown = [f"{room['room']} ({room['members']})" for room in answer.rooms]
    return f"Rooms: {', '.join(shown) or 'none'}{', and more' if answer.more else ''}."


def _history(_: Any, answer: Any) -> str:
    lines = [_line(message["from"], message["text"]) for message in answer.messages]
    return "\n".join(lines) or f"Nothing is kept of what was said in {answer.room}."


# What is said when a request has been carried out; the others are silent, because what they do is seen.
_REPLIES: dict[type[Request], Callable[[Any, Any], str]] = {
    requests.Nick: lambda request, _: f"You are {request.name} now.",
    requests.Join: lambda request, _: f"You are in {request.room} now.",
    requests.Leave: lambda request, _: f"You have left {request.room}. /join ROOM goes to another room.",
    requests.Who: _who,
    requests.Rooms: _rooms,
    requests.Whisper: lambda request, _: f"To {request.to}: {request.text}",
    requests.History: _history,
    requests.Help: lambda _, answer: answer.text,
    requests.Kick: lambda request, _: f"{request.name} has been put out of {request.room}.",
    requests.Mute: lambda request, _: f"{request.name} {'may speak again' if request.seconds == 0 else 'is muted'} in {request.room}.",
    requests.Ban: lambda request, _: f"{request.name} {'may be in' if request.seconds == 0 else 'is banned from'} {request.room}.",
    requests.Unban: lambda request, _: f"{request.name} may be in {request.room} again.",
    requests.Op: lambda request, _: f"{request.name} is a moderator of {request.room}.",
}
