"""People: which names are in use, by whom, and which are kept for guests who come back."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from time import monotonic

from wschat.chat.addresses import place_of
from wschat.chat.events import Error
from wschat.chat.names import key_of
from wschat.chat.reservations import Reservations
from wschat.chat.sessions import Person, Session
from wschat.errors import Rejected

REPLACED = 4001
"""The close code for a connection whose guest goes on with another one (RFC 6455, section 7.4.2: codes for private use)."""


class NameTaken(Rejected):
    """A name is in use or kept for somebody; `is_yours` says that the same guest has it, on another connection."""

    def __init__(self, name: str, *, is_yours: bool = False, seconds: float | None = None) -> None:
        if is_yours:
            text = f"The name {name} is taken, by another connection of yours."
        elif seconds is not None:
            text = f"The name {name} is taken: it is kept for a guest who has just left."
        else:
            text = f"The name {name} is taken."
        super().__init__("name-taken", text, seconds)
        self.is_yours = is_yours


class People:
    """The names in use. Every method may be called from any thread."""

    def __init__(self) -> None:
        # Guards the people, their names and sessions, and the reservations; nothing else is locked while it is held.
        self._guard = threading.Lock()
        self._people: dict[str, Person] = {}
        self._reservations = Reservations()

    def find(self, name: str) -> Person | None:
        """Who has this name now."""
        with self._guard:
            return self._people.get(key_of(name))

    def bring_secret(self, session: Session, secret: str) -> None:
        """Have a session be that of the guest who knows this secret."""
        with self._guard:
            session.secret, session.has_brought_secret = secret, True

    def enter(self, session: Session, name: str, *, replace: bool = False) -> Person:
        """Give a session a name; with `replace`, in the place of the same guest's other session. Raises NameTaken."""
        with self._guard:
            person = self._people.get(key_of(name))
            if person is not None and session.identity.is_proven and person.identity.is_proven:
                replaced = []
            else:
                replaced = self._make_free(session, name, replace=replace)
                moderates = person.moderates if person else set()
                person = self._people[key_of(name)] = Person(name, session.identity)
                person.moderates |= moderates
            person.sessions.append(session)
            session.person = person
        _end(replaced)
        return person

    def rename(self, session: Session, name: str, *, replace: bool = False) -> None:
        """Give the person of a session another name, as `enter` does. Raises NameTaken, and Rejected if it was replaced itself."""
        person, key = session.person, key_of(name)
        assert person is not None
        with self._guard:
            if session not in person.sessions:
                raise Rejected("replaced", "You go on elsewhere by this name.")
            other = self._people.get(key)
            replaced = [] if other is person else self._make_free(session, name, replace=replace)
            person.moderates |= other.moderates if other else set()
            del self._people[person.key]
            person.name, person.key = name, key
            self._people[key] = person
        _end(replaced)

    def leave(self, session: Session) -> None:
        """The session is over: if it was the last one, its name is free, or kept for the guest who has brought a secret."""
        person, place = session.person, place_of(session.address)
        if person is None:
            return
        with self._guard:
            if session not in person.sessions:
                return  # another one has taken its place
            person.sessions.remove(session)
            if not person.sessions:
                del self._people[person.key]
                if session.has_brought_secret and session.secret is not None:
                    self._reservations.reserve(person.key, session.secret, place)

    def sessions_of(self, person: Person) -> list[Session]:
        """Where somebody is connected just now."""
        with self._guard:
            return list(person.sessions)

    def check_is_free_for(self, session: Session, name: str) -> None:
        """Raise NameTaken if somebody else has this name, or it is kept for somebody else."""
        with self._guard:
            person = self._people.get(key_of(name))
            if person is None:
                self._check_reservation(session, name)
            elif not _is_of_same_guest(person, session):
                raise NameTaken(person.name)

    # Both: with the lock held.

    def _make_free(self, session: Session, name: str, *, replace: bool) -> list[Session]:
        """Make a name free for a session; the sessions that it takes the place of. Raises NameTaken."""
        person = self._people.get(key_of(name))
        if person is None:
            self._check_reservation(session, name)
            self._reservations.release(key_of(name))
            return []
        is_yours = _is_of_same_guest(person, session)
        if not (is_yours and replace):
            raise NameTaken(name, is_yours=is_yours)
        replaced, person.sessions = person.sessions, []
        return replaced

    def _check_reservation(self, session: Session, name: str) -> None:
        kept = self._reservations.find(key_of(name))
        if kept is not None and not session.is_same_guest(kept.secret):
            raise NameTaken(name, seconds=max(0.0, kept.until - monotonic()))


def _is_of_same_guest(person: Person, session: Session) -> bool:
    return any(other.is_same_guest(session.secret) for other in person.sessions)


def _end(replaced: list[Session]) -> None:
    """End sessions whose guest goes on with another one."""
    with ExitStack() as steps:  # each is ended, whatever another one raises
        for session in replaced:
            steps.callback(session.connection.begin_close, REPLACED, "you go on elsewhere by this name")
            steps.callback(session.notify, Error("replaced", "You go on elsewhere by this name."))
