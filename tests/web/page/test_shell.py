"""Loading the page: the number of requests, caching, and parts that cannot be loaded."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

import wschat
from tests.concurrency import TIMEOUT
from tests.programs import free_port
from tests.server.command import Command, running
from tests.web.page.wiring import Guest, Windows, http
from tests.web.wiring import Http, plain

SCRIPT, STYLE_SHEET = re.compile(r"\.js$"), re.compile(r"\.css$")


def answered(server: Command) -> list[str]:
    """The file extensions and status codes of all HTTP responses in the server's log, sorted."""
    return sorted(f"{Path(path).suffix} {status}" for path, status in re.findall(r" GET (\S+): (\d+)", server.errors()))


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_a_page_takes_four_requests_and_one_when_it_is_opened_again(windows: Windows, prefix: str) -> None:
    with running("--port", "0", "--history", "memory", "--log-level", "debug", "--path-prefix", prefix) as server:
        page = windows.open(http(server))
        Guest(page).take_name("alice")
        page.wait_for_load_state("networkidle")
        first = [" 200", ".css 200", ".js 200", ".svg 200"]
        assert answered(server) == first
        page.goto("about:blank")
        page.goto(http(server))
        expect(page.locator("#members")).to_contain_text("alice (you)")
        page.wait_for_load_state("networkidle")
        assert answered(server) == sorted([*first, " 304"])
        page.reload()
        expect(page.locator("#members")).to_contain_text("alice (you)")
        page.wait_for_load_state("networkidle")
        assert answered(server) == sorted([*first, " 304", " 304"])


@pytest.mark.parametrize("part", [SCRIPT, STYLE_SHEET], ids=["script", "style sheet"])
def test_a_part_that_cannot_be_loaded_is_reported_and_retried(server: Command, windows: Windows, part: re.Pattern[str]) -> None:
    page = windows.open("about:blank")
    page.clock.install()
    left = 3

    def refuse(route: Route) -> None:
        nonlocal left
        left -= 1
        route.continue_() if left < 0 else route.fulfill(status=503, body="There are too many connections just now.")

    page.route(part, refuse)
    page.goto(http(server))
    note = page.get_by_role("alert").filter(has_text="could not be loaded")
    shown: list[int] = []
    for _ in range(3):
        expect(note).to_have_text(re.compile(r"Trying again in \d+ s\.$"))
        shown.append(int(re.findall(r"(\d+) s\.$", note.text_content() or "")[0]))
        before = left
        with page.expect_request(part):
            page.clock.run_for(1000 * shown[-1] + 100)
        if before > 0:
            expect(note).to_have_text(re.compile(rf"in (?!{shown[-1]} s)\d+ s\.$"))
    expect(note).to_have_count(0)
    assert shown == sorted(shown)
    assert shown[0] < shown[-1]
    Guest(page).take_name("alice")


def test_a_page_whose_server_has_been_updated_meanwhile_is_reloaded(windows: Windows) -> None:
    port = free_port()
    with running("--port", str(port), "--history", "memory") as server:
        page = windows.open("about:blank")
        page.clock.install()
        page.route(SCRIPT, lambda route: route.fulfill(status=404), times=1)
        page.goto(http(server))
        expect(page.get_by_role("alert").filter(has_text="could not be loaded")).to_be_visible()
        page.evaluate("document.querySelector('script[src]').setAttribute('src', 'static/chat.0123456789abcdef.js')")
        page.clock.run_for(2000)
        Guest(page).take_name("alice")
    windows.complaints = [complaint for complaint in windows.complaints if "404" not in complaint]


def test_thirty_browsers_at_one_address_do_not_exclude_the_next(windows: Windows) -> None:
    with running("--port", "0", "--history", "memory") as server, ExitStack() as open_sockets:
        for number in range(30):
            for _ in range(6):  # a browser keeps up to six HTTP connections open
                browser = open_sockets.enter_context(Http(socket.create_connection((server.host, server.port), TIMEOUT)))
                browser.send(plain("GET", "/", b""))
                assert browser.answer().status == 200
            open_sockets.enter_context(wschat.connect(f"{server.url}?name=guest-{number}", subprotocols=["wschat.v1"])).recv(TIMEOUT)
        page = windows.open(http(server))
        alice = Guest(page)
        alice.take_name("alice")
        alice.say("There is room.")
        alice.hears("There is room.")


def test_a_page_that_is_refused_for_too_many_connections_is_requested_again(windows: Windows) -> None:
    with running("--port", "0", "--history", "memory", "--max-connections", "8") as server:
        with ExitStack() as guests:
            for number in range(8):
                guests.enter_context(wschat.connect(f"{server.url}?name=guest-{number}")).recv(TIMEOUT)
            page = windows.open("about:blank")
            answer = page.goto(http(server))
            assert answer is not None
            assert (answer.status, answer.headers["refresh"]) == (503, "10")
        expect(page.get_by_role("dialog")).to_be_visible(timeout=30_000)
