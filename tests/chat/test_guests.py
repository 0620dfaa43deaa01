"""Guests with a secret: their names are reserved for them, and a second device can take over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.test_access import SECRET, token
from tests.chat.wiring import Client, Event, Guests
from tests.concurrency import TIMEOUT
from wschat.chat import reservations
from wschat.chat.access import Access
from wschat.chat.guest_secrets import is_secret, make_secret
from wschat.v1 import SUBPROTOCOL

MINE = make_secret()
OTHER = make_secret()


def connect(guests: Guests, query: str = "") -> tuple[Client, Event]:
    """Connect a client. Return it and its welcome."""
    client = Client(guests.connect(f"/?{query}", subprotocols=[SUBPROTOCOL]))
    return client, client.next("welcome")


def disconnect(guests: Guests, client: Client, name: str) -> None:
    """Close a connection, as a browser does that leaves the page, and wait until its name is no longer in use."""
    watcher = guests.v1("watcher", "watched")
    client.join("watched")
    client.ws.close(1001)
    watcher.next(lambda event: event["type"] == "member" and (event["name"], event["event"]) == (name, "leave"))
    watcher.ws.close()


@contextlib.contextmanager
def ends(client: Client, code: int) -> Iterator[None]:
    """Expect the connection to be closed with this code."""
    yield
    with pytest.raises(wschat.ConnectionClosed) as caught:
        client.next(lambda _: False)
    assert caught.value.code == code
    assert caught.value.reason


def test_a_name_is_free_once_its_connection_is_closed(guests: Guests) -> None:
    for _ in range(200):
        client = Client(guests.connect("/?name=alice", subprotocols=[SUBPROTOCOL]))
        assert client.next("welcome")["name"] == "alice"
        client.join("tea")
        client.ws.close()


# The secret


def test_a_guest_gets_a_secret(guests: Guests) -> None:
    secrets = {connect(guests, query)[1]["secret"] for query in ("", "name=alice", "name=bob")}
    assert len(secrets) == 3
    assert all(is_secret(secret) and len(secret) >= 32 for secret in secrets)


def test_a_guest_that_sends_a_secret_keeps_it(guests: Guests) -> None:
    assert connect(guests, f"secret={MINE}")[1]["secret"] == MINE


@pytest.mark.parametrize("secret", ["", "x", "x" * 21, "x" * 129, "x" * 30 + "%20", "%FF" * 30, "%C3%A9" * 30])
def test_an_invalid_secret_is_replaced_by_a_new_one(guests: Guests, secret: str) -> None:
    given = connect(guests, f"secret={secret}")[1]["secret"]
    assert given != secret
    assert is_secret(given)


def test_a_user_with_a_proven_name_gets_no_secret(open_chat: ChatFactory) -> None:
    guests = open_chat(access=Access(SECRET))
    assert "secret" not in connect(guests, f"token={token()}&secret={MINE}")[1]
    guests = open_chat(access=Access(None, {"root": "swordfish"}))
    assert "secret" not in connect(guests, f"name=root&password=swordfish&secret={MINE}")[1]


def test_a_plain_text_client_gets_no_secret(guests: Guests) -> None:
    ws = guests.connect("/?name=alice")
    assert ws.recv(TIMEOUT) == "Welcome to the chat!"


@pytest.mark.parametrize("value", ["short", "x" * 30 + "\n", 5, True, ["x" * 30]])
def test_a_nick_with_an_invalid_secret_is_refused(guests: Guests, value: object) -> None:
    error = connect(guests)[0].ask(type="nick", name="alice", secret=value)
    assert (error["code"], error["text"].startswith('nick: "secret" must be ')) == ("bad-field", True)


# Reserved names


@pytest.mark.parametrize("sent_with", ["opening", "nick"])
def test_the_name_of_a_guest_that_has_disconnected_is_reserved(guests: Guests, sent_with: str) -> None:
    alice, welcome = connect(guests, f"secret={MINE}" if sent_with == "opening" else "")
    secret = welcome["secret"]
    alice.ask(type="nick", name="alice", **({} if sent_with == "opening" else {"secret": secret}))
    disconnect(guests, alice, "alice")
    thief, _ = connect(guests)
    for fields in ({}, {"secret": OTHER}, {"replace": True}, {"secret": OTHER, "replace": True}):
        error = thief.ask(type="nick", name="ALICE", **fields)
        assert error["code"] == "name-taken"
        assert 290 < error["seconds"] <= 300
        assert "yours" not in error
    with pytest.raises(wschat.ConnectionClosed, match="1008 The name alice is taken"):
        guests.connect("/?name=alice", subprotocols=[SUBPROTOCOL]).recv(TIMEOUT)
    assert connect(guests, f"name=alice&secret={secret}")[1]["name"] == "alice"


def test_a_reserved_name_is_refused_to_guests_with_another_name(guests: Guests) -> None:
    alice, _ = connect(guests, f"name=alice&secret={MINE}")
    disconnect(guests, alice, "alice")
    bob, _ = connect(guests, "name=bob")
    assert bob.ask(type="nick", name="alice")["code"] == "name-taken"
    assert bob.ask(type="nick", name="alice", secret=MINE)["type"] == "ack"


def test_a_reserved_name_is_refused_to_plain_text_clients(guests: Guests) -> None:
    disconnect(guests, connect(guests, f"name=alice&secret={MINE}")[0], "alice")
    bob = guests.plain()
    bob.send("/nick alice")
    assert str(bob.recv(TIMEOUT)).startswith("The name alice is taken")
    back = guests.connect(f"/?name=alice&secret={MINE}")
    assert back.recv(TIMEOUT) == "Welcome to the chat!"


def test_a_reservation_ends_after_a_while(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "SECONDS_RESERVED", 0.0)
    disconnect(guests, connect(guests, f"name=alice&secret={MINE}")[0], "alice")
    assert connect(guests)[0].ask(type="nick", name="alice")["type"] == "ack"


@pytest.mark.parametrize("query", ["name=alice", "name=alice&secret=short"])
def test_the_name_of_a_guest_without_a_secret_is_free_at_once(guests: Guests, query: str) -> None:
    """A script that is restarted sends its name, but no secret."""
    disconnect(guests, connect(guests, query)[0], "alice")
    assert connect(guests, query)[1]["name"] == "alice"


def test_a_guest_that_closes_with_1000_releases_its_name(guests: Guests) -> None:
    """A script with a ChatClient can be run again at once."""
    for secret in (MINE, OTHER):
        alice, welcome = connect(guests, f"name=alice&secret={secret}")
        assert welcome["name"] == "alice"
        alice.ws.close()


def test_a_name_that_a_guest_has_changed_is_free(guests: Guests) -> None:
    alice, _ = connect(guests, f"name=alice&secret={MINE}")
    alice.ask(type="nick", name="bob")
    assert connect(guests)[0].ask(type="nick", name="alice")["type"] == "ack"


# Names in use


def test_a_name_in_use_is_refused_to_guests_with_another_secret(guests: Guests) -> None:
    connect(guests, f"name=alice&secret={MINE}")
    late, _ = connect(guests, f"secret={OTHER}")
    error = late.ask(type="nick", name="alice", replace=True)
    assert (error["code"], error.get("yours")) == ("name-taken", None)


def test_a_second_device_is_told_that_the_name_is_its_own(guests: Guests) -> None:
    connect(guests, f"name=alice&secret={MINE}")
    late, _ = connect(guests, f"secret={MINE}")
    for fields in ({}, {"replace": False}):
        error = late.ask(type="nick", name="Alice", **fields)
        assert (error["code"], error["yours"]) == ("name-taken", True)
    ws = guests.connect(f"/?name=alice&secret={MINE}", subprotocols=[SUBPROTOCOL])
    reply = json.loads(ws.recv(TIMEOUT))
    assert (reply["type"], reply["code"], reply["yours"]) == ("error", "name-taken", True)
    with pytest.raises(wschat.ConnectionClosed, match="1008 The name alice is taken"):
        ws.recv(TIMEOUT)


def test_a_second_device_takes_over(guests: Guests) -> None:
    bob = guests.v1("bob", "tea")
    laptop, welcome = connect(guests)
    laptop.ask(type="nick", name="alice", secret=welcome["secret"])
    laptop.join("tea")
    phone, _ = connect(guests, f"secret={welcome['secret']}")
    with ends(laptop, 4001):
        assert phone.ask(type="nick", name="alice", replace=True)["type"] == "ack"
        assert laptop.next("error")["code"] == "replaced"
    phone.join("tea")
    phone.say("it is still me")
    assert bob.next("message")["from"] == "alice"
    assert bob.ask(type="who", room="tea")["members"] == ["bob", "alice"]
    # The end of the first connection does not end the second.
    assert connect(guests)[0].ask(type="nick", name="alice")["code"] == "name-taken"


def test_an_opening_request_can_take_over(guests: Guests) -> None:
    for subprotocols in ([SUBPROTOCOL], []):
        old = Client(guests.connect(f"/?name=alice&secret={MINE}&replace=1", subprotocols=[SUBPROTOCOL]))
        old.next("welcome")
        with ends(old, 4001):
            guests.connect(f"/?name=alice&secret={MINE}&replace=1", subprotocols=subprotocols).recv(TIMEOUT)
            assert old.next("error")["code"] == "replaced"


def test_a_plain_text_client_is_told_that_it_was_replaced(guests: Guests) -> None:
    old = guests.plain(f"/?name=alice&secret={MINE}")
    connect(guests, f"name=alice&secret={MINE}&replace=1")
    assert old.recv(TIMEOUT) == "Another connection of yours has taken over this name."
    with pytest.raises(wschat.ConnectionClosed, match="4001 another connection has taken over"):
        old.recv(TIMEOUT)


def test_a_guest_can_take_over_its_own_other_name(guests: Guests) -> None:
    one, _ = connect(guests, f"name=alice&secret={MINE}")
    other, _ = connect(guests, f"name=bob&secret={MINE}")
    one.join("tea")
    other.join("tea")
    assert other.ask(type="nick", name="alice")["yours"]
    with ends(one, 4001):
        assert other.ask(type="nick", name="alice", replace=True)["type"] == "ack"
    assert other.ask(type="who", room="tea")["members"] == ["alice"]
    assert connect(guests)[0].ask(type="nick", name="bob")["type"] == "ack"


def test_the_name_is_reserved_when_the_device_that_took_over_disconnects(guests: Guests) -> None:
    connect(guests, f"name=alice&secret={MINE}")
    phone, _ = connect(guests, f"name=alice&secret={MINE}&replace=1")
    disconnect(guests, phone, "alice")
    assert connect(guests)[0].ask(type="nick", name="alice")["code"] == "name-taken"
    assert connect(guests, f"name=alice&secret={MINE}")[1]["name"] == "alice"
