"""Users: a name belongs to one user at a time, which has several sessions if the name is proven."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from threading import Barrier

import pytest

from tests.concurrency import TIMEOUT
from tests.connection.wiring import Wiring, until_end
from wschat.chat.dialects.base import Dialect
from wschat.chat.dialects.plain import Plain
from wschat.chat.dialects.v1 import V1
from wschat.chat.sessions import Identity, Session, User
from wschat.chat.users import Users
from wschat.errors import Rejected
from wschat.events import MemberEvent, Notice

GUEST = Identity()
PROVEN = Identity("alice", is_proven=True)
MODERATOR = Identity("alice", is_proven=True, is_moderator=True)

MakeSession = Callable[..., Session]


@pytest.fixture
def session(wire: Wiring) -> MakeSession:
    """A function that makes a session without a user."""

    def make(identity: Identity = GUEST) -> Session:
        return Session(wire.pair()[0], Plain(), identity)

    return make


@pytest.fixture
def users() -> Users:
    return Users()


def is_taken(users: Users, session: Session, name: str) -> bool:
    """Return True if signing in by this name is refused as taken."""
    with pytest.raises(Rejected) as caught:
        users.sign_in(session, name)
    return caught.value.code == "name-taken" and name in caught.value.text


# Names


def test_a_new_session_has_no_name_and_no_rooms(session: MakeSession) -> None:
    new = session()
    assert (new.name, new.user, new.rooms, new.room) == (None, None, {}, None)


def test_find_returns_the_user_of_a_name(users: Users, session: MakeSession) -> None:
    alice = session()
    assert users.find("alice") is None
    user = users.sign_in(alice, "Alice")
    assert (alice.user, alice.name) == (user, "Alice")
    assert (user.name, user.key, user.identity) == ("Alice", "alice", GUEST)
    assert users.find("Alice") is users.find("aLICE") is users.find("ａｌｉｃｅ") is user
    assert users.sessions_of(user) == [alice]


@pytest.mark.parametrize(("name", "same"), [("alice", "alice"), ("alice", "ALICE"), ("Straße", "STRASSE"), ("ÉCOLE", "école")])
def test_a_name_is_taken_in_any_case(users: Users, session: MakeSession, name: str, same: str) -> None:
    users.sign_in(session(), name)
    late = session()
    assert is_taken(users, late, same)
    assert late.user is None
    assert users.sign_in(late, "other").name == "other"


def test_a_name_is_free_after_sign_out(users: Users, session: MakeSession) -> None:
    first, second = session(), session()
    user = users.sign_in(first, "alice")
    users.sign_out(first)
    assert users.find("alice") is None
    assert users.sessions_of(user) == []
    assert users.sign_in(second, "ALICE") is not user


def test_a_session_without_a_name_can_sign_out(users: Users, session: MakeSession) -> None:
    users.sign_out(session())


def test_signing_out_after_a_refused_name_does_not_free_it(users: Users, session: MakeSession) -> None:
    alice, late = session(), session()
    user = users.sign_in(alice, "alice")
    assert is_taken(users, late, "alice")
    users.sign_out(late)
    assert users.find("alice") is user


# Changing names


def test_renaming_frees_the_old_name(users: Users, session: MakeSession) -> None:
    alice, late = session(), session()
    user = users.sign_in(alice, "alice")
    users.rename(alice, "Bob")
    assert (alice.name, user.name, user.key) == ("Bob", "Bob", "bob")
    assert users.find("alice") is None
    assert users.find("bob") is user
    users.sign_in(late, "alice")
    users.sign_out(alice)
    assert users.find("bob") is None
    assert users.find("alice") is late.user


def test_a_user_can_change_the_case_of_its_name(users: Users, session: MakeSession) -> None:
    alice = session()
    user = users.sign_in(alice, "alice")
    users.rename(alice, "ALICE")
    assert alice.name == "ALICE"
    assert users.find("alice") is user
    users.rename(alice, "ALICE")
    assert is_taken(users, session(), "alice")


def test_renaming_to_a_taken_name_keeps_the_old_one(users: Users, session: MakeSession) -> None:
    alice, bob = session(), session()
    user = users.sign_in(alice, "alice")
    other = users.sign_in(bob, "bob")
    with pytest.raises(Rejected, match="The name BOB is taken") as caught:
        users.rename(alice, "BOB")
    assert caught.value.code == "name-taken"
    assert (alice.name, bob.name) == ("alice", "bob")
    assert (users.find("alice"), users.find("bob")) == (user, other)


def test_a_guest_keeps_its_moderator_rights_after_a_rename(users: Users, session: MakeSession) -> None:
    alice = session()
    user = users.sign_in(alice, "alice")
    user.moderates.add("tea")
    users.rename(alice, "bob")
    assert user.moderates == {"tea"}
    users.sign_out(alice)
    assert users.sign_in(session(), "bob").moderates == set()


# Proven names


def test_several_sessions_with_a_proven_name_are_one_user(users: Users, session: MakeSession) -> None:
    first, second = session(PROVEN), session(PROVEN)
    user = users.sign_in(first, "alice")
    assert users.sign_in(second, "Alice") is user
    assert users.sessions_of(user) == [first, second]
    assert second.name == "alice"  # the spelling of the first session
    users.sign_out(first)
    assert users.find("alice") is user
    assert users.sessions_of(user) == [second]
    users.sign_out(second)
    assert users.find("alice") is None


@pytest.mark.parametrize(("first", "second"), [(PROVEN, GUEST), (GUEST, PROVEN), (GUEST, GUEST)])
def test_a_name_is_shared_only_by_sessions_that_have_proven_it(
    users: Users, session: MakeSession, first: Identity, second: Identity
) -> None:
    there, late = session(first), session(second)
    user = users.sign_in(there, "alice")
    assert is_taken(users, late, "alice")
    assert users.sessions_of(user) == [there]


def test_moderator_rights_of_an_identity_end_with_its_session(users: Users, session: MakeSession) -> None:
    first, second = session(PROVEN), session(MODERATOR)
    user = users.sign_in(first, "alice")
    assert not user.moderates_by_identity("tea")
    users.sign_in(second, "alice")
    assert user.moderates_by_identity("tea")
    users.sign_out(second)
    assert not user.moderates_by_identity("tea")


def test_sessions_of_returns_a_copy(users: Users, session: MakeSession) -> None:
    alice = session(PROVEN)
    user = users.sign_in(alice, "alice")
    seen = users.sessions_of(user)
    users.sign_out(alice)
    assert seen == [alice]


# Threads


@pytest.mark.parametrize("identity", [GUEST, PROVEN])
def test_of_sessions_that_sign_in_by_one_name_at_once_one_gets_it(
    wire: Wiring, users: Users, session: MakeSession, identity: Identity
) -> None:
    threads, rounds = 8, 50
    start = Barrier(threads)
    sessions = [session(identity) for _ in range(threads)]

    def sign_in(mine: Session) -> list[User | None]:
        """Return the user of each round, or None if another session had the name."""
        was: list[User | None] = []
        for number in range(rounds):
            start.wait(TIMEOUT)
            try:
                was.append(users.sign_in(mine, ("alice", "ALICE")[number % 2]))
            except Rejected:
                was.append(None)
            start.wait(TIMEOUT)
            if was[-1] is not None:
                users.sign_out(mine)
                mine.user = None
        return was

    tasks = [wire.run(sign_in, mine) for mine in sessions]
    for owners in zip(*(task.result(TIMEOUT) for task in tasks), strict=True):
        if identity.is_proven:
            assert len(set(owners)) == 1
            assert None not in owners
        else:
            assert sum(user is not None for user in owners) == 1
    assert users.find("alice") is None


def test_of_sessions_that_change_to_one_name_at_once_one_gets_it(wire: Wiring, users: Users, session: MakeSession) -> None:
    threads, rounds = 8, 50
    start = Barrier(threads)
    sessions = [session() for _ in range(threads)]
    owners = [users.sign_in(mine, f"guest{number}") for number, mine in enumerate(sessions)]

    def rename(number: int) -> list[bool]:
        was_given = []
        for _ in range(rounds):
            start.wait(TIMEOUT)
            try:
                users.rename(sessions[number], "alice")
                was_given.append(True)
            except Rejected:
                was_given.append(False)
            start.wait(TIMEOUT)
            if was_given[-1]:
                users.rename(sessions[number], f"guest{number}")
        return was_given

    tasks = [wire.run(rename, number) for number in range(threads)]
    assert [sum(given) for given in zip(*(task.result(TIMEOUT) for task in tasks), strict=True)] == [1] * rounds
    assert users.find("alice") is None
    assert [users.find(f"guest{number}") for number in range(threads)] == owners


def test_find_is_right_while_sessions_sign_in_rename_and_sign_out(wire: Wiring, users: Users, session: MakeSession) -> None:
    """Each user is found by its name, whatever other threads do."""
    sessions = [session() for _ in range(6)]
    names = ["one", "two", "three"]

    def live(mine: Session, number: int) -> int:
        times = 0
        for step in range(300):
            with contextlib.suppress(Rejected):
                user = users.sign_in(mine, names[(number + step) % 3])
                assert users.find(str(mine.name)) is user
                with contextlib.suppress(Rejected):
                    users.rename(mine, names[(number + step + 1) % 3])
                assert users.find(user.name) is user
                users.sign_out(mine)
                times += 1
        return times

    tasks = [wire.run(live, mine, number) for number, mine in enumerate(sessions)]
    assert sum(task.result(TIMEOUT) for task in tasks) > 0
    assert [users.find(name) for name in names] == [None] * 3


# Identities


@pytest.mark.parametrize(
    ("patterns", "room", "may"),
    [
        (("*",), "lobby", True),
        ((), "lobby", False),
        (("lobby",), "lobby", True),
        (("lobby",), "lobby2", False),
        (("tea*",), "tea", True),
        (("tea*",), "tea-green", True),
        (("tea*",), "iced-tea", False),
        (("tea", "lob*"), "lobby", True),
        (("team-?",), "team-1", True),
        (("team-?",), "team-12", False),
        (("[ab]",), "b", True),
        (("[ab]",), "c", False),
        (("TEA",), "tea", False),  # patterns must be made of keys
    ],
)
def test_the_patterns_of_an_identity_allow_rooms(patterns: tuple[str, ...], room: str, may: bool) -> None:
    identity = Identity("alice", rooms=patterns)
    assert identity.may_enter(room) == may
    if may:
        identity.check_room(room)
    else:
        with pytest.raises(Rejected, match=f"no access to {room}") as caught:
            identity.check_room(room)
        assert caught.value.code == "forbidden"


def test_an_empty_identity_allows_all_rooms_and_proves_nothing() -> None:
    identity = Identity()
    assert (identity.name, identity.is_proven, identity.is_moderator, identity.expires_at) == (None, False, False, None)
    assert identity.may_enter("any")


# Sessions


@pytest.mark.parametrize(
    ("remote", "address"), [(("203.0.113.7", 5000), "203.0.113.7"), (("2001:db8::1", 5000, 0, 0), "2001:db8::1"), ("", None), (b"", None)]
)
def test_the_address_of_a_session_is_that_of_its_connection(wire: Wiring, remote: object, address: str | None) -> None:
    server, _ = wire.pair()
    server.remote_address = remote
    assert Session(server, Plain(), GUEST).address == address


@pytest.mark.parametrize("dialect", [Plain(), V1()], ids=["plain", "v1"])
def test_a_session_is_sent_the_events_that_its_dialect_encodes(wire: Wiring, dialect: Dialect) -> None:
    server, client = wire.pair()
    session = Session(server, dialect, GUEST)
    events = [MemberEvent("lobby", "bob", "join"), Notice("You are a moderator now.")]
    for event in events:
        session.notify(event)
    server.send("end")
    assert until_end(client) == [text for event in events if (text := dialect.event(event)) is not None]


def test_notifying_a_disconnected_session_does_nothing(wire: Wiring) -> None:
    server, client = wire.pair()
    gone = Session(server, Plain(), GUEST)
    wire.run(client.close)
    assert list(server) == []
    gone.notify(Notice("too late"))
