"""Moderation: who is kept out of what and for how long, who may decide so, and what outlives a restart."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers.test_clock import DAY, NOW, FakeTime
from tests.connection.wiring import PATIENCE, Wiring, eventually
from wschat.brokers.base import Rule
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite import connections
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.addresses import canonical_address
from wschat.chat.dialects.plain import Plain
from wschat.chat.moderation import BAN, MUTE, OP, Moderation, shown_seconds, subjects_of
from wschat.chat.sessions import Identity, Session
from wschat.chat.users import Users
from wschat.errors import HistoryUnavailable, Rejected

HOME = "203.0.113.7"
WORK = "198.51.100.4"

Come = Callable[..., Session]


@pytest.fixture
def come(wire: Wiring) -> Come:
    """A function with which somebody comes from an address, perhaps with a name."""
    users = Users()

    def make(name: str | None = None, address: str | None = HOME, **known: object) -> Session:
        connection, _ = wire.pair()
        connection.remote_address = (address, 5000) if address else ""
        session = Session(connection, Plain(), Identity(name, **known))  # type: ignore[arg-type]  # the tests know its fields
        if name is not None:
            users.sign_in(session, name)
        return session

    return make


@pytest.fixture
def moderation() -> Moderation:
    return Moderation(MemoryBroker())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history"


@contextlib.contextmanager
def moderating(path: Path) -> Iterator[Moderation]:
    """As decided in a file, which is closed after the block."""
    with contextlib.closing(SqliteBroker(path)) as broker:
        yield Moderation(broker)


@contextlib.contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as another program sees it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        yield database


def told(moderation: Moderation, kind: str, session: Session, room: str = "lobby") -> Rejected:
    """What somebody is told whom a rule is about."""
    with pytest.raises(Rejected) as caught:
        moderation.check(kind, session, room)
    return caught.value


def holds(moderation: Moderation, kind: str, session: Session, room: str = "lobby") -> bool:
    """Whether a rule keeps somebody from something."""
    try:
        moderation.check(kind, session, room)
    except Rejected:
        return True
    return False


# Whom a rule is about


def test_nobody_is_muted_or_banned_at_first(moderation: Moderation, come: Come) -> None:
    for session in (come("bob"), come(), come(address=None)):
        moderation.check(MUTE, session, "lobby")
        moderation.check(BAN, session, "lobby")


@pytest.mark.parametrize(
    ("kind", "code", "said"), [(MUTE, "muted", "You are muted in lobby."), (BAN, "banned", "You are banned from lobby.")]
)
def test_a_rule_is_about_a_name_in_a_room(moderation: Moderation, come: Come, kind: str, code: str, said: str) -> None:
    moderation.set(kind, "lobby", subjects_of("Bob", ()), None, "root")
    bob = come("BOB")
    error = told(moderation, kind, bob)
    assert (error.code, error.text, error.seconds) == (code, said, None)
    assert not holds(moderation, kind, bob, "tea")
    assert not holds(moderation, MUTE if kind == BAN else BAN, bob)
    assert not moderation.is_moderator(bob, "lobby")
    for other in (come("bobby"), come(), come(address=None)):
        assert not holds(moderation, kind, other)


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_another_name_is_no_way_around_a_rule(moderation: Moderation, come: Come, kind: str) -> None:
    moderation.set(kind, "lobby", subjects_of("bob", {HOME, WORK}), None, "root")
    assert holds(moderation, kind, come("bob", "192.0.2.1"))
    assert holds(moderation, kind, come("eve", HOME))
    assert holds(moderation, kind, come(None, WORK))
    assert not holds(moderation, kind, come("ann", "192.0.2.1"))
    assert not holds(moderation, kind, come("dan", None))


def test_an_address_can_be_banned_whoever_comes_from_it(moderation: Moderation, come: Come) -> None:
    moderation.set(BAN, "lobby", subjects_of(HOME, ()), None, "root")
    assert holds(moderation, BAN, come("bob", HOME))
    assert holds(moderation, BAN, come(None, HOME))
    assert not holds(moderation, BAN, come("eve", WORK))


@pytest.mark.parametrize(
    ("named", "written"),
    [
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("2001:db8:0:0:0:0:0:7", "2001:db8::7"),
        (HOME, f"::ffff:{HOME}"),  # as a server that listens on [::] sees a client of the fourth version
    ],
)
def test_an_address_can_be_written_in_more_than_one_way(moderation: Moderation, come: Come, named: str, written: str) -> None:
    moderation.set(BAN, "lobby", subjects_of(named, ()), None, "root")
    bob = come("bob", written)
    assert holds(moderation, BAN, bob)
    assert moderation.lift(BAN, "lobby", written, "root")
    assert not holds(moderation, BAN, bob)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_who_is_on_this_machine_is_put_out_by_name_only(moderation: Moderation, come: Come, address: str) -> None:
    """They all have one address, behind a proxy that vouches for nobody, for example."""
    moderation.set(BAN, "lobby", subjects_of("bob", {address}), None, "root")
    assert holds(moderation, BAN, come("bob", address))
    assert not holds(moderation, BAN, come("eve", address))


def test_a_loopback_address_can_be_named_all_the_same(moderation: Moderation, come: Come) -> None:
    moderation.set(BAN, "lobby", subjects_of("127.0.0.1", ()), None, "root")
    assert holds(moderation, BAN, come("eve", "127.0.0.1"))


@pytest.mark.parametrize(
    ("name", "addresses", "subjects"),
    [
        ("Bob", set(), ["bob"]),
        ("Bob", {HOME, WORK}, ["bob", f"bob@{WORK}", f"bob@{HOME}"]),
        ("bob", {"127.0.0.1", "::1", HOME}, ["bob", f"bob@{HOME}"]),
        (HOME, set(), [HOME, f"@{HOME}"]),
        ("2001:db8::7", set(), ["2001:db8::7", "@2001:db8::7"]),
        ("1.2.3", set(), ["1.2.3"]),
    ],
)
def test_what_a_rule_is_about(name: str, addresses: set[str], subjects: list[str]) -> None:
    assert subjects_of(name, addresses) == subjects


@pytest.mark.parametrize(
    ("text", "is_one"), [(HOME, True), ("::1", True), ("2001:db8::7", True), ("bob", False), ("", False), ("1.2.3", False)]
)
def test_what_is_an_address(text: str, is_one: bool) -> None:
    assert (canonical_address(text) is not None) == is_one


# For how long


def test_one_is_told_how_long_it_lasts(moderation: Moderation, come: Come) -> None:
    bob = come("bob")
    moderation.set(MUTE, "lobby", ["bob"], 90, "root")
    error = told(moderation, MUTE, bob)
    assert error.seconds is not None
    assert 60 < error.seconds <= 90
    assert error.text == f"You are muted in lobby for another {round(error.seconds)} s."


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_a_rule_ends_by_itself(moderation: Moderation, come: Come, kind: str) -> None:
    bob = come("bob")
    moderation.set(kind, "lobby", ["bob"], 0.05, "root")
    eventually(lambda: not holds(moderation, kind, bob))
    assert not moderation.lift(kind, "lobby", "bob", "root")  # there is nothing left to be lifted
    assert not holds(moderation, kind, bob)


@pytest.mark.parametrize(("first", "second", "lasts"), [(None, 1000, 1000), (1000, 100, 100), (100, 1000, 1000), (1000, None, None)])
def test_a_new_rule_takes_the_network_of_the_old_one(
    moderation: Moderation, come: Come, first: float | None, second: float | None, lasts: float | None
) -> None:
    bob = come("bob")
    moderation.set(MUTE, "lobby", ["bob"], first, "root")
    moderation.set(MUTE, "lobby", ["bob"], second, "root")
    assert told(moderation, MUTE, bob).seconds == (lasts and pytest.approx(lasts, abs=PATIENCE))


@pytest.mark.parametrize(
    ("of_name", "of_address", "lasts"), [(100, 1000, 1000), (1000, 100, 1000), (None, 100, None), (100, None, None), (0.0001, 100, 100)]
)
def test_of_several_rules_the_one_that_lasts_longest_is_told(
    moderation: Moderation, come: Come, of_name: float | None, of_address: float | None, lasts: float | None
) -> None:
    bob = come("bob", HOME)
    moderation.set(BAN, "lobby", subjects_of("bob", ()), of_name, "root")
    moderation.set(BAN, "lobby", subjects_of(HOME, ()), of_address, "root")
    assert told(moderation, BAN, bob).seconds == (lasts and pytest.approx(lasts, abs=PATIENCE))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1 s"),
        (0.2, "1 s"),
        (1.6, "2 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3600, "60 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (864_000, "240 h"),
    ],
)
def test_a_time_for_people(seconds: float, shown: str) -> None:
    assert shown_seconds(seconds) == shown


# An end before that


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_to_lift_a_rule_of_a_name_lifts_what_came_with_it(moderation: Moderation, come: Come, kind: str) -> None:
    bob, eve = come("bob", HOME), come("eve", HOME)
    moderation.set(kind, "lobby", subjects_of("bob", {HOME, WORK}), None, "root")
    moderation.set(kind, "lobby", subjects_of("bobby", {"192.0.2.1"}), None, "root")
    moderation.set(kind, "tea", subjects_of("bob", {HOME}), None, "root")
    assert moderation.lift(kind, "lobby", "BOB", "root")
    for session in (bob, eve, come(None, WORK)):
        assert not holds(moderation, kind, session)
    # All else is as it was.
    assert holds(moderation, kind, come("bobby"))
    assert holds(moderation, kind, come(None, "192.0.2.1"))
    assert holds(moderation, kind, bob, "tea")
    assert holds(moderation, kind, eve, "tea")
    assert not moderation.lift(kind, "lobby", "bob", "root")


def test_an_address_stays_banned_that_was_named_itself(moderation: Moderation, come: Come) -> None:
    eve = come("eve", HOME)
    moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), None, "root")
    moderation.set(BAN, "lobby", subjects_of(HOME, ()), None, "root")
    assert moderation.lift(BAN, "lobby", "bob", "root")
    assert holds(moderation, BAN, eve)
    assert moderation.lift(BAN, "lobby", HOME, "root")
    assert not holds(moderation, BAN, eve)


def test_what_does_not_hold_cannot_be_lifted(moderation: Moderation) -> None:
    moderation.set(MUTE, "lobby", ["bob"], None, "root")
    for kind, room, name in (
        (BAN, "lobby", "bob"),
        (MUTE, "tea", "bob"),
        (MUTE, "lobby", "bo"),
        (MUTE, "lobby", "bobb"),
        (OP, "lobby", "bob"),
    ):
        assert not moderation.lift(kind, room, name, "root")
    assert moderation.lift(MUTE, "lobby", "bob", "root")


# Moderators


def test_who_is_a_moderator(moderation: Moderation, come: Come) -> None:
    guest, proven, root = come("guest"), come("ann", is_proven=True), come("root", is_proven=True, is_moderator=True)
    for session in (guest, proven, come()):
        assert not moderation.is_moderator(session, "lobby")
        with pytest.raises(Rejected, match="Only a moderator of lobby may") as caught:
            moderation.check_moderator(session, "lobby")
        assert caught.value.code == "forbidden"
    for room in ("lobby", "tea"):
        assert moderation.is_moderator(root, room)
        moderation.check_moderator(root, room)


def test_who_was_made_one_is_one_in_that_room(moderation: Moderation, come: Come) -> None:
    ann = come("Ann", is_proven=True)
    moderation.set(OP, "lobby", ["ann"], None, "root")
    moderation.check_moderator(ann, "lobby")
    assert not moderation.is_moderator(ann, "tea")


def test_a_guest_with_the_name_of_one_is_none(moderation: Moderation, come: Come) -> None:
    moderation.set(OP, "lobby", ["ann"], None, "root")
    assert not moderation.is_moderator(come("ann"), "lobby")


def test_a_guest_moderates_while_this_person_is_here(moderation: Moderation, come: Come) -> None:
    bob = come("bob")
    assert bob.user is not None
    bob.user.moderates.add("lobby")
    moderation.check_moderator(bob, "lobby")
    assert not moderation.is_moderator(bob, "tea")


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_no_rule_keeps_a_moderator_from_anything(moderation: Moderation, come: Come, kind: str) -> None:
    root, ann, guest = come("root", is_proven=True, is_moderator=True), come("ann", is_proven=True), come("guest")
    assert guest.user is not None
    for room in ("lobby", "tea"):
        moderation.set(kind, room, ["root", "ann", "guest", f"@{HOME}"], None, "somebody")
    moderation.set(OP, "lobby", ["ann"], None, "root")
    guest.user.moderates.add("lobby")
    assert [holds(moderation, kind, session) for session in (root, ann, guest)] == [False, False, False]
    assert [holds(moderation, kind, session, "tea") for session in (root, ann, guest)] == [False, True, True]


def test_a_moderator_of_some_rooms_moderates_no_others_through_another_connection(moderation: Moderation, come: Come) -> None:
    """A token that may go anywhere, and one that moderates a few rooms, do not make one that moderates anywhere."""
    anywhere = come("ann", is_proven=True)
    come("ann", is_proven=True, is_moderator=True, rooms=("tea*",))
    with pytest.raises(Rejected):
        moderation.check_moderator(anywhere, "lobby")


# What outlives a restart, and what does not come to pass


def test_rules_outlive_a_restart(path: Path, come: Come) -> None:
    bob, eve, ann = come("bob", WORK), come("eve", HOME), come("ann", "192.0.2.1", is_proven=True)
    with moderating(path) as moderation:
        moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), 1000, "root")
        moderation.set(MUTE, "tea", ["bob"], None, "root")
        moderation.set(MUTE, "lobby", ["eve"], None, "root")
        moderation.set(MUTE, "lobby", ["ann"], 0.05, "root")
        moderation.set(OP, "tea", ["ann"], None, "root")
        moderation.lift(MUTE, "lobby", "eve", "root")
    with moderating(path) as moderation:
        assert told(moderation, BAN, bob).seconds == pytest.approx(1000, abs=PATIENCE)
        assert told(moderation, MUTE, bob, "tea").seconds is None
        assert holds(moderation, BAN, eve)
        assert not holds(moderation, MUTE, eve)
        eventually(lambda: not holds(moderation, MUTE, ann))
        assert moderation.is_moderator(ann, "tea")
        assert moderation.lift(BAN, "lobby", "bob", "root")
    with moderating(path) as moderation:
        assert not holds(moderation, BAN, bob)
        assert not holds(moderation, BAN, eve)


@pytest.fixture
def locked_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a file that another program has locked."""
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.05)


