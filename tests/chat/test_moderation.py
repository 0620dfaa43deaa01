"""Moderation: mutes and bans, how long they last, who may set them, and what survives a restart."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import open_database
from tests.brokers.test_clock import DAY, NOW, FakeTime
from tests.concurrency import TIMEOUT, eventually
from tests.connection.wiring import Wiring
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

MakeSession = Callable[..., Session]


@pytest.fixture
def make_session(wire: Wiring) -> MakeSession:
    """A function that makes the session of a client at an address, optionally with a name."""
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
    """Open the moderation kept in a file, which is closed after the block."""
    with contextlib.closing(SqliteBroker(path)) as broker:
        yield Moderation(broker)


def refusal(moderation: Moderation, kind: str, session: Session, room: str = "lobby") -> Rejected:
    """Return the error that a rule raises for a session."""
    with pytest.raises(Rejected) as caught:
        moderation.check(kind, session, room)
    return caught.value


def holds(moderation: Moderation, kind: str, session: Session, room: str = "lobby") -> bool:
    """Return True if a rule applies to a session."""
    try:
        moderation.check(kind, session, room)
    except Rejected:
        return True
    return False


# Subjects of rules


def test_no_session_is_muted_or_banned_at_first(moderation: Moderation, make_session: MakeSession) -> None:
    for session in (make_session("bob"), make_session(), make_session(address=None)):
        moderation.check(MUTE, session, "lobby")
        moderation.check(BAN, session, "lobby")


@pytest.mark.parametrize(
    ("kind", "code", "text"), [(MUTE, "muted", "You are muted in lobby."), (BAN, "banned", "You are banned from lobby.")]
)
def test_a_rule_applies_to_a_name_in_a_room(moderation: Moderation, make_session: MakeSession, kind: str, code: str, text: str) -> None:
    moderation.set(kind, "lobby", subjects_of("Bob", ()), None, "root")
    bob = make_session("BOB")
    error = refusal(moderation, kind, bob)
    assert (error.code, error.text, error.seconds) == (code, text, None)
    assert not holds(moderation, kind, bob, "tea")
    assert not holds(moderation, MUTE if kind == BAN else BAN, bob)
    assert not moderation.is_moderator(bob, "lobby")
    for other in (make_session("bobby"), make_session(), make_session(address=None)):
        assert not holds(moderation, kind, other)


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_a_rule_applies_to_other_names_at_the_same_addresses(moderation: Moderation, make_session: MakeSession, kind: str) -> None:
    moderation.set(kind, "lobby", subjects_of("bob", {HOME, WORK}), None, "root")
    assert holds(moderation, kind, make_session("bob", "192.0.2.1"))
    assert holds(moderation, kind, make_session("eve", HOME))
    assert holds(moderation, kind, make_session(None, WORK))
    assert not holds(moderation, kind, make_session("ann", "192.0.2.1"))
    assert not holds(moderation, kind, make_session("dan", None))


def test_a_ban_of_an_address_applies_to_every_name_at_it(moderation: Moderation, make_session: MakeSession) -> None:
    moderation.set(BAN, "lobby", subjects_of(HOME, ()), None, "root")
    assert holds(moderation, BAN, make_session("bob", HOME))
    assert holds(moderation, BAN, make_session(None, HOME))
    assert not holds(moderation, BAN, make_session("eve", WORK))


@pytest.mark.parametrize(
    ("named", "written"),
    [
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("2001:db8:0:0:0:0:0:7", "2001:db8::7"),
        (HOME, f"::ffff:{HOME}"),  # as a server on [::] sees an IPv4 client
    ],
)
def test_an_address_can_be_written_in_more_than_one_way(
    moderation: Moderation, make_session: MakeSession, named: str, written: str
) -> None:
    moderation.set(BAN, "lobby", subjects_of(named, ()), None, "root")
    bob = make_session("bob", written)
    assert holds(moderation, BAN, bob)
    assert moderation.lift(BAN, "lobby", written, "root")
    assert not holds(moderation, BAN, bob)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_a_rule_for_a_name_at_a_loopback_address_applies_to_the_name_only(
    moderation: Moderation, make_session: MakeSession, address: str
) -> None:
    """All clients behind a local proxy that is not trusted have this address."""
    moderation.set(BAN, "lobby", subjects_of("bob", {address}), None, "root")
    assert holds(moderation, BAN, make_session("bob", address))
    assert not holds(moderation, BAN, make_session("eve", address))


def test_a_loopback_address_can_be_banned_explicitly(moderation: Moderation, make_session: MakeSession) -> None:
    moderation.set(BAN, "lobby", subjects_of("127.0.0.1", ()), None, "root")
    assert holds(moderation, BAN, make_session("eve", "127.0.0.1"))


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
def test_the_subjects_of_a_rule(name: str, addresses: set[str], subjects: list[str]) -> None:
    assert subjects_of(name, addresses) == subjects


@pytest.mark.parametrize(
    ("text", "is_one"), [(HOME, True), ("::1", True), ("2001:db8::7", True), ("bob", False), ("", False), ("1.2.3", False)]
)
def test_which_texts_are_addresses(text: str, is_one: bool) -> None:
    assert (canonical_address(text) is not None) == is_one


# Durations


def test_the_error_names_the_time_left(moderation: Moderation, make_session: MakeSession) -> None:
    bob = make_session("bob")
    moderation.set(MUTE, "lobby", ["bob"], 90, "root")
    error = refusal(moderation, MUTE, bob)
    assert error.seconds is not None
    assert 60 < error.seconds <= 90
    assert error.text == f"You are muted in lobby for another {round(error.seconds)} s."


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_a_rule_expires(moderation: Moderation, make_session: MakeSession, kind: str) -> None:
    bob = make_session("bob")
    moderation.set(kind, "lobby", ["bob"], 0.05, "root")
    eventually(lambda: not holds(moderation, kind, bob))
    assert not moderation.lift(kind, "lobby", "bob", "root")  # there is nothing left to be lifted
    assert not holds(moderation, kind, bob)


@pytest.mark.parametrize(("first", "second", "lasts"), [(None, 1000, 1000), (1000, 100, 100), (100, 1000, 1000), (1000, None, None)])
def test_a_new_rule_replaces_the_old_one(
    moderation: Moderation, make_session: MakeSession, first: float | None, second: float | None, lasts: float | None
) -> None:
    bob = make_session("bob")
    moderation.set(MUTE, "lobby", ["bob"], first, "root")
    moderation.set(MUTE, "lobby", ["bob"], second, "root")
    assert refusal(moderation, MUTE, bob).seconds == (lasts and pytest.approx(lasts, abs=TIMEOUT))


@pytest.mark.parametrize(
    ("of_name", "of_address", "lasts"), [(100, 1000, 1000), (1000, 100, 1000), (None, 100, None), (100, None, None), (0.0001, 100, 100)]
)
def test_of_several_rules_the_longest_counts(
    moderation: Moderation, make_session: MakeSession, of_name: float | None, of_address: float | None, lasts: float | None
) -> None:
    bob = make_session("bob", HOME)
    moderation.set(BAN, "lobby", subjects_of("bob", ()), of_name, "root")
    moderation.set(BAN, "lobby", subjects_of(HOME, ()), of_address, "root")
    assert refusal(moderation, BAN, bob).seconds == (lasts and pytest.approx(lasts, abs=TIMEOUT))


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
def test_durations_are_shown_in_seconds_minutes_or_hours(seconds: float, shown: str) -> None:
    assert shown_seconds(seconds) == shown


# Lifting rules


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_lifting_the_rule_of_a_name_lifts_those_of_its_addresses(moderation: Moderation, make_session: MakeSession, kind: str) -> None:
    bob, eve = make_session("bob", HOME), make_session("eve", HOME)
    moderation.set(kind, "lobby", subjects_of("bob", {HOME, WORK}), None, "root")
    moderation.set(kind, "lobby", subjects_of("bobby", {"192.0.2.1"}), None, "root")
    moderation.set(kind, "tea", subjects_of("bob", {HOME}), None, "root")
    assert moderation.lift(kind, "lobby", "BOB", "root")
    for session in (bob, eve, make_session(None, WORK)):
        assert not holds(moderation, kind, session)
    # Other rules are unchanged.
    assert holds(moderation, kind, make_session("bobby"))
    assert holds(moderation, kind, make_session(None, "192.0.2.1"))
    assert holds(moderation, kind, bob, "tea")
    assert holds(moderation, kind, eve, "tea")
    assert not moderation.lift(kind, "lobby", "bob", "root")


def test_lifting_a_ban_of_a_name_keeps_an_explicit_ban_of_its_address(moderation: Moderation, make_session: MakeSession) -> None:
    eve = make_session("eve", HOME)
    moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), None, "root")
    moderation.set(BAN, "lobby", subjects_of(HOME, ()), None, "root")
    assert moderation.lift(BAN, "lobby", "bob", "root")
    assert holds(moderation, BAN, eve)
    assert moderation.lift(BAN, "lobby", HOME, "root")
    assert not holds(moderation, BAN, eve)


def test_lifting_a_rule_that_does_not_exist_returns_false(moderation: Moderation) -> None:
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


def test_only_a_moderators_identity_moderates(moderation: Moderation, make_session: MakeSession) -> None:
    guest, proven, root = (
        make_session("guest"),
        make_session("ann", is_proven=True),
        make_session("root", is_proven=True, is_moderator=True),
    )
    for session in (guest, proven, make_session()):
        assert not moderation.is_moderator(session, "lobby")
        with pytest.raises(Rejected, match="Only a moderator of lobby may") as caught:
            moderation.check_moderator(session, "lobby")
        assert caught.value.code == "forbidden"
    for room in ("lobby", "tea"):
        assert moderation.is_moderator(root, room)
        moderation.check_moderator(root, room)


def test_op_makes_a_moderator_of_one_room(moderation: Moderation, make_session: MakeSession) -> None:
    ann = make_session("Ann", is_proven=True)
    moderation.set(OP, "lobby", ["ann"], None, "root")
    moderation.check_moderator(ann, "lobby")
    assert not moderation.is_moderator(ann, "tea")


def test_a_guest_with_the_name_of_a_moderator_does_not_moderate(moderation: Moderation, make_session: MakeSession) -> None:
    moderation.set(OP, "lobby", ["ann"], None, "root")
    assert not moderation.is_moderator(make_session("ann"), "lobby")


def test_a_guest_can_be_made_a_moderator_for_its_session(moderation: Moderation, make_session: MakeSession) -> None:
    bob = make_session("bob")
    assert bob.user is not None
    bob.user.moderates.add("lobby")
    moderation.check_moderator(bob, "lobby")
    assert not moderation.is_moderator(bob, "tea")


@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_rules_do_not_apply_to_moderators(moderation: Moderation, make_session: MakeSession, kind: str) -> None:
    root, ann, guest = make_session("root", is_proven=True, is_moderator=True), make_session("ann", is_proven=True), make_session("guest")
    assert guest.user is not None
    for room in ("lobby", "tea"):
        moderation.set(kind, room, ["root", "ann", "guest", f"@{HOME}"], None, "mallory")
    moderation.set(OP, "lobby", ["ann"], None, "root")
    guest.user.moderates.add("lobby")
    assert [holds(moderation, kind, session) for session in (root, ann, guest)] == [False, False, False]
    assert [holds(moderation, kind, session, "tea") for session in (root, ann, guest)] == [False, True, True]


def test_the_rights_of_two_connections_of_one_user_are_not_combined(moderation: Moderation, make_session: MakeSession) -> None:
    """A token for all rooms and a moderator's token for a few rooms do not make a moderator of all rooms."""
    anywhere = make_session("ann", is_proven=True)
    make_session("ann", is_proven=True, is_moderator=True, rooms=("tea*",))
    with pytest.raises(Rejected):
        moderation.check_moderator(anywhere, "lobby")


