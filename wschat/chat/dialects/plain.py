"""The plain-text dialect: for a client that asks for no subprotocol, such as the JavaScript tutorial's.

The client is greeted, and each text that it sends reaches everyone in the room, itself included, as `Server: TEXT`, or as
`NAME: TEXT` once it has a name. Besides messages it receives the replies to its commands, and notices and whispers for itself.
"""

from __future__ import annotations

from wschat import events
from wschat.brokers.base import Draft, Message, Result
from wschat.chat.action import AnyAction
from wschat.chat.actions.say import Say
from wschat.chat.dialects.interactive import InteractiveDialect
from wschat.chat.parser import NO_ROOM, parse_command
from wschat.chat.text import as_line, as_topic_line, is_command
from wschat.errors import HistoryUnavailable, Rejected
from wschat.events import Event

GREETING = "Welcome to the chat!"
"""The first line for every client."""

_SHOWN_CHARACTERS = 40
# The codes of errors after which the text has to be sent again.
_NOT_SENT = frozenset({"too-fast", "too-many-rooms", "muted", "unavailable"})


class Plain(InteractiveDialect):
    """Lines in and out."""

    one_room = True
    needs_name = False
    hears_of_members = False

    def greeting(self, name: str | None, secret: str | None) -> str:
        return GREETING

    def parse(self, text: str, room: str | None) -> AnyAction:
        if is_command(text):
            return parse_command(text, room)
        if room is None:
            raise Rejected("not-in-room", NO_ROOM)
        return Say(room, text)

    def reply_to(self, action: AnyAction, reply: Event | None) -> str | None:
        return action.plain_reply(reply)

    def rejection_of(self, request_text: str, error: Rejected, *, is_news: bool) -> str | None:
        if is_command(request_text) and error.code != "too-fast":
            return error.text  # a command always has a reply
        if not is_news:
            return None
        return f"{error.text} Not sent: {_beginning_of(request_text)}" if error.code in _NOT_SENT else error.text

    def outcome(self, draft: Draft, result: Result) -> str | None:
        if isinstance(result, HistoryUnavailable):
            return f"Sorry, {result}. Not sent: {_beginning_of(draft.text)}"
        return None

    def event(self, event: Event) -> str | None:
        if isinstance(event, events.Notice | events.Error):
            return event.text
        if isinstance(event, events.WhisperEvent):
            return f"{event.sender} whispers: {event.text}"
        if isinstance(event, events.TopicEvent):
            return as_topic_line(event.room, event.sender, event.text)
        return None

    def message(self, message: Message) -> str:
        return as_line(message.sender, message.text, message.kind)


def _beginning_of(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