@pytest.mark.usefixtures("locked_in_vain")
@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_a_rule_that_cannot_be_kept_does_not_hold(path: Path, come: Come, kind: str) -> None:
    bob = come("bob", HOME)
    with moderating(path) as moderation, open_database(path) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryUnavailable):
            moderation.set(kind, "lobby", subjects_of("bob", {HOME}), None, "root")
        assert not holds(moderation, kind, bob)
        database.execute("ROLLBACK")
        moderation.set(kind, "lobby", subjects_of("bob", {HOME}), None, "root")
        assert holds(moderation, kind, bob)


@pytest.mark.usefixtures("locked_in_vain")
def test_a_rule_whose_end_cannot_be_kept_still_holds(path: Path, come: Come) -> None:
    bob = come("bob", HOME)
    with moderating(path) as moderation, open_database(path) as database:
        moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), None, "root")
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryUnavailable):
            moderation.lift(BAN, "lobby", "bob", "root")
        assert holds(moderation, BAN, bob)
        database.execute("ROLLBACK")
        assert moderation.lift(BAN, "lobby", "bob", "root")
        assert not holds(moderation, BAN, bob)


def test_a_rule_about_several_is_kept_as_a_whole_or_not_at_all(path: Path, come: Come) -> None:
    """Who is told that it did not work has done nothing, neither now nor after a restart."""
    bob = come("bob", HOME)
    with moderating(path) as moderation, open_database(path) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON rules WHEN NEW.subject LIKE '%@%' BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
        )
        with pytest.raises(HistoryUnavailable):
            moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), None, "root")
        assert not holds(moderation, BAN, bob)
    with moderating(path) as moderation:
        assert not holds(moderation, BAN, bob)


