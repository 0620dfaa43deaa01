"""What requests do. To add one, write a function and name it in the table.

A handler gets the state of the chat, the session that asks, and the request. It returns the event that is the answer, None
for a plain yes, or LATER if the answer comes another way; it raises Rejected if it cannot be, or HistoryUnavailable. It runs
in the session's own thread, and may wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wschat.brokers.base import Draft
from wschat.chat import requests
from wschat.chat.commands import help_text, spoken_text
from wschat.chat.events import (
    Event,
    HistoryEvent,
    Id,
    MemberEvent,
    Members,
    Notice,
    TypingEvent,
    WhisperEvent,
    message_fields,
    to_json,
)
from wschat.chat.moderation import BAN, MUTE, OP, log, shown_seconds, subjects_of
from wschat.chat.names import NAMELESS, key_of
from wschat.chat.room_list import list_rooms
from wschat.chat.sessions import Person, Session
from wschat.chat.state import State
from wschat.errors import Rejected
from wschat.protocol.frames import CloseCode

LATER = Event()
"""What a handler returns whose answer comes another way."""


def handle(state: State, session: Session, request: requests.Request) -> Event | None:
    """Carry a request out. Raises Rejected and HistoryUnavailable."""
    room = getattr(request, "room", None)
    if room is not None:
        session.identity.check_room(room)
    if session.person is None and session.dialect.needs_name and type(request) in _NEED_NAME:
        raise Rejected("nameless", "Take a name first: nick.")
    if type(request) is not requests.Say:
        session.wait_until_settled()  # as if one had been asked for after the other
    return _HANDLERS[type(request)](state, session, request)


# Being in rooms, and talking


def _join(state: State, session: Session, request: requests.Join) -> Event | None:
    state.moderation.check(BAN, session, request.room)
    # Who is in one room at a time gets the past by asking for it, and the answer when the other room cannot be heard any more.
    state.rooms.enter(request.room, session, None if session.dialect.one_room else request)
    if state.moderation.holds(BAN, session, request.room):  # since a moment ago, when they were not yet there to be put out
        state.rooms.leave(request.room, session, "ban")
        state.moderation.check(BAN, session, request.room)
    if session.dialect.one_room:
        for other in session.rooms.keys() - {request.room}:
            state.rooms.leave(other, session)
        return None
    return LATER


def _leave(state: State, session: Session, request: requests.Leave) -> Event | None:
    if not state.rooms.leave(request.room, session):
        raise _not_in(request.room)
    return None


def _say(state: State, session: Session, request: requests.Say) -> Event | None:
    _check_may_speak(state, session, request.room)
    state.new_rooms.check(session, request.room)
    key = say_key(session.person, request.id)
    session.say(state.broker, Draft(request.room, session.name or NAMELESS, spoken_text(request.text), key, request.id))
    return LATER


def say_key(person: Person | None, request_id: Id | None) -> str | None:
    """What a message is known by to the broker, so that it is said once: by whom and with which id."""
    return None if request_id is None else f"{person.key if person else key_of(NAMELESS)}\n{to_json(request_id)}"


def _whisper(state: State, session: Session, request: requests.Whisper) -> Event | None:
    person = _find_person(state, request.to)
    event = WhisperEvent(session.name or NAMELESS, person.name, request.text, round(time.time(), 3))
    for listener in state.people.sessions_of(person):
        listener.notify(event)
    return None


def _typing(state: State, session: Session, request: requests.Typing) -> Event | None:
    _check_may_speak(state, session, request.room)
    room = state.rooms.find(request.room)
    if room is not None and session.name is not None:
        room.announce(TypingEvent(request.room, session.name), exclude=[session.connection])
    return None


def _nick(state: State, session: Session, request: requests.Nick) -> Event | None:
    state.access.check_name(session.identity, request.name)
    for room in tuple(session.rooms):
        state.moderation.check(MUTE, session, room)  # another name would be a way around it
    if request.secret is not None:
        state.people.bring_secret(session, request.secret)
    if session.person is None:
        state.people.enter(session, request.name, replace=request.replace)
    else:
        state.people.rename(session, request.name, replace=request.replace)
    state.rooms.rename(session, request.name)
    return None


# Looking around


def _who(state: State, session: Session, request: requests.Who) -> Event | None:
    state.moderation.check(BAN, session, request.room)
    return Members(request.room, state.broker.members(request.room), state.rooms.count_unnamed(request.room), request.id)


def _rooms(state: State, session: Session, request: requests.Rooms) -> Event | None:
    return list_rooms(state, session, request)


def _history(state: State, session: Session, request: requests.History) -> Event | None:
    state.moderation.check(BAN, session, request.room)
    if request.since is not None and request.before is not None:
        raise Rejected("bad-request", "A history is asked for with 'since' or with 'before', not with both.")
    last = state.broker.last_number(request.room)
    if request.since is not None:
        given = state.broker.read_since(request.room, request.since, request.limit)
        more = given and state.broker.read_since(request.room, given[-1].seq, 1)
    else:
        given = state.broker.read_before(request.room, request.before, request.limit)
        more = given and state.broker.read_before(request.room, given[0].seq, 1)
    begin, end = (given[0].seq - 1, given[-1].seq) if given else (0, 0)
    if request.since is not None:
        begin, end = request.since, end if more else max(end, last)
    gap = len(given) < end - begin
    return HistoryEvent(request.room, [message_fields(message) for message in given], bool(more), gap, request.id)


def _help(_: State, __: Session, request: requests.Help) -> Event | None:
    return Notice(help_text(), request.id)


# Moderating


def _kick(state: State, session: Session, request: requests.Kick) -> Event | None:
    person = _find_target(state, session, request.room, request.name)
    if not _put_out(state, session, request.room, _sessions(state, person), "kick", "put you out of"):
        raise Rejected("no-such-person", f"{request.name} is not in {request.room}.")
    log(str(session.name), "kick", request.name, request.room)
    return None


def _mute(state: State, session: Session, request: requests.Mute) -> Event | None:
    person = _find_target(state, session, request.room, request.name)
    if request.seconds == 0:
        if not state.moderation.lift(MUTE, request.room, request.name, str(session.name)):
            raise Rejected("not-muted", f"{request.name} is not muted in {request.room}.")
    else:
        state.moderation.set(MUTE, request.room, _subjects(state, request.name, person), request.seconds, str(session.name))
        _depose(state, session, request.room, person)
    event, told = ("unmute", "lets you speak again in") if request.seconds == 0 else ("mute", "has muted you in")
    _tell(state, session, request.room, person, event, f"{told} {request.room}{_span(request.seconds or None)}")
    if person is None and request.seconds != 0:
        for listener in state.rooms.sessions_in(request.room):
            if state.moderation.holds(MUTE, listener, request.room):
                listener.notify(Notice(f"{session.name} {told} {request.room}{_span(request.seconds)}.", room=request.room, event=event))
    return None


def _ban(state: State, session: Session, request: requests.Ban) -> Event | None:
    if request.seconds == 0:
        return _unban(state, session, requests.Unban(request.room, request.name))
    person = _find_target(state, session, request.room, request.name)
    state.moderation.set(BAN, request.room, _subjects(state, request.name, person), request.seconds, str(session.name))
    _depose(state, session, request.room, person)
    # By name and by address: all whom it is about, which may be more than were meant.
    out = [other for other in state.rooms.sessions_in(request.room) if state.moderation.holds(BAN, other, request.room)]
    _put_out(state, session, request.room, out, "ban", f"banned you{_span(request.seconds)} from")
    return None


def _unban(state: State, session: Session, request: requests.Unban) -> Event | None:
    state.moderation.check_moderator(session, request.room)
    if not state.moderation.lift(BAN, request.room, request.name, str(session.name)):
        raise Rejected("not-banned", f"{request.name} is not banned from {request.room}.")
    _tell(state, session, request.room, state.people.find(request.name), "unban", f"lets you into {request.room} again")
    return None


def _op(state: State, session: Session, request: requests.Op) -> Event | None:
    state.moderation.check_moderator(session, request.room)
    person = _find_person(state, request.name)
    if person.identity.is_proven:
        state.moderation.set(OP, request.room, [person.key], None, str(session.name))
    else:
        person.moderates.add(request.room)  # not for good: somebody else may have this name next
        log(str(session.name), OP, person.name, request.room)
    _tell(state, session, request.room, person, "op", f"has made you a moderator of {request.room}")
    return None


_HANDLERS: dict[type[requests.Request], Callable[[State, Session, Any], Event | None]] = {
    requests.Join: _join,
    requests.Leave: _leave,
    requests.Say: _say,
    requests.Whisper: _whisper,
    requests.Nick: _nick,
    requests.Typing: _typing,
    requests.Who: _who,
    requests.Rooms: _rooms,
    requests.History: _history,
    requests.Help: _help,
    requests.Kick: _kick,
    requests.Mute: _mute,
    requests.Ban: _ban,
    requests.Unban: _unban,
    requests.Op: _op,
}
_NEED_NAME = frozenset({requests.Join, requests.Say, requests.Whisper, requests.Typing})


def _not_in(room: str) -> Rejected:
    return Rejected("not-in-room", f"You are not in {room}.")


def _check_may_speak(state: State, session: Session, room: str) -> None:
    if room not in session.rooms:
        raise _not_in(room)
    state.moderation.check(MUTE, session, room)


def _find_person(state: State, name: str) -> Person:
    person = state.people.find(name)
    if person is None:
        raise Rejected("no-such-person", f"There is nobody called {name}.")
    return person


def _find_target(state: State, session: Session, room: str, name: str) -> Person | None:
    """Who a moderator means, if they are here. Raises Rejected if that is not for this moderator to do."""
    state.moderation.check_moderator(session, room)
    person = state.people.find(name)
    if person is not None and (person.moderates_by_identity(room) or not _outranks(state, session, room, person)):
        raise Rejected("forbidden", f"{person.name} is a moderator.")
    return person


def _outranks(state: State, session: Session, room: str, person: Person) -> bool:
    """Whether somebody may moderate somebody: those whom moderators have made moderators are only for those who came as such."""
    return session.identity.moderates(room) or not any(state.moderation.is_moderator(other, room) for other in _sessions(state, person))


def _depose(state: State, session: Session, room: str, person: Person | None) -> None:
    """Somebody is a moderator of this room no more, if a moderator has made them one: nothing could keep them from anything."""
    if person is not None and any(state.moderation.is_moderator(other, room) for other in _sessions(state, person)):
        person.moderates.discard(room)
        state.moderation.lift(OP, room, person.key, str(session.name))


def _sessions(state: State, person: Person | None) -> list[Session]:
    return state.people.sessions_of(person) if person else []


def _subjects(state: State, name: str, person: Person | None) -> list[str]:
    return subjects_of(name, {session.address for session in _sessions(state, person) if session.address})


def _put_out(state: State, session: Session, room: str, out: list[Session], event: str, told: str) -> bool:
    """Have these leave the room, and tell them why. Return False if none was in it."""
    gone = [listener for listener in out if state.rooms.leave(room, listener, event)]
    for listener in gone:
        listener.notify(MemberEvent(room, listener.name or NAMELESS, event))
        listener.notify(Notice(f"{session.name} has {told} {room}.", room=room, event=event))
        if not listener.dialect.is_seen:  # who follows a room has come for nothing else
            listener.connection.begin_close(CloseCode.POLICY_VIOLATION, f"{event} by a moderator")
    return bool(gone)


def _tell(state: State, session: Session, room_name: str, person: Person | None, event: str, told: str) -> None:
    """Tell the room what was done about somebody, and this person in words."""
    room = state.rooms.find(room_name)
    if room is not None and person is not None:
        room.announce(MemberEvent(room_name, person.name, event))
    for listener in _sessions(state, person):
        listener.notify(Notice(f"{session.name} {told}.", room=room_name, event=event))


def _span(seconds: float | None) -> str:
    return "" if seconds is None else f" for {shown_seconds(seconds)}"