# Restarts and failing writes


def test_rules_survive_a_restart(path: Path, make_session: MakeSession) -> None:
    bob, eve, ann = make_session("bob", WORK), make_session("eve", HOME), make_session("ann", "192.0.2.1", is_proven=True)
    with moderating(path) as moderation:
        moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), 1000, "root")
        moderation.set(MUTE, "tea", ["bob"], None, "root")
        moderation.set(MUTE, "lobby", ["eve"], None, "root")
        moderation.set(MUTE, "lobby", ["ann"], 0.05, "root")
        moderation.set(OP, "tea", ["ann"], None, "root")
        moderation.lift(MUTE, "lobby", "eve", "root")
    with moderating(path) as moderation:
        assert refusal(moderation, BAN, bob).seconds == pytest.approx(1000, abs=TIMEOUT)
        assert refusal(moderation, MUTE, bob, "tea").seconds is None
        assert holds(moderation, BAN, eve)
        assert not holds(moderation, MUTE, eve)
        eventually(lambda: not holds(moderation, MUTE, ann))
        assert moderation.is_moderator(ann, "tea")
        assert moderation.lift(BAN, "lobby", "bob", "root")
    with moderating(path) as moderation:
        assert not holds(moderation, BAN, bob)
        assert not holds(moderation, BAN, eve)