def test_moderators_do_not_get_in_each_others_way(wire: Wiring, moderation: Moderation, come: Come) -> None:
    """Threads that set and lift, and others that ask meanwhile."""
    people = [come(f"guest{number}", None) for number in range(4)]
    keys = [session.user.key for session in people if session.user]

    def decide(key: str) -> None:
        for _ in range(200):
            moderation.set(MUTE, "lobby", [key], None, "root")
            assert moderation.lift(MUTE, "lobby", key, "root")
        moderation.set(MUTE, "lobby", [key], None, "root")

    def ask(session: Session) -> int:
        return sum(holds(moderation, MUTE, session) for _ in range(500))

    tasks = [wire.run(decide, key) for key in keys[:3]]
    asking = [wire.run(ask, session) for session in people]
    for task in tasks:
        task.result(PATIENCE)
    assert asking[3].result(PATIENCE) == 0
    for answers in asking:
        answers.result(PATIENCE)
    assert [holds(moderation, MUTE, session) for session in people] == [True, True, True, False]


# The log


def test_what_is_decided_is_logged(moderation: Moderation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "wschat.chat"):
        moderation.set(BAN, "lobby", subjects_of("Bob", {HOME}), 90, "root")
        moderation.set(MUTE, "lobby", ["eve"], None, "root")
        moderation.lift(BAN, "lobby", "Bob", "ann")
        moderation.lift(BAN, "lobby", "Bob", "ann")
    assert caplog.messages == [
        f"root: ban of bob, bob@{HOME} in lobby for 90 s",
        "root: mute of eve in lobby",
        "ann: unban of Bob in lobby",
    ]
    fields = vars(caplog.records[0])["fields"]
    assert fields == {"event": "ban", "by": "root", "subject": f"bob, bob@{HOME}", "room": "lobby", "seconds": 90}


