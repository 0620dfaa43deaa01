"""What an action is: something that a client can ask the chat to do.

Each action is one file in `actions/`. It is a frozen dataclass whose fields are those of its JSON object in `wschat.v1`, with
types from `fields`. The registry refuses an action that lacks one of the parts declared here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from wschat.chat.fields import ActionId
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.errors import Rejected
from wschat.events import Event

Reply = TypeVar("Reply")
"""What `run` returns: a type of event, or None."""

LATER = Event()
"""What `run` returns if the reply is sent another way, when it is known."""


@dataclass(frozen=True)
class Command:
    """The form of an action as a line that a person types.

    The words after the command's name become the values of `fields`, in that order; the last one is all the rest of the line. A
    word in brackets may be left out. The field `room`, if it is not among them, is the room in which the line is typed.
    """

    usage: str
    """The form: `/mute NAME [SECONDS]`."""
    help: str
    """What it does, in a few words."""
    fields: tuple[str, ...] = ()
    """The fields that the words are for."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Values of fields for which there is no word."""
    prefix: str = ""
    """A text put before the last word."""

    @property
    def name(self) -> str:
        """The command's name, without the slash."""
        return self.usage.split()[0].removeprefix("/")

    @property
    def placeholders(self) -> list[str]:
        """What the usage calls the words, in order."""
        return self.usage.split()[1:]

    @property
    def required(self) -> int:
        """The number of words that may not be left out."""
        return sum(not placeholder.startswith("[") for placeholder in self.placeholders)


@dataclass(frozen=True)
class Action(ABC, Generic[Reply]):
    """One request of a client, checked and typed."""

    type: ClassVar[str]
    """The `type` of its JSON object."""
    commands: ClassVar[tuple[Command, ...]]
    """Its forms as a line; empty for an action of programs only."""
    needs_name: ClassVar[bool]
    """True if a client of a dialect with names must have chosen one."""
    needs_moderator: ClassVar[bool]
    """True if only a moderator of the room `room` may do it."""

    waits_for_messages: ClassVar[bool] = True
    """True if it must run after the session's earlier messages are delivered. The broker orders messages by itself."""

    id: ActionId = field(default=None, kw_only=True)
    """Repeated in the reply. Without an id there is no `ack`."""

    @abstractmethod
    def run(self, state: State, session: Session) -> Reply:
        """Do it, and return the event that is the reply, None for an `ack`, or LATER.

        Runs in the session's own thread, and may wait. Raises Rejected and HistoryUnavailable.
        """

    @abstractmethod
    def plain_reply(self, reply: Reply) -> str | None:
        """Return the reply in plain text, None for no reply. Not called with LATER."""

    @abstractmethod
    def cost(self, state: State, session: Session, reply: Reply) -> float:
        """Return how much work it was, besides reading the request. The unit is explained in `costs`."""


AnyAction = Action[Any]


def run_action(state: State, session: Session, action: AnyAction) -> Any:
    """Check what holds for all actions, run this one, and return its reply. Raises Rejected and HistoryUnavailable."""
    room = getattr(action, "room", None)
    if room is not None:
        session.identity.check_room(room)
    if action.needs_name and session.user is None and session.dialect.needs_name:
        raise Rejected("nameless", 'Choose a name first: send a "nick".')
    if action.waits_for_messages:
        session.wait_until_settled()
    if action.needs_moderator:
        state.moderation.check_moderator(session, str(room))
    return action.run(state, session)
