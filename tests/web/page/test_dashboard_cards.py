"""The cards of the dashboard: the values and charts that they show for given counts, and pointing at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.server.command import Command, Served, running
from tests.web.page.test_dashboard_page import card
from tests.web.page.wiring import Windows, http

NOW = 1_700_000_000.0
QUIET: dict[str, Any] = {
    "connections": {"websocket": 3, "events": 1, "http": 0},
    "messages": 0.0,
    "deliveries": 0.0,
    "fan_out_p50": None,
    "fan_out_p99": None,
    "outbox_bytes": 0,
    "evictions": {},
    "refusals": {},
    "threads": 7,
    "descriptors": 21,
    "memory_bytes": 30 * 1024**2,
    "cpu": 0.01,
}
BUSY = {
    **QUIET,
    "messages": 6.5,
    "deliveries": 250.0,
    "fan_out_p50": 0.002,
    "fan_out_p99": 0.04,
    "outbox_bytes": 3 * 1024**2,
    "evictions": {"outbox full": 2, "send timeout": 1},
    "refusals": {"403": 4, "too many connections": 3, "429": 2, "404": 1, "no thread": 1},
    "cpu": 0.5,
}
DESCRIPTIONS = {
    "Connections": "WebSockets 3 now, 3 at least, 3 at most; event streams 1 now, 1 at least, 1 at most",
    "Messages": "messages 0/s now, 0/s at least, 6.5/s at most",
    "Deliveries": "deliveries 0/s now, 0/s at least, 250/s at most",
    "Fan-out time, to the last member": "p50 – now, 2 ms at least, 2 ms at most; p99 – now, 40 ms at least, 40 ms at most",
    "Send buffers": "bytes 0 B now, 0 B at least, 3 MiB at most",
    "CPU": "of one processor 1 % now, 1 % at least, 50 % at most",
    "Evicted peers": "2 outbox full; 1 send timeout",
    "Refused requests": "4 403; 3 too many connections; 2 429; 2 others",
    "Threads and file descriptors": "threads 7 now, 7 at least, 7 at most; descriptors 21 now, 21 at least, 21 at most",
    "Memory": "resident 30 MiB now, 30 MiB at least, 30 MiB at most",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Command]:
    """Serves the page; the counts are the test's own."""
    with running("--port", "0") as server:
        yield server


@pytest.fixture
def page(server: Served, windows: Windows) -> Page:
    """The dashboard of a server that was busy six seconds ago, and is idle now."""
    samples = [{"time": NOW + 2 * number, **sample} for number, sample in enumerate([QUIET, BUSY, QUIET, QUIET, QUIET])]

    def answer(route: Route) -> None:
        route.fulfill(body=json.dumps({"next": 5, "seconds": 2, "kept": 150, "samples": samples if "since=0" in route.request.url else []}))

    page = windows.open("about:blank")
    page.route("**/stats/data*", answer)
    page.goto(f"{http(server)}stats")
    expect(page.get_by_role("status")).to_have_attribute("data-state", "live")
    return page


def figure(page: Page, title: str) -> str:
    """The large value of a card, with the note beside it."""
    return card(page, title).locator(".figure").text_content() or ""


def test_each_card_describes_the_current_least_and_greatest_values(page: Page) -> None:
    described = {title: card(page, title).get_by_role("img").get_attribute("aria-label") for title in DESCRIPTIONS}
    assert described == {title: f"{title}, the last five minutes: {words}." for title, words in DESCRIPTIONS.items()}
    expect(card(page, "Connections")).to_contain_text("5 minutes ago")
    assert figure(page, "Connections").split() == ["4"]
    assert figure(page, "Deliveries").split() == ["0/s"]
    assert figure(page, "Send buffers").split() == ["0", "B"]
    assert figure(page, "CPU").split() == ["1", "%"]


def test_evictions_and_refusals_are_counted_by_reason(page: Page) -> None:
    assert figure(page, "Evicted peers").split() == ["3", "in", "5", "minutes"]
    assert figure(page, "Refused requests").split() == ["11", "in", "5", "minutes"]
    rows = card(page, "Refused requests").locator("dl div")
    assert [row.split() for row in rows.all_text_contents()] == [["4034"], ["too", "many", "connections3"], ["4292"], ["others2"]]


def test_the_last_known_fan_out_is_shown_with_its_time(page: Page) -> None:
    fan_out = card(page, "Fan-out time, to the last member")
    expect(fan_out.locator("strong")).to_have_text("2 ms")
    expect(fan_out.locator("strong")).to_have_class("old")
    expect(fan_out.locator(".figure")).to_contain_text(re.compile(r"p50 at \d"))
    expect(fan_out.locator("dl")).to_contain_text("40 ms")
    expect(card(page, "Messages").locator(".old")).to_have_count(0)


def test_the_mouse_and_the_keyboard_select_a_time(page: Page) -> None:
    deliveries = card(page, "Deliveries")
    chart = deliveries.locator(".chart")
    box = chart.bounding_box()
    assert box
    busy = (300 - 6) / 300  # of the width of a chart, which shows five minutes
    page.mouse.move(box["x"] + box["width"] * busy, box["y"] + box["height"] / 2)
    expect(deliveries.locator(".figure")).to_contain_text("250/s")
    expect(card(page, "CPU").locator(".figure")).to_contain_text("50 %")
    assert re.search(r"at \d", figure(page, "CPU"))
    expect(deliveries.locator(".cursor")).to_have_attribute("d", re.compile(r"^M294"))
    page.mouse.move(0, 0)
    expect(deliveries.locator("strong")).to_have_text("0/s")
    chart.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(deliveries.locator("strong")).to_have_text("250/s")
    page.keyboard.press("End")
    expect(deliveries.locator("strong")).to_have_text("0/s")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(card(page, "Evicted peers").locator("strong")).to_have_text("3")
    page.keyboard.press("Tab")
    expect(deliveries.locator(".figure")).to_have_text(re.compile(r"^0/s\s*$"))
