"""The HTTP API: every call and every error, with the same rules as for WebSocket clients."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.concurrency import TIMEOUT, eventually
from tests.web.wiring import Answer, OpenWeb, Web, plain
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.budgets import Budgets
from wschat.chat.fields import MAX_MESSAGES
from wschat.chat.rates import Rate
from wschat.chat.tokens import mint
from wschat.web.api import CALLS

SECRET = b"a secret that is long enough for HS256"
ROOT = Access(moderators={"root": "sesame"})
READABLE = sorted({what for what, method in CALLS if what and method == "GET"})
"""The last parts of the paths for reading from a room."""
PROXIED = {"server_options": {"trusted_proxies": ["127.0.0.1"]}}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def bearer(name: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint(SECRET, name, **claims)}"}


@pytest.fixture
def secured(open_web: OpenWeb) -> Web:
    """A chat that requires tokens."""
    return open_web(access=Access(SECRET))


# Posting messages


def test_a_post_returns_the_message(web: Web) -> None:
    before = time.time()
    answer = web.post("hello", name="alice")
    assert answer.status == 201
    message = answer.json
    assert before - 1 < message.pop("time") < time.time() + 1
    assert message == {"room": "tea", "seq": 1, "from": "alice", "text": "hello"}


def test_a_post_without_a_name_is_from_server(web: Web) -> None:
    assert web.post("hello").json["from"] == "Server"


def test_a_posted_message_reaches_connected_clients(web: Web) -> None:
    bob, plain_client = web.guests.v1("bob", "tea"), web.guests.plain("/rooms/tea")
    posted = web.post("hello\nworld", name="alice").json
    assert bob.next("message") == {"type": "message", **posted}
    assert plain_client.recv(TIMEOUT) == "alice: hello\nworld"


def test_messages_of_connected_clients_can_be_read(web: Web) -> None:
    bob, plain_client = web.guests.v1("bob", "tea"), web.guests.plain("/rooms/tea")
    bob.say("one")
    plain_client.send("two")
    assert plain_client.recv(TIMEOUT) == "bob: one"
    assert plain_client.recv(TIMEOUT) == "Server: two"
    messages = web.get("/api/rooms/tea/messages").json["messages"]
    assert [(message["seq"], message["from"], message["text"]) for message in messages] == [(1, "bob", "one"), (2, "Server", "two")]


@pytest.mark.parametrize("text", ["/nick bob", "/me waves", "//x", "/help", " x ", "<script>", "😀\u2028\0"])
def test_a_posted_text_is_never_a_command(web: Web, text: str) -> None:
    assert web.post(text).json["text"] == text
    assert web.texts() == [text]


def test_names_of_rooms_are_normalized(web: Web) -> None:
    assert web.post("x", "TEA").json["room"] == "tea"
    assert web.post("x", "t%C3%A9").json["room"] == "té"
    assert web.get("/api/rooms/Tea/messages").json["room"] == "tea"


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "bad-request"),
    (b"{", "bad-request"),
    (b"[]", "bad-request"),
    (b'"text"', "bad-request"),
    (b"\xff", "bad-request"),
    (b"[" * 60_000, "bad-request"),
    (b'{"text": ' + b"1" * 5000 + b"}", "bad-request"),
    (b"{}", "bad-field"),
    (b'{"text": null}', "bad-field"),
    (b'{"text": ""}', "bad-field"),
    (b'{"text": "  "}', "bad-field"),
    (b'{"text": 1}', "bad-field"),
    (b'{"text": "\\ud800"}', "bad-field"),
    (b'{"text": "x", "id": {}}', "bad-field"),
    (b'{"text": "x", "id": "' + b"x" * 129 + b'"}', "bad-field"),
    (b'{"text": "x", "name": "a b"}', "bad-field"),
    (b'{"text": "x", "name": 5}', "bad-field"),
    (b'{"text": "x", "name": "\\ud800"}', "bad-field"),
    (b'{"text": "x", "more": 1}', "bad-field"),
]


@pytest.mark.parametrize(("body", "code"), BAD_BODIES, ids=[body.decode("latin-1")[:40] for body, _ in BAD_BODIES])
def test_an_invalid_message_is_a_bad_request(web: Web, body: bytes, code: str) -> None:
    answer = web.ask("POST", "/api/rooms/tea/messages", body)
    assert (answer.status, answer.code) == (400, code)
    assert web.texts() == []


def test_a_post_without_any_body_is_a_bad_request(web: Web) -> None:
    """As `curl -X POST` sends it."""
    answer = web.connect().call(plain("POST", "/api/rooms/tea/messages"))
    assert (answer.status, answer.code) == (400, "bad-request")


def test_a_text_above_the_limit_is_refused(web: Web) -> None:
    answer = web.post("x" * 65 * 1024)
    assert (answer.status, answer.code) == (413, "too-large")
    assert web.post("x" * 60 * 1024).status == 201


# Ids


def test_posts_with_the_same_id_are_one_message(web: Web) -> None:
    first = web.post("hello", id="a", name="alice")
    again = web.post("hello", id="a", name="alice")
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert web.texts() == ["hello"]


@pytest.mark.parametrize("key", ["a-1", '"a-1"'])
def test_the_id_may_be_the_header_idempotency_key(web: Web, key: str) -> None:
    assert web.post("hello", headers={"Idempotency-Key": key}).status == 201
    assert web.post("hello", id="a-1").status == 200
    assert web.post("hello", id="a-1", headers={"Idempotency-Key": key}).status == 200
    assert web.post("hello", id=None, headers={"Idempotency-Key": key}).status == 200
    assert web.post("nothing", headers={"Idempotency-Key": '""'}).code == "bad-request"
    assert web.post("42", id=42, headers={"Idempotency-Key": "42"}).status == 201
    assert web.post("x", query="?id=x").code == "bad-field"
    answer = web.post("hello", id="b", headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad-request")


def test_an_id_that_is_a_number_is_the_same_id_in_a_header(web: Web) -> None:
    key = {"Idempotency-Key": "1"}
    assert web.post("one", id=1, headers=key).status == 201
    for again in (web.post("one", headers=key), web.post("one", id=1, headers=key), web.post("one", id="1")):
        assert again.status == 200
    assert web.texts() == ["one"]


@pytest.mark.parametrize(("given", "key"), [(True, "True"), (1.0, "1.0"), (["a"], "['a']")])
def test_an_invalid_id_with_a_header_is_a_bad_request(web: Web, given: object, key: str) -> None:
    answer = web.post("hello", id=given, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, "bad-field")


def test_the_same_id_with_another_text_is_a_conflict(web: Web) -> None:
    web.post("hello", id="a")
    answer = web.post("good-bye", id="a")
    assert (answer.status, answer.code) == (409, "id-used")
    assert web.post("good-bye", id="a", name="alice").status == 201  # the id of another user
    assert web.post("good-bye", "coffee", id="a").status == 201  # the same id in another room
    assert web.texts() == ["hello", "good-bye"]


def test_a_message_sent_by_websocket_is_not_repeated_by_a_post_with_its_id(web: Web) -> None:
    alice = web.guests.v1("alice", "tea")
    assert alice.say("hello", id="a") == 1
    alice.ws.close()
    while (answer := web.post("hello", id="a", name="alice")).status == 409:  # until the server has noticed the disconnect
        assert answer.code == "name-taken"
    assert (answer.status, answer.json["seq"], answer.json["text"]) == (200, 1, "hello")


def test_concurrent_posts_with_one_id_are_one_message(web: Web) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: web.post("hello", id="a"), range(40)))
    assert {answer.json["seq"] for answer in answers} == {1}
    assert {answer.status for answer in answers} <= {200, 201}
    assert web.texts() == ["hello"]


# Identity


def test_a_guest_may_give_its_name_in_the_body_or_the_query(web: Web) -> None:
    assert web.post("x", name="alice").json["from"] == "alice"
    assert web.post("x", query="?name=alice").json["from"] == "alice"
    assert web.post("x", query="?name=alice", name="ALICE").json["from"] == "alice"
    assert web.post("x", query="?name=alice", headers=basic("team", "for the proxy")).json["from"] == "alice"
    assert web.post("x", query="?name=alice", name="bob").json["from"] == "bob"


def test_a_taken_name_is_refused(web: Web) -> None:
    web.guests.v1("alice")
    for answer in (web.post("x", name="Alice"), web.post("x", query="?name=alice")):
        assert (answer.status, answer.code) == (409, "name-taken")
    assert web.get("/api/rooms/tea/messages", name="alice").status == 200  # reading needs no name


def test_a_guest_may_post_by_its_name_with_its_secret(web: Web) -> None:
    secret = "a" * 32
    guest = web.guests.v1(path=f"/?name=alice&secret={secret}")
    assert web.post("x", query=f"?name=alice&secret={secret}").json["from"] == "alice"
    assert web.post("x", query=f"?secret={secret}", name="alice").json["from"] == "alice"
    assert web.post("x", query=f"?name=alice&secret={'b' * 32}").code == "name-taken"
    watcher = web.guests.v1("bob", "tea")
    guest.join("tea")
    guest.ws.close(1001)  # as a page that is left; 1000 would release the name
    watcher.next(lambda event: event.get("event") == "leave")
    eventually(
        lambda: "retry-after" in web.post("x", name="alice").headers
    )  # the session leaves its rooms first, then its name is reserved
    answer = web.post("x", name="alice")
    assert (answer.status, answer.code, int(answer.headers["retry-after"]) > 200) == (409, "name-taken", True)
    assert web.post("x", query=f"?name=alice&secret={secret}").json["from"] == "alice"


@pytest.mark.parametrize(("name", "status"), [("server", 403), ("Server", 403)])
def test_the_name_server_is_reserved(web: Web, name: str, status: int) -> None:
    assert web.post("x", name=name).status == status
    assert web.get("/api/rooms", name=name).status == 400


def test_the_name_of_a_moderator_needs_the_password(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT)
    assert (web.post("x", name="root").status, web.post("x", name="root").code) == (403, "forbidden")
    for headers in ({}, basic("root", "wrong")):
        answer = web.post("x", query="?name=root" if not headers else "", headers=headers)
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Basic ")
    assert web.post("x", query="?name=root&password=sesame").json["from"] == "root"
    assert web.post("x", headers=basic("root", "sesame")).json["from"] == "root"
    assert web.post("x", headers=basic("root", "sesame"), name="root").status == 201
    assert web.post("x", headers=basic("root", "sesame"), name="bob").status == 403
    web.guests.v1(path="/?name=root&password=sesame")
    assert web.post("x", headers=basic("root", "sesame")).status == 201  # a moderator may have several sessions


def test_an_invalid_authorization_header_is_ignored(web: Web) -> None:
    assert web.ask("GET", "/api/rooms", headers={"Authorization": "Basic ???"}).status == 200


def test_a_chat_with_tokens_requires_one_for_every_call(secured: Web) -> None:
    for path in ("/api/rooms", *(f"/api/rooms/tea/{what}" for what in READABLE)):
        for headers in ({}, {"Authorization": "Bearer invalid"}, bearer("alice", expires_at=time.time() - 60)):
            answer = secured.ask("GET", path, headers=headers)
            assert (answer.status, answer.code) == (401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert secured.post("x").status == 401
    assert secured.ask("GET", "/").status == 200  # the page asks for the token


def test_a_token_gives_the_name(secured: Web) -> None:
    headers = bearer("alice")
    assert secured.post("x", headers=headers).json["from"] == "alice"
    assert secured.post("x", headers=headers, name="alice").status == 201
    assert (secured.post("x", headers=headers, name="bob").status, secured.post("x", headers=headers, name="bob").code) == (
        403,
        "forbidden",
    )
    assert secured.post("x", query=f"?token={mint(SECRET, 'alice')}").json["from"] == "alice"
    assert secured.post("x", headers={"Cookie": f"other=1; wschat_token={mint(SECRET, 'alice')}"}).json["from"] == "alice"


def test_a_token_is_limited_to_its_rooms(secured: Web) -> None:
    secured.post("secret", "coffee", headers=bearer("bob"))
    alice = bearer("alice", rooms=["tea*"])
    for what in READABLE:
        answer = secured.ask("GET", f"/api/rooms/coffee/{what}", headers=alice)
        assert (answer.status, answer.code) == (403, "forbidden")
    assert secured.post("x", "coffee", headers=alice).status == 403
    assert secured.post("x", "Tea-2", headers=alice).status == 201
    assert [room["room"] for room in secured.ask("GET", "/api/rooms", headers=alice).json["rooms"]] == ["tea-2"]


# Moderation


def test_a_muted_user_may_read_but_not_post(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT)
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    root.ask(type="mute", room="tea", name="bob", seconds=1000)
    answer = web.post("x", name="bob")
    assert (answer.status, answer.code) == (403, "muted")
    assert web.post("x", query="?name=BOB").code == "muted"
    assert web.get("/api/rooms/tea/messages", name="bob").status == 200
    assert web.post("x", "coffee", name="bob").status == 201
    assert web.post("x", name="carol").status == 201


def test_a_banned_user_may_neither_read_nor_post(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT)
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    root.ask(type="ban", room="tea", name="bob", seconds=1000)
    assert web.post("x", name="bob").code == "banned"
    for what in READABLE:
        answer = web.get(f"/api/rooms/tea/{what}", name="bob")
        assert (answer.status, answer.code) == (403, "banned")
    assert web.get("/api/rooms/coffee/messages", name="bob").status == 200
    root.ask(type="unban", room="tea", name="bob")
    assert web.post("x", name="bob").status == 201


def test_bans_and_mutes_of_an_address_apply_to_all_names(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT, **PROXIED)
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    root.ask(type="ban", room="tea", name="203.0.113.7")
    root.ask(type="mute", room="tea", name="203.0.113.8")
    banned, muted, other = ({"X-Forwarded-For": f"203.0.113.{number}"} for number in (7, 8, 9))
    assert web.post("x", headers=banned).code == "banned"
    assert web.ask("GET", "/api/rooms/tea/events", headers=banned).code == "banned"
    assert web.ask("GET", "/api/rooms/tea/export?name=x", headers=banned).code == "banned"
    assert web.post("x", headers=muted, name="y").code == "muted"
    assert web.post("x", headers=other).status == 201


# Rates


def test_requests_above_the_rate_get_retry_after(open_web: OpenWeb) -> None:
    web = open_web(budgets=Budgets(Rate(1, 100)))
    assert [web.post(str(number)).status for number in range(4)] == [201, 201, 201, 429]
    answer = web.get("/api/rooms")
    assert (answer.status, answer.code) == (429, "too-fast")
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert web.get("/api/rooms/tea/export").status == 429
    assert web.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("path", ["/api/rooms", "/metrics"])
def test_wrong_passwords_are_limited_by_address(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(moderators={"root": "sesame"}), **PROXIED)  # which counts wrong passwords

    def status(password: str, last: int) -> int:
        return web.ask("GET", path, headers={"X-Forwarded-For": f"203.0.113.{last}", **basic("root", password)}).status

    assert [status(str(number), 1) for number in range(31)] == [401] * 30 + [429]
    assert status("sesame", 1) == 429  # otherwise the right password would be recognizable
    assert status("sesame", 2) == 200


def test_each_address_and_each_proven_name_has_its_own_rate(open_web: OpenWeb) -> None:
    web = open_web(budgets=Budgets(Rate(1, 100)), access=ROOT, **PROXIED)

    def status(last: int, **headers: str) -> int:
        return web.ask("GET", "/api/rooms", headers={"X-Forwarded-For": f"203.0.113.{last}", **headers}).status

    assert [status(1) for _ in range(4)] == [200, 200, 200, 429]
    assert status(2) == 200
    assert (
        web.ask("GET", "/api/rooms?name=another", headers={"X-Forwarded-For": "203.0.113.1"}).status == 429
    )  # a name without proof makes no difference
    assert [status(1, **basic("root", "sesame")) for _ in range(4)] == [200, 200, 200, 429]  # a proven name has a rate of its own
    assert status(3, **basic("root", "sesame")) == 429


# Reading


def fill(web: Web, number: int, room: str = "tea") -> None:
    http = web.connect()
    body = [json.dumps({"text": f"m{seq}"}).encode() for seq in range(1, number + 1)]
    for start in range(0, number, 100):  # pipelined
        batch = body[start : start + 100]
        http.send(b"".join(plain("POST", f"/api/rooms/{room}/messages", part) for part in batch))
        assert {http.answer().status for _ in batch} == {201}


def numbers(answer: Answer) -> list[int]:
    assert answer.status == 200, answer
    assert answer.json.keys() == {"room", "messages", "more", "gap"}
    return [message["seq"] for message in answer.json["messages"]]


def test_the_last_messages_are_read_without_parameters(web: Web) -> None:
    assert web.get("/api/rooms/tea/messages").json == {"room": "tea", "messages": [], "more": False, "gap": False}
    fill(web, 150)
    answer = web.get("/api/rooms/tea/messages")
    assert (numbers(answer), answer.json["more"]) == (list(range(51, 151)), True)
    assert answer.json["messages"][0].keys() == {"room", "seq", "from", "text", "time"}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "wanted", "more"),
    [
        ({"since": 140}, range(141, 151), False),
        ({"since": 0, "limit": 5}, range(1, 6), True),
        ({"since": 150}, [], False),
        ({"since": 10**12}, [], False),
        ({"before": 6}, range(1, 6), False),
        ({"before": 1}, [], False),
        ({"before": 10**12, "limit": 1}, [150], True),
        ({"limit": 1000}, range(1, 151), False),
        ({"limit": 1, "name": "alice", "password": "x", "token": "y"}, [150], True),
    ],
)
def test_messages_are_read_by_their_numbers(web: Web, query: dict[str, object], wanted: list[int], more: bool) -> None:
    fill(web, 150)
    answer = web.get("/api/rooms/tea/messages", **query)
    assert (numbers(answer), answer.json["more"]) == (list(wanted), more)


@pytest.mark.parametrize(
    "query",
    [
        "since=x",
        "since=-1",
        "since=",
        "since=1.5",
        "since=%C2%B2",
        "since=" + "9" * 17,
        "since=" + "9" * 5000,
        "before=x",
        "limit=0",
        f"limit={MAX_MESSAGES + 1}",
        "limit=ten",
        "since=1&before=2",
        "sinec=1",
    ],
)
def test_an_invalid_parameter_is_a_bad_request(web: Web, query: str) -> None:
    answer = web.get(f"/api/rooms/tea/messages?{query}")
    assert answer.status == 400
    assert answer.code in ("bad-field", "bad-request")


@pytest.mark.parametrize("what", [what for what in READABLE if what != "messages"])
def test_a_parameter_of_another_call_is_a_bad_request(web: Web, what: str) -> None:
    answer = web.get(f"/api/rooms/tea/{what}?limit=5")
    assert (answer.status, answer.code) == (400, "bad-field")


@pytest.mark.parametrize("path", ["", *(f"/tea/{what}" for what in READABLE)])
@pytest.mark.parametrize("name", ["foo", "id", "room", "type"])
def test_the_error_names_an_unknown_parameter(web: Web, path: str, name: str) -> None:
    answer = web.get(f"/api/rooms{path}?{name}=1")
    assert (answer.status, answer.json) == (400, {"code": "bad-field", "text": f"There is no field '{name}' here."})


def test_reading_page_by_page_gives_each_message_once(open_web: OpenWeb) -> None:
    """In both directions, with pages of any size. `more` is right for each page."""
    web = open_web()
    fill(web, 60)

    @given(st.lists(st.integers(1, 25), min_size=1), st.booleans())
    @settings(deadline=None, max_examples=25)
    def read(limits: list[int], forwards: bool) -> None:
        seen: list[int] = []
        place: dict[str, int] = {"since": 0} if forwards else {}
        for turn in range(61):
            answer = web.get("/api/rooms/tea/messages", **place, limit=limits[turn % len(limits)])
            page = numbers(answer)
            seen = [*seen, *page] if forwards else [*page, *seen]
            assert answer.json["more"] == (len(seen) < 60)
            if not answer.json["more"]:
                break
            place = {"since": page[-1]} if forwards else {"before": page[0]}
        assert seen == list(range(1, 61))

    read()


def test_members_lists_names_and_counts_unnamed_members(web: Web) -> None:
    assert web.get("/api/rooms/tea/members").json == {"room": "tea", "members": [], "unnamed": 0}
    web.guests.v1("alice", "tea")
    web.guests.plain("/rooms/tea")
    follower = web.follow("tea", query="?name=carol")
    assert follower.status == 200
    assert web.get("/api/rooms/tea/members").json == {"room": "tea", "members": ["alice"], "unnamed": 1}


def test_a_topic_can_be_read(web: Web) -> None:
    assert web.get("/api/rooms/tea/topic").json == {"room": "tea", "text": ""}
    alice = web.guests.v1("alice", "tea")
    alice.ask(type="topic", room="tea", text="green")
    event = alice.next("topic")
    assert event.pop("type") == "topic"
    assert web.get("/api/rooms/TEA/topic").json == event
    assert event == {"room": "tea", "seq": 1, "from": "alice", "text": "green", "time": event["time"]}
    assert web.get("/api/rooms/tea/messages").json["messages"] == [{"type": "topic", **event}]
    assert web.get("/api/rooms/tea/members").json["topic"].items() <= event.items()
    assert web.get("/api/rooms/tea/export").body.decode().startswith('{"type":"topic","room":"tea","seq":1,')
    alice.ask(type="topic", room="tea", text="")
    assert web.get("/api/rooms/tea/topic").json == {"room": "tea", "text": ""}


def test_rooms_lists_rooms_with_members_or_messages(web: Web) -> None:
    assert web.get("/api/rooms").json == {"rooms": []}
    web.guests.v1("alice", "tea")
    web.post("x", "coffee")
    assert web.get("/api/rooms").json == {"rooms": [{"room": "coffee", "members": 0, "last": 1}, {"room": "tea", "members": 1, "last": 0}]}


def test_without_a_history_posts_are_delivered_but_cannot_be_read(open_web: OpenWeb) -> None:
    web = open_web(MemoryBroker(keeps_messages=False))
    bob = web.guests.v1("bob", "tea")
    first = web.post("x", id="a", name="alice")
    assert (first.status, first.json["seq"]) == (201, 1)
    assert bob.next("message")["text"] == "x"
    again = web.post("x", id="a", name="alice")
    assert (again.status, again.json) == (200, {**first.json, "time": None})
    assert web.get("/api/rooms/tea/messages").json["messages"] == []
    assert web.texts() == []


# Paths and methods


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/rooms/",
        "/api/rooms/tea",
        "/api/rooms/tea/",
        "/api/rooms/tea/nothing",
        "/api/rooms/tea/messages/1",
        "/api/rooms/a%20b/messages",
        "/api/rooms/a%2Fb/messages",
        "/api/rooms/%ff/messages",
        f"/api/rooms/{'x' * 33}/messages",
        "/api/rooms//messages",
        "/API/rooms",
    ],
)
def test_unknown_paths_get_404(web: Web, path: str) -> None:
    for method in ("GET", "POST"):
        answer = web.ask(method, path, b"{}" if method == "POST" else None)
        assert (answer.status, answer.code) == (404, "not-found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/rooms", "GET, HEAD"),
        ("/api/rooms/tea/messages", "GET, HEAD, POST"),
        ("/api/rooms/tea/members", "GET, HEAD"),
        ("/api/rooms/tea/topic", "GET, HEAD"),
        ("/api/rooms/tea/events", "GET, HEAD"),
        ("/api/rooms/tea/export", "GET, HEAD"),
    ],
)
def test_other_methods_get_405(web: Web, path: str, allowed: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", *(() if "POST" in allowed else ("POST",))):
        answer = web.ask(method, path)
        assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method-not-allowed", allowed)
    head = web.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")


def test_errors_are_json_that_browsers_do_not_sniff(web: Web) -> None:
    for answer in (web.get("/api/nothing"), web.get("/api/rooms/tea/messages?x=1"), web.ask("PUT", "/api/rooms"), web.post("x" * 70_000)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
