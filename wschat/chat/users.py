"""Users: which names are in use, by which sessions, and which are reserved for guests who may come back."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from time import monotonic

from wschat.chat.addresses import network_of
from wschat.chat.reservations import Reservations
from wschat.chat.sessions import Session, User
from wschat.errors import Rejected
from wschat.events import Error
from wschat.names import key_of
from wschat.v1 import REPLACED

_REPLACED_TEXT = "Another connection of yours has taken over this name."


class NameTaken(Rejected):
    """A name is in use or reserved. `is_yours` is True if the same guest uses it on another connection."""

    def __init__(self, name: str, *, is_yours: bool = False, seconds: float | None = None) -> None:
        if is_yours:
            text = f"The name {name} is taken by another connection of yours."
        elif seconds is not None:
            text = f"The name {name} is taken: it is reserved for a guest who has just left."
        else:
            text = f"The name {name} is taken."
        super().__init__("name-taken", text, seconds)
        self.is_yours = is_yours
        """True if the same guest uses the name on another connection."""


class Users:
    """The names in use. From any thread."""

    def __init__(self) -> None:
        # Guards the users, their names and sessions, the sessions' secrets, and the reservations. No lock is taken while it is held.
        self._users_lock = threading.Lock()
        self._users: dict[str, User] = {}
        self._reservations = Reservations()

    def find(self, name: str) -> User | None:
        """Return the user with this name, None if there is none."""
        with self._users_lock:
            return self._users.get(key_of(name))

    def set_secret(self, session: Session, secret: str) -> None:
        """Make a session that of the guest with this secret."""
        with self._users_lock:
            session.secret, session.has_brought_secret = secret, True

    def sign_in(self, session: Session, name: str, *, replace: bool = False) -> User:
        """Give a session a name. With `replace`, close the same guest's other session that has it. Raises NameTaken."""
        with self._users_lock:
            user = self._users.get(key_of(name))
            if user is not None and session.identity.is_proven and user.identity.is_proven:
                replaced = []
            else:
                replaced = self._free(session, name, replace=replace)
                moderates = user.moderates if user else set()
                user = self._users[key_of(name)] = User(name, session.identity)
                user.moderates |= moderates
            user.sessions.append(session)
            session.user = user
        _close(replaced)
        return user

    def rename(self, session: Session, name: str, *, replace: bool = False) -> None:
        """Give the user of a session another name. Raises NameTaken, as `sign_in`, and Rejected for a session that was replaced."""
        user, key = session.user, key_of(name)
        assert user is not None
        with self._users_lock:
            if session not in user.sessions:
                raise Rejected("replaced", _REPLACED_TEXT)
            other = self._users.get(key)
            replaced = [] if other is user else self._free(session, name, replace=replace)
            user.moderates |= other.moderates if other else set()
            del self._users[user.key]
            user.name, user.key = name, key
            self._users[key] = user
        _close(replaced)

    def sign_out(self, session: Session, *, comes_back: bool = True) -> None:
        """Remove a session from its user. The name of the last session is then free.

        It is reserved instead if a guest who brought a secret may come back.
        """
        user, network = session.user, network_of(session.address)
        if user is None:
            return
        with self._users_lock:
            if session not in user.sessions:
                return  # it was replaced
            user.sessions.remove(session)
            if not user.sessions:
                del self._users[user.key]
                if comes_back and session.has_brought_secret and session.secret is not None:
                    self._reservations.reserve(user.key, session.secret, network)

    def sessions_of(self, user: User) -> list[Session]:
        """Return the sessions of a user."""
        with self._users_lock:
            return list(user.sessions)

    def check_is_free_for(self, session: Session, name: str) -> None:
        """Raise NameTaken if another user has this name, or if it is reserved for another guest."""
        with self._users_lock:
            user = self._users.get(key_of(name))
            if user is None:
                self._check_reservation(session, name)
            elif not _is_of_same_guest(user, session):
                raise NameTaken(user.name)

    def _free(self, session: Session, name: str, *, replace: bool) -> list[Session]:
        """Free a name for a session, and return the sessions that it replaces. Raises NameTaken."""
        assert self._users_lock.locked()
        user = self._users.get(key_of(name))
        if user is None:
            self._check_reservation(session, name)
            self._reservations.release(key_of(name))
            return []
        is_yours = _is_of_same_guest(user, session)
        if not (is_yours and replace):
            raise NameTaken(name, is_yours=is_yours)
        replaced, user.sessions = user.sessions, []
        return replaced

    def _check_reservation(self, session: Session, name: str) -> None:
        assert self._users_lock.locked()
        reservation = self._reservations.find(key_of(name))
        if reservation is not None and not session.is_same_guest(reservation.secret):
            raise NameTaken(name, seconds=max(0.0, reservation.until - monotonic()))


def _is_of_same_guest(user: User, session: Session) -> bool:
    return any(other.is_same_guest(session.secret) for other in user.sessions)


def _close(replaced: list[Session]) -> None:
    """Close sessions that were replaced."""
    with ExitStack() as steps:  # an error in one step does not keep the others from being done
        for session in replaced:
            steps.callback(session.connection.begin_close, REPLACED, "another connection has taken over this name")
            steps.callback(session.notify, Error("replaced", _REPLACED_TEXT))
