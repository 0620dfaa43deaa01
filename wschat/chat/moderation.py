"""Moderation: who moderates which room, and who is muted in or banned from it.

A decision is a rule of the broker, durable before anyone is told. Its subject is a name (`bob`), an address (`@203.0.113.7`), an
address that a user was connected from (`bob@203.0.113.7`), or everyone (`*`). A ban of a user includes the addresses, because a name
is easily changed. Loopback addresses are left out of it: all clients on the server's own machine share them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence

from wschat.brokers.base import Broker, Rule
from wschat.chat.addresses import canonical_address, is_same_network
from wschat.chat.sessions import Session
from wschat.errors import Rejected
from wschat.names import key_of
from wschat.server.addresses import is_loopback

logger = logging.getLogger("wschat.chat")

OP, MUTE, BAN, TOPIC_LOCK = "op", "mute", "ban", "lock-topic"
EVERYONE = "*"
"""The subject of a rule that is about a room as a whole. No user can have this name."""

_DONE = {MUTE: ("muted", "in"), BAN: ("banned", "from")}


class Moderation:
    """The rules in force. From any thread. Changing a rule waits for the broker, and raises HistoryUnavailable."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._rules_lock = threading.Lock()  # guards the rules; no lock is taken while it is held
        self._rules: dict[tuple[str, str], dict[str, Rule]] = {}  # by room and kind, then by subject
        stored = broker.rules()
        # A wrong clock must not delete rules.
        over = [rule for rule in stored if not _is_in_force(rule)] if broker.clock.relied_on() is not None else []
        for rule in set(stored) - set(over):
            self._rules.setdefault((rule.room, rule.kind), {})[rule.subject] = rule
        broker.delete_rules(over)

    def is_moderator(self, session: Session, room: str) -> bool:
        """Return True if a session moderates a room, by its identity or because a moderator granted it the rights."""
        user = session.user
        if user is None:
            return False
        if session.identity.moderates(room) or room in user.moderates:
            return True
        return user.identity.is_proven and self._find(OP, room, user.key, None) is not None

    def holds(self, kind: str, session: Session, room: str) -> bool:
        """Return True if a session is muted in or banned from a room."""
        try:
            self.check(kind, session, room)
        except Rejected:
            return True
        return False

    def check_moderator(self, session: Session, room: str) -> None:
        """Raise Rejected unless a session moderates this room."""
        if not self.is_moderator(session, room):
            raise Rejected("forbidden", f"Only a moderator of {room} may do that.")

    def check_may_set_topic(self, session: Session, room: str) -> None:
        """Raise Rejected unless a session may speak in this room and, if its topic is locked, moderates it."""
        self.check_may_speak(session, room)
        if self._find(TOPIC_LOCK, room, EVERYONE, None) is not None:
            self.check_moderator(session, room)

    def check_may_speak(self, session: Session, room: str) -> None:
        """Raise Rejected unless a session is in this room and not muted there."""
        if room not in session.rooms:
            raise Rejected("not-in-room", f"You are not in {room}.")
        self.check(MUTE, session, room)

    def check(self, kind: str, session: Session, room: str) -> None:
        """Raise Rejected, with the seconds left, if a session is muted in or banned from a room. Moderators never are."""
        if (room, kind) not in self._rules:  # nearly always
            return
        rule = self._find(kind, room, session.user.key if session.user else None, session.address)
        if rule is None or self.is_moderator(session, room):
            return
        left = rule.until - time.time() if rule.until else None
        done, preposition = _DONE[kind]
        for_another = "" if left is None else f" for another {shown_seconds(left)}"
        raise Rejected(done, f"You are {done} {preposition} {room}{for_another}.", left)

    def set(self, kind: str, room: str, subjects: Collection[str], seconds: float | None, by: str) -> None:
        """Set a rule for each subject, for some seconds, or for None until it is lifted."""
        until = 0.0 if seconds is None else time.time() + seconds
        rules = [Rule(room, kind, subject, until, by) for subject in subjects]
        self._broker.set_rules(rules)
        with self._rules_lock:
            known = self._rules.get((room, kind), {})
            kept = {subject: rule for subject, rule in known.items() if _is_in_force(rule)}
            self._rules[room, kind] = kept | {rule.subject: rule for rule in rules}
        log(by, kind, ", ".join(subjects), room, seconds)

    def lift(self, kind: str, room: str, name: str, by: str) -> bool:
        """Lift the rules about a name, with the addresses that they include, or about an address. Return False if there were none."""
        with self._rules_lock:
            found = [rule for rule in self._rules.get((room, kind), {}).values() if _is_named(rule, name)]
        if not found:
            return False
        self._broker.delete_rules(found)
        with self._rules_lock:
            for rule in found:
                self._rules[room, kind].pop(rule.subject, None)
        log(by, f"un{kind}", name, room)
        return any(map(_is_in_force, found))

    def apply(self, changed: Sequence[Rule], deleted: Sequence[Rule]) -> None:
        """Note rules that another process has set and deleted."""
        with self._rules_lock:
            for rule in deleted:
                self._rules.get((rule.room, rule.kind), {}).pop(rule.subject, None)
            for rule in changed:
                self._rules.setdefault((rule.room, rule.kind), {})[rule.subject] = rule

    def _find(self, kind: str, room: str, key: str | None, address: str | None) -> Rule | None:
        """Return the rule about a name or an address that is in force the longest."""
        with self._rules_lock:
            found = [rule for rule in self._rules.get((room, kind), {}).values() if _is_about(rule, key, address) and _is_in_force(rule)]
        return max(found, key=lambda rule: rule.until or float("inf"), default=None)


def subjects_of(name: str, addresses: Collection[str]) -> list[str]:
    """Return the subjects of a rule: a name with the canonical addresses of its user, or an address that is given as the name."""
    if (named := canonical_address(name)) is not None:
        return [key_of(name), f"@{named}"]
    return [key_of(name), *(f"{key_of(name)}@{address}" for address in sorted(addresses) if not is_loopback(address))]


def shown_seconds(seconds: float) -> str:
    """Return a duration as text: `45 s`, `10 min`, `3 h`."""
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"


def log(by: str, action: str, subject: str, room: str, seconds: float | None = None) -> None:
    """Log what a moderator did."""
    fields = {"event": action, "by": by, "subject": subject, "room": room, "seconds": seconds}
    span = "" if seconds is None else " for %(seconds)g s"
    logger.info(f"%(by)s: %(event)s of %(subject)s in %(room)s{span}", fields, extra={"fields": fields})


def _is_in_force(rule: Rule) -> bool:
    return not rule.until or rule.until > time.time()


def _is_about(rule: Rule, key: str | None, address: str | None) -> bool:
    name, at, of_address = rule.subject.partition("@")
    return address is not None and is_same_network(of_address, address) if at else name == key


def _is_named(rule: Rule, name: str) -> bool:
    """Return True if a moderator means this rule by a name or an address."""
    of_name, _, of_address = rule.subject.partition("@")
    return key_of(name) == of_name or (of_address != "" and canonical_address(name) == of_address)
