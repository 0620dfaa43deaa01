"""The page and a long history: scrolling back does not jump, and each message is shown once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.brokers.wiring import append
from tests.server.command import Command, Served, running
from tests.web.page.wiring import Guest, Windows, until
from wschat.brokers.base import Draft
from wschat.brokers.sqlite.broker import SqliteBroker

MESSAGES = 1050
TEXTS = [f"message {number}" + "\nof several lines" * (number % 4) + ", long ones" * (number % 5 * 9) for number in range(1, MESSAGES + 1)]

# The topmost visible message, and its distance from the top.
TOPMOST = """log => {
    const top = log.getBoundingClientRect().top;
    const item = [...log.querySelectorAll("[data-seq]")].find((other) => other.getBoundingClientRect().bottom > top);
    return [Number(item.dataset.seq), item.getBoundingClientRect().top - top];
}"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Command]:
    path = tmp_path / "history.sqlite"
    broker = SqliteBroker(path)
    append(broker, *(Draft("lobby", "alice" if number % 3 else "bob", text) for number, text in enumerate(TEXTS)))
    broker.close()
    with running("--port", "0", "--history", str(path), "--rate", "off") as server:
        yield server


def scroll_up(guest: Guest, by: int) -> None:
    guest.log.hover()
    guest.page.mouse.wheel(0, -by)


def wait_for_frames(guest: Guest) -> None:
    """Wait until the page has drawn some frames after it was scrolled or resized."""
    guest.page.evaluate("async () => { for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame); }")


def test_scrolling_up_shows_the_whole_history_each_message_once(server: Served, windows: Windows) -> None:
    carol = windows.enter(server, "carol")
    expect(carol.log.locator("[data-seq]").last).to_be_in_viewport()
    beginning = carol.log.get_by_text("This is the beginning of lobby.")
    while not beginning.is_visible():
        scroll_up(carol, 4000)
    carol.log.evaluate("log => log.scrollTo(0, 0)")
    expect(beginning).to_be_in_viewport()
    seqs = carol.log.evaluate("log => [...log.querySelectorAll('[data-seq]')].map((item) => Number(item.dataset.seq))")
    assert seqs == list(range(1, MESSAGES + 1))
    assert carol.texts() == TEXTS


def test_the_visible_messages_do_not_move_when_older_ones_are_loaded(server: Served, windows: Windows) -> None:
    carol = windows.enter(server, "carol")
    first = carol.log.locator("[data-seq]").first
    expect(first).to_be_attached()
    before = first.get_attribute("data-seq")
    carol.log.evaluate("log => log.scrollTo(0, 300)")
    place = carol.log.evaluate(TOPMOST)
    expect(first).not_to_have_attribute("data-seq", str(before))
    seq, distance = carol.log.evaluate(TOPMOST)
    assert seq == place[0]
    assert abs(distance - place[1]) <= 1


def test_the_visible_messages_do_not_move_when_the_window_is_resized(server: Served, windows: Windows) -> None:
    carol = windows.enter(server, "carol")
    expect(carol.log.locator("[data-seq]").last).to_be_in_viewport()
    while int(carol.log.locator("[data-seq]").first.get_attribute("data-seq") or 0) > MESSAGES - 400:
        scroll_up(carol, 4000)
    carol.log.evaluate("log => log.scrollTo(0, log.scrollHeight / 2)")
    wait_for_frames(carol)
    seq, distance = carol.log.evaluate(TOPMOST)
    for width in (700, 375, 961, 1600, 1100):
        carol.page.set_viewport_size({"width": width, "height": 700})
        until(carol.page, f"innerWidth === {width}")
        wait_for_frames(carol)
        assert carol.log.evaluate(TOPMOST)[0] == seq, width
    assert abs(carol.log.evaluate(TOPMOST)[1] - distance) <= 5