@pytest.fixture
def short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers do not wait long for a file that another program has locked."""
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", 0.05)


@pytest.mark.usefixtures("short_lock_timeout")
@pytest.mark.parametrize("kind", [MUTE, BAN])
def test_a_rule_that_cannot_be_written_does_not_apply(path: Path, make_session: MakeSession, kind: str) -> None:
    bob = make_session("bob", HOME)
    with moderating(path) as moderation, open_database(path) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryUnavailable):
            moderation.set(kind, "lobby", subjects_of("bob", {HOME}), None, "root")
        assert not holds(moderation, kind, bob)
        database.execute("ROLLBACK")
        moderation.set(kind, "lobby", subjects_of("bob", {HOME}), None, "root")
        assert holds(moderation, kind, bob)


@pytest.mark.usefixtures("short_lock_timeout")
def test_a_rule_whose_removal_cannot_be_written_still_applies(path: Path, make_session: MakeSession) -> None:
    bob = make_session("bob", HOME)
    with moderating(path) as moderation, open_database(path) as database:
        moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), None, "root")
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryUnavailable):
            moderation.lift(BAN, "lobby", "bob", "root")
        assert holds(moderation, BAN, bob)
        database.execute("ROLLBACK")
        assert moderation.lift(BAN, "lobby", "bob", "root")
        assert not holds(moderation, BAN, bob)


def test_a_rule_with_several_subjects_is_written_as_a_whole_or_not_at_all(path: Path, make_session: MakeSession) -> None:
    """After an error the rule applies to no subject, neither now nor after a restart."""
    bob = make_session("bob", HOME)
    with moderating(path) as moderation, open_database(path) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON rules WHEN NEW.subject LIKE '%@%' BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
        )
        with pytest.raises(HistoryUnavailable):
            moderation.set(BAN, "lobby", subjects_of("bob", {HOME}), None, "root")
        assert not holds(moderation, BAN, bob)
    with moderating(path) as moderation:
        assert not holds(moderation, BAN, bob)


def test_rules_can_be_set_lifted_and_checked_by_many_threads(wire: Wiring, moderation: Moderation, make_session: MakeSession) -> None:
    """Some threads set and lift rules while others check them."""
    sessions = [make_session(f"guest{number}", None) for number in range(4)]
    keys = [session.user.key for session in sessions if session.user]

    def decide(key: str) -> None:
        for _ in range(200):
            moderation.set(MUTE, "lobby", [key], None, "root")
            assert moderation.lift(MUTE, "lobby", key, "root")
        moderation.set(MUTE, "lobby", [key], None, "root")

    def ask(session: Session) -> int:
        return sum(holds(moderation, MUTE, session) for _ in range(500))

    tasks = [wire.run(decide, key) for key in keys[:3]]
    asking = [wire.run(ask, session) for session in sessions]
    for task in tasks:
        task.result(TIMEOUT)
    assert asking[3].result(TIMEOUT) == 0
    for answers in asking:
        answers.result(TIMEOUT)
    assert [holds(moderation, MUTE, session) for session in sessions] == [True, True, True, False]


# The log


def test_rules_that_are_set_and_lifted_are_logged(moderation: Moderation, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_rule_is_written_with_its_moderator_and_expiry(make_session: MakeSession) -> None:
    broker = MemoryBroker()
    before = time.time()
    Moderation(broker).set(BAN, "lobby", ["bob"], 60, "root")
    [rule] = broker.rules()
    assert rule[:3] == ("lobby", BAN, "bob")
    assert rule.by == "root"
    assert before + 60 <= rule.until <= time.time() + 60


def test_a_wrong_clock_at_the_start_ends_no_ban(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert broker.rules() == rules[:1], "an expired ban is deleted once the clock is right"
