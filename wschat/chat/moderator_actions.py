"""What the actions of moderators share: whom they may act on, and who is told."""

from __future__ import annotations

from collections.abc import Iterable

from wschat.chat.moderation import BAN, OP, shown_seconds, subjects_of
from wschat.chat.sessions import Session, User
from wschat.chat.state import State
from wschat.errors import Rejected
from wschat.events import MemberEvent, Notice
from wschat.names import NAMELESS
from wschat.protocol.frames import CloseCode


def find_user(state: State, name: str) -> User:
    """Return the user with this name. Raises Rejected if there is none."""
    user = state.users.find(name)
    if user is None:
        raise Rejected("no-such-person", f"There is no user named {name}.")
    return user


def find_target(state: State, session: Session, room: str, name: str) -> User | None:
    """Return the user with this name, None if there is none. Raises Rejected if this moderator may not act on that user."""
    user = state.users.find(name)
    if user is not None and (user.moderates_by_identity(room) or not _outranks(state, session, room, user)):
        raise Rejected("forbidden", f"{user.name} is a moderator.")
    return user


def sessions_of(state: State, user: User | None) -> list[Session]:
    """Return the sessions of a user, none for None."""
    return state.users.sessions_of(user) if user else []


def subjects_for(state: State, name: str, user: User | None) -> list[str]:
    """Return the subjects of a rule about a name and the addresses that its user is connected from, or about an address."""
    return subjects_of(name, {session.address for session in sessions_of(state, user) if session.address})


def revoke_moderator(state: State, session: Session, room: str, user: User | None) -> None:
    """Revoke moderator rights that were granted in this room, so that a mute or a ban takes effect."""
    if user is not None and _is_moderator(state, room, user):
        user.moderates.discard(room)
        state.moderation.lift(OP, room, user.key, str(session.name))


def remove_from_room(state: State, by: str, room: str, targets: Iterable[Session], event: str, done: str) -> bool:
    """Remove sessions from a room, and tell them so. Return False if none was there.

    `by` is the name of the moderator, `event` the member event, `done` what the notice says: "removed you".
    """
    removed = [target for target in targets if state.rooms.leave(room, target, event)]
    for target in removed:
        target.notify(MemberEvent(room, target.name or NAMELESS, event))
        target.notify(Notice(f"{by} {done} from {room}.", room=room, event=event))
        if not target.dialect.is_seen:  # such a connection is for this room only
            target.connection.begin_close(CloseCode.POLICY_VIOLATION, f"{event} by a moderator")
    return bool(removed)


def remove_banned(state: State, by: str, room: str, seconds: float | None) -> None:
    """Remove all sessions from a room that are banned from it: users at the same address are, too."""
    banned = [session for session in state.rooms.sessions_in(room) if state.moderation.holds(BAN, session, room)]
    remove_from_room(state, by, room, banned, "ban", f"banned you{duration(seconds)}")


def announce(state: State, session: Session, room_name: str, user: User | None, event: str, done: str) -> None:
    """Tell a room by an event, and the user by a notice, what a moderator did."""
    room = state.rooms.find(room_name)
    if room is not None and user is not None:
        room.announce(MemberEvent(room_name, user.name, event))
    for target in sessions_of(state, user):
        target.notify(Notice(f"{session.name} {done}.", room=room_name, event=event))


def duration(seconds: float | None) -> str:
    """Return ` for 60 s`, nothing for None."""
    return "" if seconds is None else f" for {shown_seconds(seconds)}"


def _outranks(state: State, session: Session, room: str, user: User) -> bool:
    """Return True if a moderator may act on a user: one who was granted the rights may not act on another moderator."""
    return session.identity.moderates(room) or not _is_moderator(state, room, user)


def _is_moderator(state: State, room: str, user: User) -> bool:
    return any(state.moderation.is_moderator(session, room) for session in state.users.sessions_of(user))
