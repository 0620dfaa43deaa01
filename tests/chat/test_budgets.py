"""Budgets: a client that asks for much has to wait, and others do not."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

import wschat
from tests.brokers.wiring import IgnoringPublisher
from tests.chat.conftest import ChatFactory
from tests.chat.test_access import SECRET
from tests.chat.wiring import Client, Clock, Event, Guests
from tests.concurrency import TIMEOUT
from wschat.brokers.base import Draft
from wschat.brokers.memory import MemoryBroker
from wschat.chat import rates
from wschat.chat.access import Access
from wschat.chat.budgets import Budget, Budgets
from wschat.chat.chat import Chat
from wschat.chat.rates import Rate
from wschat.chat.tokens import mint
from wschat.errors import Rejected
from wschat.server.requests import Request

ROOM = "tea"
FEW = Budgets(work=Rate(100, 60))


def few_per_address() -> Budgets:
    """Return new budgets, from which nothing has been spent."""
    return Budgets(work_per_address=Rate(100, 60))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rates, "monotonic", clock)
    return clock


def full_of(messages: int) -> MemoryBroker:
    """Return a log with this many messages in one room."""
    broker = MemoryBroker()
    for _ in range(messages):
        broker.append(Draft(ROOM, "bob", "x"), IgnoringPublisher())
    return broker


def ask_until_refused(client: Client, most: int, **request: object) -> tuple[int, Event]:
    """Repeat a request until it is refused, at most `most` times. Return the number of replies, and the error."""
    for times in range(most):
        answer = client.ask(**request)
        if answer["type"] == "error":
            return times, answer
    return most, {}


# Budgets by themselves


def begin(budgets: Budgets, place: str = "here") -> Budget:
    budget = budgets.for_connection(place)
    assert budget is not None
    return budget


def test_a_spent_budget_has_to_be_waited_for(clock: Clock) -> None:
    budget = begin(Budgets(Rate(10, 1), Rate(100, 1), Rate(1000, 1)))
    assert budget.count_request() is None
    budget.spend(499)
    refusal = budget.count_request()
    assert refusal is not None
    assert (refusal.error.code, refusal.is_news) == ("too-fast", True)
    assert refusal.error.seconds == pytest.approx(2.01)  # 300 at once, and 100 in each second
    clock.now += 2.02
    assert budget.count_request() is None


def test_an_idle_connection_does_not_save_up_budget(clock: Clock) -> None:
    budget = begin(Budgets(work=Rate(100, 1)))
    clock.now += 3600
    budget.spend(400)
    assert budget.count_request() is not None


def test_the_connections_of_an_address_share_its_budget(clock: Clock) -> None:
    budgets = Budgets(None, Rate(1000, 1), Rate(100, 1))
    one, two, elsewhere = begin(budgets), begin(budgets), begin(budgets, "there")
    one.spend(500)
    refusal = two.count_request()
    assert refusal is not None
    assert refusal.error.seconds == pytest.approx(2.01)
    assert elsewhere.count_request() is None
    with pytest.raises(Rejected):
        budgets.check("here")
    clock.now += 2.02
    assert two.count_request() is None
    budgets.check("here")


def test_without_limits_budgets_refuse_nothing() -> None:
    budgets = Budgets()
    assert budgets.for_connection("here") is None
    budgets.spend("here", 1e9)
    budgets.check("here")


# Costs of requests


@pytest.mark.parametrize(
    ("request_made", "times"),
    [
        ({"type": "join", "since": 0}, (1, 1)),
        ({"type": "join"}, (3, 3)),
        ({"type": "history", "limit": 1000}, (1, 1)),
        ({"type": "history"}, (3, 3)),
        ({"type": "history", "limit": 10}, (14, 15)),
        ({"type": "join", "since": 1000}, (20, 30)),  # a client that has missed nothing
        ({"type": "who", "id": "x" * 128}, (20, 30)),
    ],
)
def test_reading_costs_budget(open_chat: ChatFactory, request_made: dict[str, Any], times: tuple[int, int]) -> None:
    alice = open_chat(full_of(1000), budgets=FEW).v1("alice")
    count, error = ask_until_refused(alice, 40, room=ROOM, **request_made)
    assert times[0] <= count <= times[1]
    assert error["code"] == "too-fast"
    assert error["seconds"] > 0
    assert "Wait" in error["text"]


@pytest.mark.parametrize(
    ("make_requests", "costs"),
    [
        (lambda step: [{"type": "nick", "name": f"n{step}"}], True),
        (lambda _: [{"type": "leave", "room": ROOM}, {"type": "join", "room": ROOM}], True),
        (lambda _: [{"type": "typing", "room": ROOM}], True),
        (lambda _: [{"type": "say", "room": ROOM, "text": "hi"}], False),
    ],
)
def test_events_for_many_members_cost_budget_but_messages_do_not(
    open_chat: ChatFactory, make_requests: Callable[[int], list[dict[str, Any]]], costs: bool
) -> None:
    guests = open_chat(budgets=Budgets(work=Rate(300, 60)))
    alice = guests.v1("alice", ROOM)
    for number in range(50):
        guests.v1(f"guest{number}", ROOM)
    requests = 0
    for step in range(100):
        for request in make_requests(step):
            if alice.ask(**request)["type"] == "error":
                break
            requests += 1
        else:
            continue
        break
    assert (requests < 30) == costs


def test_searching_for_a_few_allowed_rooms_costs_budget(open_chat: ChatFactory) -> None:
    broker = MemoryBroker()
    for number in range(1000):
        broker.append(Draft(f"room{number}", "bob", "x"), IgnoringPublisher())
    guests = open_chat(broker, access=Access(SECRET), budgets=FEW)
    narrow = guests.v1(path=f"/?token={mint(SECRET, 'alice', rooms=['tea'])}")
    assert ask_until_refused(narrow, 10, type="rooms")[0] == 2
    wide = guests.v1(path=f"/?token={mint(SECRET, 'bob')}")
    assert ask_until_refused(wide, 5, type="rooms", limit=10)[0] == 5


def test_a_long_text_costs_budget(open_chat: ChatFactory) -> None:
    alice = open_chat(budgets=FEW).v1("alice", ROOM)
    assert ask_until_refused(alice, 10, type="say", room=ROOM, text="x" * 30_000)[0] == 1


def test_a_long_text_for_many_members_costs_budget(open_chat: ChatFactory) -> None:
    guests = open_chat(budgets=Budgets(work=Rate(500, 60)))
    alice = guests.v1("alice", ROOM)
    for _ in range(49):
        guests.plain(f"/rooms/{ROOM}")
    assert ask_until_refused(alice, 10, type="say", room=ROOM, text="x" * 60_000)[0] in (1, 2)
    bob = guests.v1("bob", "elsewhere")
    assert ask_until_refused(bob, 10, type="say", room="elsewhere", text="x" * 10_000)[0] == 10


def test_plain_text_clients_cost_nothing_as_they_join(open_chat: ChatFactory) -> None:
    """They get no events about other members, like the clients of the tutorial."""
    guests = open_chat(budgets=few_per_address())
    for number in range(40):
        guests.connect(f"/?name=n{number}")


def test_other_connections_do_not_wait(open_chat: ChatFactory) -> None:
    guests = open_chat(full_of(1000), budgets=FEW)
    alice, bob = guests.v1("alice", ROOM), guests.v1("bob", ROOM)
    assert ask_until_refused(alice, 10, type="history", room=ROOM, limit=1000)[0] < 10
    bob.say("hello")


def test_another_address_does_not_wait(open_chat: ChatFactory) -> None:
    guests = open_chat(full_of(1000), budgets=few_per_address(), server_options={"trusted_proxies": ["127.0.0.1"]})

    def connect(name: str, address: str) -> Client:
        return guests.v1(name, headers={"X-Forwarded-For": address})

    alice, bob, carol = connect("alice", "203.0.113.1"), connect("bob", "203.0.113.1"), connect("carol", "203.0.113.2")
    ask_until_refused(alice, 10, type="history", room=ROOM, limit=1000)
    assert bob.ask(type="who", room=ROOM)["code"] == "too-fast"
    assert carol.ask(type="who", room=ROOM)["type"] == "members"


def test_reconnecting_to_a_room_of_many_is_refused_for_a_while(open_chat: ChatFactory) -> None:
    guests = open_chat(budgets=few_per_address())
    watchers = [guests.v1(f"w{number}") for number in range(20)]
    for watcher in watchers:
        watcher.tell(type="join", room="lobby")
    refused: wschat.OpeningFailed | None = None
    for _ in range(50):
        try:
            guests.connect("/?name=alice").close()
        except wschat.OpeningFailed as error:
            refused = error
            break
        except wschat.ConnectionClosed:
            pass
    assert refused is not None
    assert refused.status == HTTPStatus.TOO_MANY_REQUESTS
    assert int(refused.headers["retry-after"]) > 0


def test_requests_over_http_cost_the_budget_of_the_address() -> None:
    chat = Chat(full_of(1000), budgets=few_per_address())
    here, there = (Request("GET", "/", {}, remote_address=(address, 1)) for address in ("203.0.113.1", "203.0.113.2"))
    for use in (
        lambda caller: list(caller.export(ROOM)),
        lambda caller: caller.run("history", {"room": ROOM, "limit": 1000}),
    ):
        caller = chat.http.identify(here)
        chat.http.count_request(caller)
        use(caller)
        with pytest.raises(Rejected) as caught:
            chat.http.count_request(caller)
        assert caught.value.code == "too-fast"
        chat.http.count_request(chat.http.identify(there))
        here, there = there, Request("GET", "/", {}, remote_address=("203.0.113.3", 1))


# Normal use


def test_a_class_of_thirty_is_not_limited(open_chat: ChatFactory) -> None:
    """All are behind one address, join five rooms each at the same time, and send messages."""
    budgets = Budgets(Rate(10, 1), Rate(10_000, 1), Rate(50_000, 1))
    guests: Guests = open_chat(full_of(200), budgets=budgets)
    pupils = [guests.v1(f"pupil{number}") for number in range(30)]
    for pupil in pupils:
        for room in (ROOM, "lobby", "maths", "music", "sports"):
            pupil.join(room)
    for pupil in pupils:
        pupil.ask(type="history", room=ROOM)
        pupil.say("hello")
    assert pupils[0].ask(type="nick", name="teacher")["type"] == "ack"


def test_a_plain_text_client_is_told_to_wait(open_chat: ChatFactory) -> None:
    ws = open_chat(full_of(1000), budgets=FEW).plain(f"/rooms/{ROOM}")
    for _ in range(3):
        ws.send("/history 1000")
        if str(answer := ws.recv(TIMEOUT)).startswith("Too much"):
            break
    assert answer == "Too much work at once. Wait 7 min. Not sent: /history 1000"
