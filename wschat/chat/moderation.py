"""Moderation: who may do what in which room, and who may not for a while.

What is decided about people is a rule of the broker's, durable before anybody is told. It is about a name (`bob`) or about
an address (`bob@203.0.113.7` where bob came from, `@203.0.113.7` where it was named itself). A person is put out with both,
or would only have to take another name. Loopback addresses are left out of that: all who are on this machine share them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection

from wschat.brokers.base import Broker, Rule
from wschat.chat.addresses import canonical_address, is_same_place
from wschat.chat.names import key_of
from wschat.chat.sessions import Session
from wschat.errors import Rejected
from wschat.server.addresses import is_loopback

logger = logging.getLogger("wschat.chat")

OP, MUTE, BAN = "op", "mute", "ban"
_DONE = {MUTE: ("muted", "in"), BAN: ("banned", "from")}


class Moderation:
    """The rules that hold. From any thread. What changes a rule waits for the broker, and raises HistoryUnavailable."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._guard = threading.Lock()  # guards the rules; nothing else is locked while it is held
        self._rules: dict[tuple[str, str], dict[str, Rule]] = {}  # by room and kind, and then by subject
        stored = broker.rules()
        # By a clock that is wrong, no rule is over for good.
        over = [rule for rule in stored if not _holds(rule)] if broker.clock.relied_on() is not None else []
        for rule in set(stored) - set(over):
            self._rules.setdefault((rule.room, rule.kind), {})[rule.subject] = rule
        broker.lift_rules(over)

    def is_moderator(self, session: Session, room: str) -> bool:
        """Whether somebody moderates a room: by what they came in with, or because a moderator made them one."""
        person = session.person
        if person is None:
            return False
        if session.identity.moderates(room) or room in person.moderates:
            return True
        return person.identity.is_proven and self._find(OP, room, person.key, None) is not None

    def holds(self, kind: str, session: Session, room: str) -> bool:
        """Whether somebody is muted or banned there."""
        try:
            self.check(kind, session, room)
        except Rejected:
            return True
        return False

    def check_moderator(self, session: Session, room: str) -> None:
        """Raise Rejected unless somebody moderates this room."""
        if not self.is_moderator(session, room):
            raise Rejected("forbidden", f"Only a moderator of {room} may do that.")

    def check(self, kind: str, session: Session, room: str) -> None:
        """Raise Rejected, with the time that is left, if somebody is muted or banned there. Moderators never are."""
        if (room, kind) not in self._rules:  # as nearly always
            return
        rule = self._find(kind, room, session.person.key if session.person else None, session.address)
        if rule is None or self.is_moderator(session, room):
            return
        left = rule.until - time.time() if rule.until else None
        done, where = _DONE[kind]
        raise Rejected(done, f"You are {done} {where} {room}{_span(left)}.", left)

    def set(self, kind: str, room: str, subjects: Collection[str], seconds: float | None, by: str) -> None:
        """Have this hold for these subjects, for so many seconds or for good."""
        until = 0.0 if seconds is None else time.time() + seconds
        rules = [Rule(room, kind, subject, until, by) for subject in subjects]
        self._broker.set_rules(rules)
        with self._guard:
            known = self._rules.get((room, kind), {})
            kept = {subject: rule for subject, rule in known.items() if _holds(rule)}
            self._rules[room, kind] = kept | {rule.subject: rule for rule in rules}
        log(by, kind, ", ".join(subjects), room, seconds)

    def lift(self, kind: str, room: str, name: str, by: str) -> bool:
        """Have it hold no more for a name, with the addresses that came with it, or for an address; whether it did."""
        with self._guard:
            found = [rule for rule in self._rules.get((room, kind), {}).values() if _is_named(rule, name)]
        if not found:
            return False
        self._broker.lift_rules(found)
        with self._guard:
            for rule in found:
                self._rules[room, kind].pop(rule.subject, None)
        log(by, f"un{kind}", name, room)
        return any(map(_holds, found))

    def _find(self, kind: str, room: str, key: str | None, address: str | None) -> Rule | None:
        """The rule that holds for somebody the longest."""
        with self._guard:
            found = [rule for rule in self._rules.get((room, kind), {}).values() if _is_about(rule, key, address) and _holds(rule)]
        return max(found, key=lambda rule: rule.until or float("inf"), default=None)


def subjects_of(name: str, addresses: Collection[str]) -> list[str]:
    """What a rule about somebody is about: a name and the canonical addresses where they are, or an address that was named itself."""
    if (named := canonical_address(name)) is not None:
        return [key_of(name), f"@{named}"]
    return [key_of(name), *(f"{key_of(name)}@{address}" for address in sorted(addresses) if not is_loopback(address))]


def shown_seconds(seconds: float) -> str:
    """A time for people."""
    return (
        f"{max(1, round(seconds))} s" if seconds < 120 else f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"
    )


def log(by: str, action: str, subject: str, room: str, seconds: float | None = None) -> None:
    """Say in the log what a moderator has done."""
    fields = {"event": action, "by": by, "subject": subject, "room": room, "seconds": seconds}
    span = "" if seconds is None else " for %(seconds)g s"
    logger.info(f"%(by)s: %(event)s of %(subject)s in %(room)s{span}", fields, extra={"fields": fields})


def _span(seconds: float | None) -> str:
    return "" if seconds is None else f" for another {shown_seconds(seconds)}"


def _holds(rule: Rule) -> bool:
    return not rule.until or rule.until > time.time()


def _is_about(rule: Rule, key: str | None, address: str | None) -> bool:
    name, at, of_address = rule.subject.partition("@")
    return address is not None and is_same_place(of_address, address) if at else name == key


def _is_named(rule: Rule, name: str) -> bool:
    """Whether this is meant by a moderator who gives a name or an address."""
    of_name, _, of_address = rule.subject.partition("@")
    return key_of(name) == of_name or (of_address != "" and canonical_address(name) == of_address)
