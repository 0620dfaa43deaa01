"""Users: a name belongs to one user at a time, who may be there several times if the name is proven."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from threading import Barrier

import pytest

from tests.connection.wiring import PATIENCE, Wiring
from wschat.chat.dialects.base import Dialect
from wschat.chat.dialects.plain import Plain
from wschat.chat.dialects.v1 import V1
from wschat.chat.sessions import Identity, Session, User
from wschat.chat.users import Users
from wschat.connection.connection import Connection
from wschat.errors import Rejected
from wschat.events import MemberEvent, Notice

GUEST = Identity()
PROVEN = Identity("alice", is_proven=True)
MODERATOR = Identity("alice", is_proven=True, is_moderator=True)

MakeSession = Callable[..., Session]


@pytest.fixture
def session(wire: Wiring) -> MakeSession:
    """A function that makes the session of somebody new."""

    def make(identity: Identity = GUEST) -> Session:
        return Session(wire.pair()[0], Plain(), identity)

    return make


@pytest.fixture
def users() -> Users:
    return Users()


def is_taken(users: Users, session: Session, name: str) -> bool:
    """Whether somebody is told so who wants this name."""
    with pytest.raises(Rejected) as caught:
        users.sign_in(session, name)
    return caught.value.code == "name-taken" and name in caught.value.text


# Names


def test_somebody_new_has_no_name(session: MakeSession) -> None:
    new = session()
    assert (new.name, new.user, new.rooms, new.room) == (None, None, {}, None)


def test_a_name_finds_whoever_has_it(users: Users, session: MakeSession) -> None:
    alice = session()
    assert users.find("alice") is None
    user = users.sign_in(alice, "Alice")
    assert (alice.user, alice.name) == (user, "Alice")
    assert (user.name, user.key, user.identity) == ("Alice", "alice", GUEST)
    assert users.find("Alice") is users.find("aLICE") is users.find("ａｌｉｃｅ") is user
    assert users.sessions_of(user) == [alice]


@pytest.mark.parametrize(("name", "same"), [("alice", "alice"), ("alice", "ALICE"), ("Straße", "STRASSE"), ("ÉCOLE", "école")])
def test_a_name_is_taken_whatever_its_case(users: Users, session: MakeSession, name: str, same: str) -> None:
    users.sign_in(session(), name)
    late = session()
    assert is_taken(users, late, same)
    assert late.user is None
    assert users.sign_in(late, "other").name == "other"


def test_a_name_is_free_when_its_person_has_left(users: Users, session: MakeSession) -> None:
    first, second = session(), session()
    user = users.sign_in(first, "alice")
    users.sign_out(first)
    assert users.find("alice") is None
    assert users.sessions_of(user) == []
    assert users.sign_in(second, "ALICE") is not user


def test_who_never_had_a_name_may_leave(users: Users, session: MakeSession) -> None:
    users.sign_out(session())


def test_who_was_refused_a_name_gives_nothing_back(users: Users, session: MakeSession) -> None:
    alice, late = session(), session()
    user = users.sign_in(alice, "alice")
    assert is_taken(users, late, "alice")
    users.sign_out(late)
    assert users.find("alice") is user


# Other names


def test_another_name_gives_the_old_one_back(users: Users, session: MakeSession) -> None:
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


def test_one_may_write_ones_own_name_in_another_way(users: Users, session: MakeSession) -> None:
    alice = session()
    user = users.sign_in(alice, "alice")
    users.rename(alice, "ALICE")
    assert alice.name == "ALICE"
    assert users.find("alice") is user
    users.rename(alice, "ALICE")
    assert is_taken(users, session(), "alice")


def test_a_name_that_is_taken_leaves_the_old_one(users: Users, session: MakeSession) -> None:
    alice, bob = session(), session()
    user = users.sign_in(alice, "alice")
    other = users.sign_in(bob, "bob")
    with pytest.raises(Rejected, match="The name BOB is taken") as caught:
        users.rename(alice, "BOB")
    assert caught.value.code == "name-taken"
    assert (alice.name, bob.name) == ("alice", "bob")
    assert (users.find("alice"), users.find("bob")) == (user, other)


def test_a_room_that_a_guest_moderates_stays_with_the_person(users: Users, session: MakeSession) -> None:
    alice = session()
    user = users.sign_in(alice, "alice")
    user.moderates.add("tea")
    users.rename(alice, "bob")
    assert user.moderates == {"tea"}
    users.sign_out(alice)
    assert users.sign_in(session(), "bob").moderates == set()


# Proven names


def test_a_proven_name_may_be_there_several_times_and_is_one_person(users: Users, session: MakeSession) -> None:
    first, second = session(PROVEN), session(PROVEN)
    user = users.sign_in(first, "alice")
    assert users.sign_in(second, "Alice") is user
    assert users.sessions_of(user) == [first, second]
    assert second.name == "alice"  # as the one who came first is called
    users.sign_out(first)
    assert users.find("alice") is user
    assert users.sessions_of(user) == [second]
    users.sign_out(second)
    assert users.find("alice") is None


@pytest.mark.parametrize(("first", "second"), [(PROVEN, GUEST), (GUEST, PROVEN), (GUEST, GUEST)])
def test_a_name_is_not_shared_unless_both_have_proven_it(users: Users, session: MakeSession, first: Identity, second: Identity) -> None:
    there, late = session(first), session(second)
    user = users.sign_in(there, "alice")
    assert is_taken(users, late, "alice")
    assert users.sessions_of(user) == [there]


def test_a_moderator_is_one_for_as_long_as_the_connection_lasts(users: Users, session: MakeSession) -> None:
    first, second = session(PROVEN), session(MODERATOR)
    user = users.sign_in(first, "alice")
    assert not user.moderates_by_identity("tea")
    users.sign_in(second, "alice")
    assert user.moderates_by_identity("tea")
    users.sign_out(second)
    assert not user.moderates_by_identity("tea")


def test_what_is_returned_does_not_change_under_those_who_look(users: Users, session: MakeSession) -> None:
    alice = session(PROVEN)
    user = users.sign_in(alice, "alice")
    seen = users.sessions_of(user)
    users.sign_out(alice)
    assert seen == [alice]


# Threads


@pytest.mark.parametrize("identity", [GUEST, PROVEN])
def test_of_all_who_want_a_name_at_once_one_gets_it(wire: Wiring, users: Users, session: MakeSession, identity: Identity) -> None:
    threads, rounds = 8, 50
    start = Barrier(threads)
    sessions = [session(identity) for _ in range(threads)]

    def want(mine: Session) -> list[User | None]:
        """Who one was in each round; None where somebody else had the name."""
        was: list[User | None] = []
        for number in range(rounds):
            start.wait(PATIENCE)
            try:
                was.append(users.sign_in(mine, ("alice", "ALICE")[number % 2]))
            except Rejected:
                was.append(None)
            start.wait(PATIENCE)
            if was[-1] is not None:
                users.sign_out(mine)
                mine.user = None
        return was

    tasks = [wire.run(want, mine) for mine in sessions]
    for owners in zip(*(task.result(PATIENCE) for task in tasks), strict=True):
        if identity.is_proven:
            assert len(set(owners)) == 1
            assert None not in owners
        else:
            assert sum(user is not None for user in owners) == 1
    assert users.find("alice") is None


def test_of_all_who_change_to_a_name_at_once_one_gets_it(wire: Wiring, users: Users, session: MakeSession) -> None:
    threads, rounds = 8, 50
    start = Barrier(threads)
    sessions = [session() for _ in range(threads)]
    owners = [users.sign_in(mine, f"guest{number}") for number, mine in enumerate(sessions)]

    def want(number: int) -> list[bool]:
        was_given = []
        for _ in range(rounds):
            start.wait(PATIENCE)
            try:
                users.rename(sessions[number], "alice")
                was_given.append(True)
            except Rejected:
                was_given.append(False)
            start.wait(PATIENCE)
            if was_given[-1]:
                users.rename(sessions[number], f"guest{number}")
        return was_given

    tasks = [wire.run(want, number) for number in range(threads)]
    assert [sum(given) for given in zip(*(task.result(PATIENCE) for task in tasks), strict=True)] == [1] * rounds
    assert users.find("alice") is None
    assert [users.find(f"guest{number}") for number in range(threads)] == owners


def test_names_stay_true_while_people_come_change_and_go(wire: Wiring, users: Users, session: MakeSession) -> None:
    """Whatever the others do, whoever has a name is found by it."""
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
    assert sum(task.result(PATIENCE) for task in tasks) > 0
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
        (("TEA",), "tea", False),  # patterns are compared as they are: who makes them makes them of keys
    ],
)
def test_patterns_say_in_which_rooms_one_may_be(patterns: tuple[str, ...], room: str, may: bool) -> None:
    identity = Identity("alice", rooms=patterns)
    assert identity.may_enter(room) == may
    if may:
        identity.check_room(room)
    else:
        with pytest.raises(Rejected, match=f"no access to {room}") as caught:
            identity.check_room(room)
        assert caught.value.code == "forbidden"


def test_who_says_nothing_may_be_in_all_rooms_and_has_proven_nothing() -> None:
    identity = Identity()
    assert (identity.name, identity.is_proven, identity.is_moderator, identity.expires_at) == (None, False, False, None)
    assert identity.may_enter("any")


# Sessions


@pytest.mark.parametrize(
    ("remote", "address"), [(("203.0.113.7", 5000), "203.0.113.7"), (("2001:db8::1", 5000, 0, 0), "2001:db8::1"), ("", None), (b"", None)]
)
def test_a_session_comes_from_an_address_if_it_has_one(wire: Wiring, remote: object, address: str | None) -> None:
    server, _ = wire.pair()
    server.remote_address = remote
    assert Session(server, Plain(), GUEST).address == address


@pytest.mark.parametrize("dialect", [Plain(), V1()], ids=["plain", "v1"])
def test_a_session_is_told_what_its_dialect_has_words_for(wire: Wiring, dialect: Dialect) -> None:
    server, client = wire.pair()
    told = Session(server, dialect, GUEST)
    events = [MemberEvent("lobby", "bob", "join"), Notice("You are a moderator now.")]
    for event in events:
        told.notify(event)
    server.send("end")
    assert until_end(client) == [text for event in events if (text := dialect.event(event)) is not None]


def test_who_has_gone_is_told_in_vain(wire: Wiring) -> None:
    server, client = wire.pair()
    gone = Session(server, Plain(), GUEST)
    wire.run(client.close)
    assert list(server) == []
    gone.notify(Notice("too late"))


def until_end(client: Connection) -> list[str | bytes]:
    """What a client gets before it is told that this is all."""
    messages = []
    while (message := client.recv(timeout=PATIENCE)) != "end":
        messages.append(message)
    return messages