def test_a_rule_is_written_with_who_made_it_and_until_when(come: Come) -> None:
    broker = MemoryBroker()
    before = time.time()
    Moderation(broker).set(BAN, "lobby", ["bob"], 60, "root")
    [rule] = broker.rules()
    assert rule[:3] == ("lobby", BAN, "bob")
    assert rule.by == "root"
    assert before + 60 <= rule.until <= time.time() + 60


def test_a_clock_that_is_wrong_at_the_start_ends_no_ban(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_time = FakeTime(monkeypatch)
    rules = [Rule("tea", BAN, name, NOW + seconds, "root") for name, seconds in (("mallory", 3600), ("trent", 60))]
    with contextlib.closing(SqliteBroker(tmp_path / "history")) as broker:
        broker.set_rules(rules)
    fake_time.now += 365 * DAY
    with contextlib.closing(SqliteBroker(tmp_path / "history")) as broker:
        moderation = Moderation(broker)
        fake_time.now -= 365 * DAY
        assert moderation._find(BAN, "tea", "mallory", None) == rules[0]
    fake_time.advance(600)
    with contextlib.closing(SqliteBroker(tmp_path / "history")) as broker:
        assert Moderation(broker)._find(BAN, "tea", "mallory", None) == rules[0]
        assert broker.rules() == rules[:1], "a ban whose time is over goes when the clock is right"
