"""People: a name belongs to one person at a time, who may be there several times if the name is proven."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import Barrier

import pytest

from tests.connection.wiring import PATIENCE, Wiring
from wschat.chat.dialects.plain import Plain
from wschat.chat.dialects.v1 import V1
from wschat.chat.events import MemberEvent, Notice
from wschat.chat.people import People
from wschat.chat.sessions import Dialect, Identity, Person, Session
from wschat.connection.connection import Connection
from wschat.errors import Rejected

GUEST = Identity()
PROVEN = Identity("alice", is_proven=True)
MODERATOR = Identity("alice", is_proven=True, is_moderator=True)

MakeSession = Callable[..., Session]


@pytest.fixture
def wire() -> Iterator[Wiring]:
    with contextlib.closing(Wiring()) as wiring:
        yield wiring


@pytest.fixture
def session(wire: Wiring) -> MakeSession:
    """A function that makes the session of somebody new."""

    def make(identity: Identity = GUEST) -> Session:
        return Session(wire.pair()[0], Plain(), identity)

    return make


@pytest.fixture
def people() -> People:
    return People()


def is_taken(people: People, session: Session, name: str) -> bool:
    """Whether somebody is told so who wants this name."""
    with pytest.raises(Rejected) as caught:
        people.enter(session, name)
    return caught.value.code == "name-taken" and name in caught.value.text


# Names


def test_somebody_new_has_no_name(session: MakeSession) -> None:
    new = session()
    assert (new.name, new.person, new.rooms, new.room) == (None, None, {}, None)


def test_a_name_finds_whoever_has_it(people: People, session: MakeSession) -> None:
    alice = session()
    assert people.find("alice") is None
    person = people.enter(alice, "Alice")
    assert (alice.person, alice.name) == (person, "Alice")
    assert (person.name, person.key, person.identity) == ("Alice", "alice", GUEST)
    assert people.find("Alice") is people.find("aLICE") is people.find("ａｌｉｃｅ") is person
    assert people.sessions_of(person) == [alice]


@pytest.mark.parametrize(("name", "same"), [("alice", "alice"), ("alice", "ALICE"), ("Straße", "STRASSE"), ("ÉCOLE", "école")])
def test_a_name_is_taken_whatever_its_case(people: People, session: MakeSession, name: str, same: str) -> None:
    people.enter(session(), name)
    late = session()
    assert is_taken(people, late, same)
    assert late.person is None
    assert people.enter(late, "other").name == "other"


def test_a_name_is_free_when_its_person_has_left(people: People, session: MakeSession) -> None:
    first, second = session(), session()
    person = people.enter(first, "alice")
    people.leave(first)
    assert people.find("alice") is None
    assert people.sessions_of(person) == []
    assert people.enter(second, "ALICE") is not person


def test_who_never_had_a_name_may_leave(people: People, session: MakeSession) -> None:
    people.leave(session())


def test_who_was_refused_a_name_gives_nothing_back(people: People, session: MakeSession) -> None:
    alice, late = session(), session()
    person = people.enter(alice, "alice")
    assert is_taken(people, late, "alice")
    people.leave(late)
    assert people.find("alice") is person


# Other names


def test_another_name_gives_the_old_one_back(people: People, session: MakeSession) -> None:
    alice, late = session(), session()
    person = people.enter(alice, "alice")
    people.rename(alice, "Bob")
    assert (alice.name, person.name, person.key) == ("Bob", "Bob", "bob")
    assert people.find("alice") is None
    assert people.find("bob") is person
    people.enter(late, "alice")
    people.leave(alice)
    assert people.find("bob") is None
    assert people.find("alice") is late.person


def test_one_may_write_ones_own_name_in_another_way(people: People, session: MakeSession) -> None:
    alice = session()
    person = people.enter(alice, "alice")
    people.rename(alice, "ALICE")
    assert alice.name == "ALICE"
    assert people.find("alice") is person
    people.rename(alice, "ALICE")
    assert is_taken(people, session(), "alice")


def test_a_name_that_is_taken_leaves_the_old_one(people: People, session: MakeSession) -> None:
    alice, bob = session(), session()
    person = people.enter(alice, "alice")
    other = people.enter(bob, "bob")
    with pytest.raises(Rejected, match="The name BOB is taken") as caught:
        people.rename(alice, "BOB")
    assert caught.value.code == "name-taken"
    assert (alice.name, bob.name) == ("alice", "bob")
    assert (people.find("alice"), people.find("bob")) == (person, other)


def test_a_room_that_a_guest_moderates_stays_with_the_person(people: People, session: MakeSession) -> None:
    alice = session()
    person = people.enter(alice, "alice")
    person.moderates.add("tea")
    people.rename(alice, "bob")
    assert person.moderates == {"tea"}
    people.leave(alice)
    assert people.enter(session(), "bob").moderates == set()


# Proven names


def test_a_proven_name_may_be_there_several_times_and_is_one_person(people: People, session: MakeSession) -> None:
    first, second = session(PROVEN), session(PROVEN)
    person = people.enter(first, "alice")
    assert people.enter(second, "Alice") is person
    assert people.sessions_of(person) == [first, second]
    assert second.name == "alice"  # as the one who came first is called
    people.leave(first)
    assert people.find("alice") is person
    assert people.sessions_of(person) == [second]
    people.leave(second)
    assert people.find("alice") is None


@pytest.mark.parametrize(("first", "second"), [(PROVEN, GUEST), (GUEST, PROVEN), (GUEST, GUEST)])
def test_a_name_is_not_shared_unless_both_have_proven_it(people: People, session: MakeSession, first: Identity, second: Identity) -> None:
    there, late = session(first), session(second)
    person = people.enter(there, "alice")
    assert is_taken(people, late, "alice")
    assert people.sessions_of(person) == [there]


def test_a_moderator_is_one_for_as_long_as_the_connection_lasts(people: People, session: MakeSession) -> None:
    first, second = session(PROVEN), session(MODERATOR)
    person = people.enter(first, "alice")
    assert not person.moderates_by_identity("tea")
    people.enter(second, "alice")
    assert person.moderates_by_identity("tea")
    people.leave(second)
    assert not person.moderates_by_identity("tea")


def test_what_is_returned_does_not_change_under_those_who_look(people: People, session: MakeSession) -> None:
    alice = session(PROVEN)
    person = people.enter(alice, "alice")
    seen = people.sessions_of(person)
    people.leave(alice)
    assert seen == [alice]


# Threads


@pytest.mark.parametrize("identity", [GUEST, PROVEN])
def test_of_all_who_want_a_name_at_once_one_gets_it(wire: Wiring, people: People, session: MakeSession, identity: Identity) -> None:
    threads, rounds = 8, 50
    start = Barrier(threads)
    sessions = [session(identity) for _ in range(threads)]

    def want(mine: Session) -> list[Person | None]:
        """Who one was in each round; None where somebody else had the name."""
        was: list[Person | None] = []
        for number in range(rounds):
            start.wait(PATIENCE)
            try:
                was.append(people.enter(mine, ("alice", "ALICE")[number % 2]))
            except Rejected:
                was.append(None)
            start.wait(PATIENCE)
            if was[-1] is not None:
                people.leave(mine)
                mine.person = None
        return was

    tasks = [wire.run(want, mine) for mine in sessions]
    for persons in zip(*(task.result(PATIENCE) for task in tasks), strict=True):
        if identity.is_proven:
            assert len(set(persons)) == 1
            assert None not in persons
        else:
            assert sum(person is not None for person in persons) == 1
    assert people.find("alice") is None


def test_of_all_who_change_to_a_name_at_once_one_gets_it(wire: Wiring, people: People, session: MakeSession) -> None:
    threads, rounds = 8, 50
    start = Barrier(threads)
    sessions = [session() for _ in range(threads)]
    persons = [people.enter(mine, f"guest{number}") for number, mine in enumerate(sessions)]

    def want(number: int) -> list[bool]:
        was_given = []
        for _ in range(rounds):
            start.wait(PATIENCE)
            try:
                people.rename(sessions[number], "alice")
                was_given.append(True)
            except Rejected:
                was_given.append(False)
            start.wait(PATIENCE)
            if was_given[-1]:
                people.rename(sessions[number], f"guest{number}")
        return was_given

    tasks = [wire.run(want, number) for number in range(threads)]
    assert [sum(given) for given in zip(*(task.result(PATIENCE) for task in tasks), strict=True)] == [1] * rounds
    assert people.find("alice") is None
    assert [people.find(f"guest{number}") for number in range(threads)] == persons


def test_names_stay_true_while_people_come_change_and_go(wire: Wiring, people: People, session: MakeSession) -> None:
    """Whatever the others do, whoever has a name is found by it."""
    sessions = [session() for _ in range(6)]
    names = ["one", "two", "three"]

    def live(mine: Session, number: int) -> int:
        times = 0
        for step in range(300):
            with contextlib.suppress(Rejected):
                person = people.enter(mine, names[(number + step) % 3])
                assert people.find(str(mine.name)) is person
                with contextlib.suppress(Rejected):
                    people.rename(mine, names[(number + step + 1) % 3])
                assert people.find(person.name) is person
                people.leave(mine)
                times += 1
        return times

    tasks = [wire.run(live, mine, number) for number, mine in enumerate(sessions)]
    assert sum(task.result(PATIENCE) for task in tasks) > 0
    assert [people.find(name) for name in names] == [None] * 3


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
    assert identity.may_be_in(room) == may
    if may:
        identity.check_room(room)
    else:
        with pytest.raises(Rejected, match=f"no access to {room}") as caught:
            identity.check_room(room)
        assert caught.value.code == "forbidden"


def test_who_says_nothing_may_be_in_all_rooms_and_has_proven_nothing() -> None:
    identity = Identity()
    assert (identity.name, identity.is_proven, identity.is_moderator, identity.expires_at) == (None, False, False, None)
    assert identity.may_be_in("any")


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
