"""The events that a slow caller gets if the client receives more than it can hold."""

from __future__ import annotations

from tests.chat.wiring import Guests
from tests.client.chat.conftest import ClientFactory
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import url_of
from wschat.events import Dropped, Event, MessageEvent


def test_a_slow_caller_gets_each_message_once_and_in_order(guests: Guests, start_client: ClientFactory) -> None:
    talker = guests.v1("bob", "tea")
    client = start_client(url_of(guests.server), rooms=["tea"], max_events=10)
    eventually(lambda: client.connected)
    for number in range(200):
        talker.say(f"{number}")
    received: list[Event] = []
    while len(received) < 200:
        event = client.recv(TIMEOUT)
        assert len(client._inbox._events) <= 10
        if isinstance(event, MessageEvent):
            received.append(event)
    assert [event.seq for event in received if isinstance(event, MessageEvent)] == list(range(1, 201))


def test_a_slow_caller_gets_the_number_of_dropped_events(guests: Guests, start_client: ClientFactory) -> None:
    client = start_client(url_of(guests.server), rooms=["tea"], max_events=4)
    eventually(lambda: client.connected)
    others = [guests.v1(f"guest{number}", "tea") for number in range(6)]  # 4 of which do not fit, besides welcome and joined
    others[0].say("Hello!")
    eventually(lambda: client._inbox._events._dropped == 4)
    received: list[Event] = []
    while not received or not isinstance(received[-1], MessageEvent):
        received.append(client.recv(TIMEOUT))
    kinds = [type(event).__name__ for event in received]
    assert kinds == ["Welcome", "Joined", "MemberEvent", "MemberEvent", "Dropped", "MessageEvent"]
    assert received[-2] == Dropped(4)


def test_a_caller_that_takes_no_events_can_still_send(guests: Guests, start_client: ClientFactory) -> None:
    client = start_client(url_of(guests.server), rooms=["tea"], max_events=2)
    assert [client.say("tea", f"{number}") for number in range(50)] == list(range(1, 51))
    assert len(client._inbox._events) == 2
