"""Guests who are known again by a secret: their names are kept for them, and a second device may take over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.test_access import SECRET, token
from tests.chat.wiring import Client, Event, Guests
from tests.connection.wiring import PATIENCE
from wschat.chat import reservations
from wschat.chat.access import Access
from wschat.chat.dialects.v1 import SUBPROTOCOL
from wschat.chat.guest_secrets import is_secret, make_secret

MINE = make_secret()
OTHER = make_secret()


def come(guests: Guests, query: str = "") -> tuple[Client, Event]:
    """A client and its welcome."""
    client = Client(guests.connect(f"/?{query}", subprotocols=[SUBPROTOCOL]))
    return client, client.next("welcome")


def leave(guests: Guests, client: Client, name: str) -> None:
    """End a connection, and wait until its name is not in use any more."""
    watcher = guests.v1("watcher", "watched")
    client.join("watched")
    client.ws.close()
    watcher.next(lambda event: event["type"] == "member" and (event["name"], event["event"]) == (name, "leave"))
    watcher.ws.close()


@contextlib.contextmanager
def ends(client: Client, code: int) -> Iterator[None]:
    """Expect that the connection is closed with this code."""
    yield
    with pytest.raises(wschat.ConnectionClosed) as caught:
        client.next(lambda _: False)
    assert caught.value.code == code
    assert caught.value.reason


# The secret


def test_a_guest_is_given_a_secret(guests: Guests) -> None:
    secrets = {come(guests, query)[1]["secret"] for query in ("", "name=alice", "name=bob")}
    assert len(secrets) == 3
    assert all(is_secret(secret) and len(secret) >= 32 for secret in secrets)


def test_who_brings_a_secret_keeps_it(guests: Guests) -> None:
    assert come(guests, f"secret={MINE}")[1]["secret"] == MINE


@pytest.mark.parametrize("secret", ["", "x", "x" * 21, "x" * 129, "x" * 30 + "%20", "%FF" * 30, "%C3%A9" * 30])
def test_what_is_no_secret_is_exchanged_for_one(guests: Guests, secret: str) -> None:
    given = come(guests, f"secret={secret}")[1]["secret"]
    assert given != secret
    assert is_secret(given)


def test_a_name_that_is_proven_needs_no_secret(open_chat: ChatFactory) -> None:
    guests = open_chat(access=Access(SECRET))
    assert "secret" not in come(guests, f"token={token()}&secret={MINE}")[1]
    guests = open_chat(access=Access(None, {"root": "swordfish"}))
    assert "secret" not in come(guests, f"name=root&password=swordfish&secret={MINE}")[1]


def test_plain_text_says_nothing_of_it(guests: Guests) -> None:
    ws = guests.connect("/?name=alice")
    assert ws.recv(PATIENCE) == "Welcome to the chat!"


@pytest.mark.parametrize("value", ["short", "x" * 30 + "\n", 5, True, ["x" * 30]])
def test_a_nick_with_what_is_no_secret_is_refused(guests: Guests, value: object) -> None:
    error = come(guests)[0].ask(type="nick", name="alice", secret=value)
    assert (error["code"], error["text"].startswith('nick: "secret" must be ')) == ("bad-field", True)


# A name that is kept


@pytest.mark.parametrize("brought", ["opening", "nick"])
def test_the_name_of_a_guest_who_has_left_is_kept(guests: Guests, brought: str) -> None:
    alice, welcome = come(guests, f"secret={MINE}" if brought == "opening" else "")
    secret = welcome["secret"]
    alice.ask(type="nick", name="alice", **({} if brought == "opening" else {"secret": secret}))
    leave(guests, alice, "alice")
    thief, _ = come(guests)
    for fields in ({}, {"secret": OTHER}, {"replace": True}, {"secret": OTHER, "replace": True}):
        error = thief.ask(type="nick", name="ALICE", **fields)
        assert error["code"] == "name-taken"
        assert 290 < error["seconds"] <= 300
        assert "yours" not in error
    with pytest.raises(wschat.ConnectionClosed, match="1008 The name alice is taken"):
        guests.connect("/?name=alice", subprotocols=[SUBPROTOCOL]).recv(PATIENCE)
    assert come(guests, f"name=alice&secret={secret}")[1]["name"] == "alice"


def test_a_name_is_kept_from_those_who_have_another_one_already(guests: Guests) -> None:
    alice, _ = come(guests, f"name=alice&secret={MINE}")
    leave(guests, alice, "alice")
    bob, _ = come(guests, "name=bob")
    assert bob.ask(type="nick", name="alice")["code"] == "name-taken"
    assert bob.ask(type="nick", name="alice", secret=MINE)["type"] == "ack"


def test_a_name_is_kept_from_those_in_plain_text_and_over_http_too(guests: Guests) -> None:
    leave(guests, come(guests, f"name=alice&secret={MINE}")[0], "alice")
    bob = guests.plain()
    bob.send("/nick alice")
    assert str(bob.recv(PATIENCE)).startswith("The name alice is taken")
    back = guests.connect(f"/?name=alice&secret={MINE}")
    assert back.recv(PATIENCE) == "Welcome to the chat!"


def test_after_a_while_a_name_is_free(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "SECONDS_RESERVED", 0.0)
    leave(guests, come(guests, f"name=alice&secret={MINE}")[0], "alice")
    assert come(guests)[0].ask(type="nick", name="alice")["type"] == "ack"


@pytest.mark.parametrize("query", ["name=alice", "name=alice&secret=short"])
def test_who_brings_no_secret_has_the_name_back_at_once_and_so_has_anybody(guests: Guests, query: str) -> None:
    """A script that is started again, and the page of before: they come by their name, and know nothing of secrets."""
    leave(guests, come(guests, query)[0], "alice")
    assert come(guests, query)[1]["name"] == "alice"


def test_a_name_that_was_given_up_is_free(guests: Guests) -> None:
    alice, _ = come(guests, f"name=alice&secret={MINE}")
    alice.ask(type="nick", name="bob")
    assert come(guests)[0].ask(type="nick", name="alice")["type"] == "ack"


# A name that is in use


def test_the_name_of_another_guest_stays_theirs(guests: Guests) -> None:
    come(guests, f"name=alice&secret={MINE}")
    late, _ = come(guests, f"secret={OTHER}")
    error = late.ask(type="nick", name="alice", replace=True)
    assert (error["code"], error.get("yours")) == ("name-taken", None)


def test_a_second_device_is_told_that_the_name_is_its_own(guests: Guests) -> None:
    come(guests, f"name=alice&secret={MINE}")
    late, _ = come(guests, f"secret={MINE}")
    for fields in ({}, {"replace": False}):
        error = late.ask(type="nick", name="Alice", **fields)
        assert (error["code"], error["yours"]) == ("name-taken", True)
    ws = guests.connect(f"/?name=alice&secret={MINE}", subprotocols=[SUBPROTOCOL])
    told = json.loads(ws.recv(PATIENCE))
    assert (told["type"], told["code"], told["yours"]) == ("error", "name-taken", True)
    with pytest.raises(wschat.ConnectionClosed, match="1008 The name alice is taken"):
        ws.recv(PATIENCE)


def test_a_second_device_takes_over(guests: Guests) -> None:
    bob = guests.v1("bob", "tea")
    laptop, welcome = come(guests)
    laptop.ask(type="nick", name="alice", secret=welcome["secret"])
    laptop.join("tea")
    phone, _ = come(guests, f"secret={welcome['secret']}")
    with ends(laptop, 4001):
        assert phone.ask(type="nick", name="alice", replace=True)["type"] == "ack"
        assert laptop.next("error")["code"] == "replaced"
    phone.join("tea")
    phone.say("it is still me")
    assert bob.next("message")["from"] == "alice"
    assert bob.ask(type="who", room="tea")["members"] == ["bob", "alice"]
    # What became of the first one does not end the second.
    assert come(guests)[0].ask(type="nick", name="alice")["code"] == "name-taken"


def test_an_opening_takes_over(guests: Guests) -> None:
    for subprotocols in ([SUBPROTOCOL], []):
        old = Client(guests.connect(f"/?name=alice&secret={MINE}&replace=1", subprotocols=[SUBPROTOCOL]))
        old.next("welcome")
        with ends(old, 4001):
            guests.connect(f"/?name=alice&secret={MINE}&replace=1", subprotocols=subprotocols).recv(PATIENCE)
            assert old.next("error")["code"] == "replaced"


def test_who_is_replaced_is_told_in_plain_text_as_well(guests: Guests) -> None:
    old = guests.plain(f"/?name=alice&secret={MINE}")
    come(guests, f"name=alice&secret={MINE}&replace=1")
    assert old.recv(PATIENCE) == "Another connection of yours has taken over this name."
    with pytest.raises(wschat.ConnectionClosed, match="4001 another connection has taken over"):
        old.recv(PATIENCE)


def test_a_guest_with_two_names_may_make_them_one(guests: Guests) -> None:
    one, _ = come(guests, f"name=alice&secret={MINE}")
    other, _ = come(guests, f"name=bob&secret={MINE}")
    one.join("tea")
    other.join("tea")
    assert other.ask(type="nick", name="alice")["yours"]
    with ends(one, 4001):
        assert other.ask(type="nick", name="alice", replace=True)["type"] == "ack"
    assert other.ask(type="who", room="tea")["members"] == ["alice"]
    assert come(guests)[0].ask(type="nick", name="bob")["type"] == "ack"


def test_a_name_is_kept_when_the_device_that_took_over_leaves(guests: Guests) -> None:
    come(guests, f"name=alice&secret={MINE}")
    phone, _ = come(guests, f"name=alice&secret={MINE}&replace=1")
    leave(guests, phone, "alice")
    assert come(guests)[0].ask(type="nick", name="alice")["code"] == "name-taken"
    assert come(guests, f"name=alice&secret={MINE}")[1]["name"] == "alice"
