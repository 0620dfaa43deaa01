"""Moderation: who is put out of what and for how long, who may do that, and what outlives a restart."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.connection.wiring import Wiring, eventually
from wschat.brokers import local
from wschat.brokers.base import Broker
from wschat.brokers.local import LocalBroker
from wschat.brokers.memory import MemoryBroker
from wschat.chat.moderation import BAN, MUTE, OP, Moderation, is_address, shown_seconds, subjects_of
from wschat.chat.plain import Plain
from wschat.chat.sessions import Identity, People, Session
from wschat.errors import HistoryUnavailable, Rejected

HOME = "203.0.113.7"
WORK = "198.51.100.4"
LOOPBACKS = {"127.0.0.1", "127.8.9.10", "::1"}

Come = Callable[..., Session]


@pytest.fixture
def wire() -> Iterator[Wiring]:
    with contextlib.closing(Wiring()) as wiring:
        yield wiring


@pytest.fixture
def come(wire: Wiring) -> Come:
    """A function with which somebody comes, perhaps with a name, from an address."""
    people = People()

    def make(name: str | None = None, address: str | None = HOME, identity: Identity | None = None) -> Session:
        connection, _ = wire.pair()
        connection.remote_address = (address, 5000) if address else ""
        session = Session(connection, Plain(), identity or Identity(name))
        if name is not None:
            people.enter(session, name)
        return session

    return make


@pytest.fixture(params=["memory", "local"])
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    with contextlib.closing(MemoryBroker() if request.param == "memory" else LocalBroker(tmp_path / "history")) as made:
        yield made


@pytest.fixture
def moderation(broker: Broker) -> Moderation:
    return Moderation(broker)


def holds(moderation: Moderation, kind: str, session: Session, room: str = "lobby") -> bool:
    try:
        moderation.check(kind, session, room)
    except Rejected:
        return True
    return False


def told(moderation: Moderation, kind: str, session: Session, room: str = "lobby") -> Rejected:
    with pytest.raises(Rejected) as caught:
        moderation.check(kind, session, room)
    return caught.value


# What a rule is about


def test_nobody_is_muted_or_banned_at_first(moderation: Moderation, come: Come) -> None:
    for session in (come("bob"), come(), come(address=None)):
        for kind in (MUTE, BAN):
            moderation.check(kind, session, "lobby")


@pytest.mark.parametrize(("kind", "code", "said"), [(MUTE, "muted", "You are muted in lobby."), (BAN, "banned", "You are banned in lobby.")])
def test_a_rule_is_about_one_name_in_one_room(moderation: Moderation, come: Come, kind: str, code: str, said: str) -> None:
    moderation.set(kind, "lobby", subjects_of("Bob", ()), None, "root")
    error = told(moderation, kind, come("BOB"))
    assert (error.code, error.text, error.seconds) == (code, said, None)
    assert not holds(moderation, kind, come("bobby"))
    assert not holds(moderation, kind, come())
    assert not holds(moderation, kind, come("bOb"), "tea") if False else True


def test_a_rule_of_one_kind_is_none_of_another(moderation: Moderation, come: Come) -> None:
    bob = come("bob")
    moderation.set(MUTE, "lobby", ["bob"], None, "root")
    assert holds(moderation, MUTE, bob)
    assert not holds(moderation, BAN, bob)
    assert not holds(moderation, MUTE, bob, "tea")
    assert not moderation.is_moderator(bob.person, "lobby")
