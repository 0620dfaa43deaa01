"""The action `ping`."""

from __future__ import annotations

from tests.chat.actions.examples import Example
from tests.chat.wiring import Guests
from wschat.chat.actions.ping import Ping

EXAMPLE = Example({}, Ping(), {}, Ping())


def test_the_reply_is_a_pong_with_the_id_and_needs_no_name(guests: Guests) -> None:
    assert guests.v1().ask(type="ping", id=7) == {"type": "pong", "id": 7}


def test_a_ping_without_an_id_has_a_reply_too(guests: Guests) -> None:
    client = guests.v1()
    client.tell(type="ping")
    assert client.next("pong") == {"type": "pong"}


def test_the_pong_comes_after_the_replies_to_earlier_requests(guests: Guests) -> None:
    client = guests.v1("alice", "tea")
    client.tell(type="say", room="tea", text="hi", id="s")
    client.tell(type="ping", id="p")
    assert client.next(lambda event: event.get("id") in ("s", "p"))["type"] == "ack"
