"""A chat that requires tokens, as clients see it."""

from __future__ import annotations

import time
from http import HTTPStatus

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from tests.protocol.wire import CLOSE, TEXT, frame
from tests.server.raw import Raw
from tests.server.raw import request as opening
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.tokens import LEEWAY_SECONDS, mint
from wschat.v1 import SUBPROTOCOL

SECRET = b"a secret that is long enough for HS256"


@pytest.fixture
def chat(open_chat: ChatFactory) -> Guests:
    return open_chat(MemoryBroker(), access=Access(SECRET))


def path_of(token: str, path: str = "/") -> str:
    return f"{path}?token={token}"


def test_connections_without_a_valid_token_are_refused(chat: Guests) -> None:
    for path in ("/", "/?name=alice", path_of("not-a-token"), path_of(mint(b"x" * 32, "alice"))):
        with pytest.raises(wschat.OpeningFailed) as failed:
            chat.connect(path)
        assert failed.value.status == HTTPStatus.UNAUTHORIZED
        assert failed.value.headers["www-authenticate"].startswith("Bearer ")


def test_the_name_of_a_token_cannot_be_changed(chat: Guests) -> None:
    alice = chat.v1(path=path_of(mint(SECRET, "alice")) + "&name=bob", room="tea")
    assert alice.ask(type="who", room="tea")["members"] == ["alice"]
    assert alice.ask(type="nick", name="bob")["code"] == "forbidden"


def test_a_token_can_be_sent_in_three_ways(chat: Guests) -> None:
    alice, bob, carol = mint(SECRET, "alice"), mint(SECRET, "bob"), mint(SECRET, "carol")
    chat.v1(headers={"Authorization": f"Bearer {alice}"}, path="/", room="tea")
    chat.v1(cookies={"other": "1", "wschat_token": bob}, path="/", room="tea")
    last = chat.v1(path=path_of(carol), room="tea")
    assert last.ask(type="who", room="tea")["members"] == ["alice", "bob", "carol"]


def test_two_connections_with_one_token_are_one_member(chat: Guests) -> None:
    token = mint(SECRET, "alice")
    first, second = (chat.v1(path=path_of(token), room="tea") for _ in range(2))
    bob = chat.v1(path=path_of(mint(SECRET, "bob")), room="tea")
    assert bob.ask(type="who", room="tea")["members"] == ["alice", "bob"]
    bob.ask(type="whisper", to="alice", text="to both")
    assert first.next("whisper")["text"] == second.next("whisper")["text"] == "to both"
    first.ask(type="leave", room="tea")
    assert bob.ask(type="who", room="tea")["members"] == ["alice", "bob"]
    second.ask(type="leave", room="tea")
    events = [event for event in bob.seen() if event["type"] == "member"]
    assert events == [{"type": "member", "room": "tea", "name": "alice", "event": "leave"}]


def test_the_same_id_from_two_connections_of_one_user_is_one_message(chat: Guests) -> None:
    token = mint(SECRET, "alice")
    first, second = (chat.v1(path=path_of(token), room="tea") for _ in range(2))
    assert first.say("once", id="x") == second.say("once", id="x") == 1


def test_the_room_patterns_of_a_token_apply_to_every_request(chat: Guests) -> None:
    alice = chat.v1(path=path_of(mint(SECRET, "alice", rooms=["tea*", "Lobby"])))
    alice.join("tea-2")
    alice.join("TEA")
    for request in (
        {"type": "join"},
        {"type": "say", "text": "hi"},
        {"type": "typing"},
        {"type": "who"},
        {"type": "history"},
        {"type": "leave"},
        {"type": "kick", "name": "bob"},
    ):
        assert alice.ask(room="coffee", **request)["code"] == "forbidden"
    unlimited = chat.v1(path=path_of(mint(SECRET, "bob")), room="coffee")
    unlimited.say("secret", "coffee")
    assert [room["room"] for room in alice.ask(type="rooms")["rooms"]] == ["tea", "tea-2"]


def test_plain_text_clients_are_refused_in_rooms_outside_their_patterns(chat: Guests) -> None:
    token = mint(SECRET, "alice", rooms=["tea"])
    with pytest.raises(wschat.OpeningFailed) as failed:
        chat.connect(path_of(token))
    assert failed.value.status == HTTPStatus.FORBIDDEN
    alice = chat.plain(path_of(token, "/rooms/tea"))
    alice.send("/join lobby")
    assert alice.recv(TIMEOUT) == "You have no access to lobby."


@pytest.mark.parametrize("offered", ["wschat.v10", "xwschat.v1", "other"])
def test_another_subprotocol_does_not_bypass_the_room_patterns(chat: Guests, offered: str) -> None:
    token = mint(SECRET, "eve", rooms=["public*"])
    with pytest.raises(wschat.OpeningFailed) as failed:
        chat.connect(path_of(token, "/rooms/secret"), subprotocols=[offered])
    assert failed.value.status == HTTPStatus.FORBIDDEN


def test_a_moderators_token_moderates_the_rooms_of_its_patterns(chat: Guests) -> None:
    moderator = chat.v1(path=path_of(mint(SECRET, "mo", rooms=["tea"], is_moderator=True)), room="tea")
    bob = chat.v1(path=path_of(mint(SECRET, "bob")), room="tea")
    bob.join("coffee")
    assert moderator.ask(type="kick", room="tea", name="bob")["type"] == "ack"
    assert moderator.ask(type="kick", room="coffee", name="bob")["code"] == "forbidden"


def test_op_of_a_proven_name_survives_a_reconnect(chat: Guests) -> None:
    moderator = chat.v1(path=path_of(mint(SECRET, "mo", is_moderator=True)), room="tea")
    token = mint(SECRET, "alice")
    alice, bob = chat.v1(path=path_of(token), room="tea"), chat.v1(path=path_of(mint(SECRET, "bob")), room="tea")
    moderator.ask(type="op", room="tea", name="alice")
    alice.ws.close()
    again = chat.v1(path=path_of(token), room="tea")
    assert again.ask(type="kick", room="tea", name="bob")["type"] == "ack"
    assert bob.next("notice")["text"] == "alice removed you from tea."


def test_requests_after_the_token_has_expired_are_ignored(chat: Guests) -> None:
    reader = chat.v1(path=path_of(mint(SECRET, "reader")), room="tea")
    token = mint(SECRET, "alice", expires_at=time.time() - LEEWAY_SECONDS + 1)
    with Raw.to(chat.server) as raw:
        assert raw.ask(opening(target=path_of(token), headers={"Sec-WebSocket-Protocol": SUBPROTOCOL})).status == 101
        raw.send(frame(TEXT, b'{"type":"join","room":"tea"}', masked=True))
        while raw.frame()[0] != CLOSE:
            pass
        raw.send(frame(TEXT, b'{"type":"say","room":"tea","text":"too late"}', masked=True))
        raw.rest()
    assert reader.next(lambda event: event.get("event") == "leave")["name"] == "alice"
    assert reader.ask(type="history", room="tea")["messages"] == []


def test_a_connection_is_closed_when_its_token_expires(chat: Guests) -> None:
    token = mint(SECRET, "alice", expires_at=time.time() - LEEWAY_SECONDS + 2)
    with chat.connect(path_of(token), subprotocols=[SUBPROTOCOL]) as ws:
        assert ws.recv(TIMEOUT)
        with pytest.raises(wschat.ConnectionClosed) as closed:
            ws.recv(TIMEOUT)
    assert (closed.value.code, closed.value.reason) == (1008, "the token has expired")
    with pytest.raises(wschat.OpeningFailed):
        chat.connect(path_of(token))
