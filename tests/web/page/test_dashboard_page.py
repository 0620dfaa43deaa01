"""The dashboard in a real browser."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.programs import free_port
from tests.server.command import Served, running
from tests.web.page.test_looks import PHONE, problems
from tests.web.page.wiring import Windows, http
from wschat.chat.tokens import mint


def card(page: Page, title: str) -> Locator:
    """The card of the dashboard with this title."""
    return page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))


def test_it_shows_the_counts_of_the_server(server: Served, windows: Windows) -> None:
    windows.enter(server, "alice")
    page = windows.open(f"{http(server)}stats")
    expect(card(page, "Connections").get_by_role("img")).to_have_accessible_name(re.compile(r"WebSockets 1 now"))
    body = json.dumps({"text": "Hello!"}).encode()
    urllib.request.urlopen(f"{http(server)}api/rooms/lobby/messages", body).close()
    # The accessible name of a chart gives its current, least and greatest values.
    expect(card(page, "Messages").get_by_role("img")).to_have_accessible_name(re.compile(r"0\.[1-9]\d?/s at most"))
    expect(card(page, "Threads and file descriptors").locator("strong")).to_have_text(re.compile(r"^\d+$"))
    expect(card(page, "Memory").locator("strong")).to_have_text(re.compile(r"^\d+"))


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_no_accessibility_problem(server: Served, windows: Windows, axe: str, options: dict[str, object]) -> None:
    page = windows.open(f"{http(server)}stats", **options)
    expect(card(page, "Connections").locator("strong")).to_have_text(re.compile(r"\d"))
    assert problems(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_shows_that_the_server_is_gone_and_continues_when_it_is_back(windows: Windows) -> None:
    port = free_port()
    with running("--port", str(port)) as server:
        page = windows.open(f"{http(server)}stats")
        expect(card(page, "Memory").locator("strong")).to_have_text(re.compile(r"\d"))
    status = page.get_by_role("status")
    expect(status).to_have_attribute("data-state", "gone")
    with running("--port", str(port)):
        expect(status).to_have_attribute("data-state", "live")


def test_the_first_request_has_no_timeout_since_the_browser_may_ask_for_a_password(server: Served, windows: Windows) -> None:
    page = windows.open("about:blank")
    page.clock.install()
    # Every timeout of the page expires at once: while the browser asks for a password, the server seems to be slow.
    page.add_init_script("AbortSignal.timeout = () => AbortSignal.abort()")
    held: list[Route] = []
    page.route("**/stats/data*", lambda route: held.append(route))
    with page.expect_request("**/stats/data*"):
        page.goto(f"{http(server)}stats")
    page.clock.run_for(60_000)
    status = page.get_by_role("status")
    expect(status).to_have_text("Connecting")
    (route,) = held
    route.fulfill(json={"next": 0, "seconds": 2, "samples": []})
    expect(status).to_have_text("Live")
    page.clock.run_for(2000)
    expect(status).to_contain_text("The server does not respond")  # now the browser has the password


def test_with_the_token_of_a_moderator_it_works_on_other_machines_too(windows: Windows, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 32)
    with running("--port", "0", "--auth-secret-file", str(secret)) as server:
        token = mint(secret.read_bytes(), "alice", is_moderator=True)
        # As if through a proxy, since clients on the server's machine need no token.
        page = windows.open("about:blank", extra_http_headers={"X-Forwarded-For": "203.0.113.7"})
        page.goto(f"{http(server)}stats#token={token}")
        expect(page.get_by_role("status")).to_have_attribute("data-state", "live")
        assert token not in page.url
