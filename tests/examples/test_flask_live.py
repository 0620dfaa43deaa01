"""The example of Flask with live updates, and one login for pages and WebSockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest
from playwright.sync_api import expect

import wschat
from tests.concurrency import TIMEOUT
from tests.examples.wiring import Visitor, running_site
from tests.web.page.wiring import Windows

pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_site("flask_live.py") as port:
        yield port


@pytest.fixture
def alice(port: int) -> Visitor:
    alice = Visitor(port)
    alice.post("/login", name="alice", password="wonderland")
    return alice


def test_the_login_of_the_pages_opens_a_websocket(alice: Visitor) -> None:
    with alice.connect("/live") as ws:
        update = json.loads(ws.recv(TIMEOUT))
        assert (type(update["load"]), update["names"]) == (float, ["alice"])


def test_without_a_login_the_opening_is_refused(port: int) -> None:
    nobody = Visitor(port)
    with pytest.raises(HTTPError, match="403"):
        nobody.post("/login", name="alice", password="looking-glass")
    with pytest.raises(HTTPError, match="403"):
        nobody.post("/login", name="carol", password="")
    for options in ({}, {"headers": {"Cookie": "session=eyJuYW1lIjoiYWxpY2UifQ.forged"}}):
        with pytest.raises(wschat.OpeningFailed) as failed:
            nobody.connect("/live", **options)
        assert (failed.value.status, failed.value.body) == (401, b"Log in first.\n")


def test_a_logout_closes_the_websockets_of_the_user(alice: Visitor) -> None:
    bob = Visitor(alice.port)
    bob.post("/login", name="bob", password="builder")
    with ThreadPoolExecutor(1) as executor, alice.connect("/live") as ws, bob.connect("/live") as other:
        while json.loads(other.recv(TIMEOUT))["names"] != ["alice", "bob"]:
            pass
        page = executor.submit(alice.post, "/logout").result(wschat.Limits().close_timeout / 2)  # does not wait for the WebSocket
        for _ in ws:
            pass
        assert ws.closed is not None
        assert ws.closed.code == 1008
        assert "Log in" in page
        while json.loads(other.recv(TIMEOUT))["names"] != ["bob"]:
            pass
    with pytest.raises(wschat.OpeningFailed):
        alice.connect("/live")


def test_a_page_shows_the_updates_until_the_logout(port: int, windows: Windows) -> None:
    page = windows.open(f"http://127.0.0.1:{port}/")
    page.get_by_placeholder("Name").fill("bob")
    page.get_by_placeholder("Password").fill("builder")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#load")).to_have_text(re.compile(r"^\d+\.\d\d$"))
    expect(page.locator("#names")).to_have_text("bob")
    other = page.context.new_page()
    other.goto(page.url)
    page.get_by_role("button", name="Log out bob").click()
    expect(page.get_by_placeholder("Name")).to_be_visible()
    expect(other.locator("body")).to_have_text("You have logged out.")
