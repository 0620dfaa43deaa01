"""The other processes of a chat with a shared broker: what moderators and users do there and what concerns users here, and back.

Rules come with the broker. The rest is told by JSON objects, each with the name of a class below.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from wschat.brokers.base import Rule
from wschat.chat.moderation import BAN
from wschat.chat.moderator_actions import remove_banned, remove_from_room, sessions_of
from wschat.chat.state import State
from wschat.events import WhisperEvent
from wschat.names import key_of

logger = logging.getLogger("wschat.chat")


@dataclass(frozen=True)
class ElsewhereKick:
    """A moderator has removed a user from a room."""

    room: str
    """The room's name."""
    name: str
    """The name of the user."""
    by: str
    """The name of the moderator."""

    def apply(self, state: State) -> None:
        """Remove the sessions of the user, unless the user is a moderator of the room by a token or a password."""
        user = state.users.find(self.name)
        if user is not None and not user.moderates_by_identity(self.room):
            remove_from_room(state, self.by, self.room, sessions_of(state, user), "kick", "removed you")


@dataclass(frozen=True)
class ElsewhereWhisper:
    """A user whispers to another one."""

    sender: str
    """The name of its author."""
    to: str
    """The name of the user it is for."""
    text: str
    """The text."""
    time: float
    """When it was sent, in seconds since 1970."""

    def apply(self, state: State) -> None:
        """Deliver it to the sessions of the user."""
        user = state.users.find(self.to)
        for session in sessions_of(state, user):
            session.notify(WhisperEvent(self.sender, user.name if user else self.to, self.text, self.time))


_KINDS: dict[str, type[ElsewhereKick | ElsewhereWhisper]] = {kind.__name__: kind for kind in (ElsewhereKick, ElsewhereWhisper)}


def tell(state: State, done: ElsewhereKick | ElsewhereWhisper) -> None:
    """Tell the other nodes what was done here. May wait. Raises HistoryUnavailable."""
    state.broker.tell(json.dumps([type(done).__name__, asdict(done)]))


def is_member_of_any(state: State, rooms: Iterable[str], name: str) -> bool:
    """Return True if a member of one of these rooms has this name, on this node or another one."""
    return any(key_of(member) == key_of(name) for room in rooms for member in state.broker.members(room))


class Nodes:
    """Receives what the other nodes tell."""

    def __init__(self, state: State) -> None:
        self._state = state

    def on_rules(self, changed: Sequence[Rule], deleted: Sequence[Rule]) -> None:
        """Note the rules, and remove whom they ban."""
        self._state.moderation.apply(changed, deleted)
        for room, by, until in sorted({(rule.room, rule.by, rule.until) for rule in changed if rule.kind == BAN}):
            remove_banned(self._state, by, room, until - time.time() if until else None)

    def on_told(self, text: str) -> None:
        """Do what it means for the users here. A node of a newer version may tell something unknown, which is left out."""
        kind, fields = json.loads(text)
        if kind in _KINDS:
            _KINDS[kind](**fields).apply(self._state)
        else:
            logger.warning("another node tells something that this version does not know: %s", kind)
