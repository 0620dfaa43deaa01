"""The detection of the kind of a server."""

from __future__ import annotations

from itertools import islice

import pytest

import wschat
from tests.conftest import ServerFactory, url_of
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.cli.client.options import ConnectOptions
from wschat.cli.terminal import probe
from wschat.cli.terminal.probe import default_names, find_chat, nameless, room_of, with_secret
from wschat.connection.connection import Connection
from wschat.errors import OpeningFailed
from wschat.events import Welcome


def options(url: str, **others: str) -> ConnectOptions:
    return ConnectOptions(url=url, **others)  # type: ignore[arg-type]


def test_a_chat_is_recognized_by_its_welcome(serve: ServerFactory) -> None:
    chat = Chat()
    found = find_chat(options(url_of(serve(chat.handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS))))
    assert isinstance(found, Welcome)
    assert found.secret


@pytest.mark.parametrize("first", ["hello", "{}", '{"type": "pong"}', b"\x00"])
def test_a_server_that_chooses_any_subprotocol_is_no_chat(serve: ServerFactory, first: str | bytes) -> None:
    found = find_chat(options(url_of(serve(lambda ws: ws.send(first), subprotocols=["wschat.v1"]))))
    assert isinstance(found, Connection)
    with found:
        assert found.subprotocol is None
        assert found.recv() == first


def test_a_silent_server_is_no_chat(serve: ServerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_SECONDS_FOR_WELCOME", 0.05)
    found = find_chat(options(url_of(serve(list_all, subprotocols=["wschat.v1"]))))
    assert isinstance(found, Connection)
    found.close()


def list_all(ws: Connection) -> None:
    list(ws)


def test_another_server_is_connected_to_once(serve: ServerFactory) -> None:
    openings: list[str] = []
    server = serve(list_all, check_request=lambda request: openings.append(request.path))
    found = find_chat(options(url_of(server)))
    assert isinstance(found, Connection)
    found.close()
    assert len(openings) == 1


@pytest.mark.parametrize(("status", "openings"), [(400, 2), (401, 1)])
def test_a_server_may_refuse_the_subprotocol(serve: ServerFactory, status: int, openings: int) -> None:
    seen: list[str | None] = []

    def check(request: wschat.Request) -> None:
        seen.append(request.headers.get("sec-websocket-protocol"))
        if seen[-1]:
            raise wschat.RequestRefused(status, "no subprotocols")

    url = url_of(serve(list_all, check_request=check))
    if status == 401:
        with pytest.raises(OpeningFailed):
            find_chat(options(url))
    else:
        found = find_chat(options(url))
        assert isinstance(found, Connection)
        found.close()
    assert len(seen) == openings


@pytest.mark.parametrize(
    ("url", "given", "without_name", "name"),
    [
        ("ws://host/?a=1", None, "ws://host/?a=1", None),
        ("ws://host/?a=1", "bob", "ws://host/?a=1", "bob"),
        ("ws://host/?name=bob&a=%C3%BC", None, "ws://host/?a=%C3%BC", "bob"),
        ("ws://host/?name=bob&password=1", None, "ws://host/?name=bob&password=1", None),
    ],
)
def test_the_name_is_taken_from_the_options(url: str, given: str | None, without_name: str, name: str | None) -> None:
    changed, found = nameless(ConnectOptions(url=url, name=given))
    assert (changed.url, changed.name, found) == (without_name, None, name)


def test_the_secret_is_added_once() -> None:
    assert with_secret(options("ws://host/?a=1"), "x y").url == "ws://host/?a=1&secret=x+y"
    assert with_secret(options("ws://host/?secret=mine"), "x").url == "ws://host/?secret=mine"
    assert with_secret(options("ws://host/"), None).url == "ws://host/"


@pytest.mark.parametrize(
    ("path", "given", "room"),
    [
        ("", {}, "lobby"),
        ("/", {}, "lobby"),
        ("/rooms/t%C3%A9", {}, "té"),
        ("/chat/rooms/tea/?a=1", {}, "tea"),
        ("/rooms/tea", {"room": "ops"}, "ops"),
    ],
)
def test_the_room_is_that_of_the_path_or_the_option(path: str, given: dict[str, str], room: str) -> None:
    assert room_of(options(f"ws://host{path}", **given)) == room


@pytest.fixture
def user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", request.param)


@pytest.mark.parametrize(("user", "name"), [("bob", "bob"), ("a b@c", "abc"), ("...", "guest"), ("x" * 40, "x" * 28)], indirect=["user"])
def test_the_default_name_is_that_of_the_user(user: None, name: str) -> None:
    assert list(islice(default_names(), 3)) == [name, f"{name}2", f"{name}3"]


def test_events_of_hostile_servers_are_no_welcome(serve: ServerFactory) -> None:
    nested = "[" * 100_000 + "]" * 100_000
    found = find_chat(options(url_of(serve(lambda ws: ws.send(nested), subprotocols=["wschat.v1"]))))
    assert isinstance(found, Connection)
    found.close()
