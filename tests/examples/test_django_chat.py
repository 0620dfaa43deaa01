"""The example of Django with the chat below a path, where each user has the name of the login."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from playwright.sync_api import expect

import wschat
from tests.concurrency import TIMEOUT
from tests.examples.wiring import EXAMPLES, Visitor, running_site
from tests.web.page.wiring import Guest, Windows
from tests.wsgi.conftest import needs_gunicorn
from tests.wsgi.wiring import running_gunicorn
from wschat.v1 import SUBPROTOCOL

pytest.importorskip("django", reason="needs Django: pip install '.[dev]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site keeps its files."""
    return tmp_path_factory.mktemp("django")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running_site("django_chat.py", DATA=str(folder)) as port:
        yield port


@pytest.fixture(scope="module")
def alice(port: int) -> Visitor:
    return user(port, "alice", "wonderland")


@pytest.fixture(scope="module")
def bob(port: int) -> Visitor:
    return user(port, "bob", "builder")


def user(port: int, name: str, password: str) -> Visitor:
    visitor = Visitor(port)
    assert f"Hello {name}!" in visitor.post_safely("/login", username=name, password=password)
    return visitor


def check_refusal(port: int) -> None:
    """Check that a visitor who is not logged in is refused before a WebSocket is open."""
    for options in ({}, {"subprotocols": [SUBPROTOCOL]}, {"headers": {"Cookie": "sessionid=guessed"}}):
        with pytest.raises(wschat.OpeningFailed) as failed:
            Visitor(port).connect("/chat/?name=alice", **options)
        assert (failed.value.status, failed.value.body) == (401, b"Log in to the site first.\n")
    with pytest.raises(HTTPError, match="401"):
        Visitor(port).get("/chat/api/rooms")


def test_users_talk_by_the_names_of_their_logins(alice: Visitor, bob: Visitor) -> None:
    """Whatever names they ask for."""
    with alice.connect("/chat/rooms/tea?name=bob") as ws, bob.connect("/chat/rooms/tea") as other:
        assert ws.recv(TIMEOUT) == other.recv(TIMEOUT) == "Welcome to the chat!"
        ws.send("/nick carol")
        assert "cannot change a name" in str(ws.recv(TIMEOUT))
        ws.send("Hello!")
        assert ws.recv(TIMEOUT) == other.recv(TIMEOUT) == "alice: Hello!"
    assert json.loads(bob.get("/chat/api/rooms/tea/messages"))["messages"][0]["from"] == "alice"


def test_without_a_login_nobody_talks(port: int) -> None:
    check_refusal(port)
    nobody = Visitor(port)
    assert "Log in" in nobody.get("/")
    assert "Hello" not in nobody.post_safely("/login", username="alice", password="looking-glass")
    check_refusal(port)


def test_the_page_of_the_chat_needs_no_other_login(bob: Visitor, windows: Windows) -> None:
    page = windows.open(f"http://127.0.0.1:{bob.port}/login")
    page.context.add_cookies([{"name": cookie.name, "value": str(cookie.value), "url": page.url} for cookie in bob.cookies])
    page.goto(f"http://127.0.0.1:{bob.port}/")
    page.get_by_role("link", name="Enter the chat").click()
    guest = Guest(page)
    expect(guest.members).to_contain_text("bob")
    guest.say("Hello from the page!")
    expect(guest.log).to_contain_text("Hello from the page!")


def test_under_gunicorn(port: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_gunicorn()
    monkeypatch.setenv("DATA", str(tmp_path))
    (tmp_path / "site.sqlite").write_bytes((folder / "site.sqlite").read_bytes())
    with running_gunicorn("django_chat:application", tmp_path, "--chdir", str(EXAMPLES)) as program:
        check_refusal(program.port)
        with user(program.port, "alice", "wonderland").connect("/chat/") as ws:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"
            ws.send("Hello!")
            assert ws.recv(TIMEOUT) == "alice: Hello!"
