"""`page`: the page of the chat in a browser, while a thousand messages per second arrive in a room with ten thousand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from playwright.sync_api import expect, sync_playwright

import wschat
from tests.bench.report import Report
from tests.bench.server import history_file, serving, stop
from tests.server.command import Command
from tests.web.page.wiring import Guest, Windows, launch, until

_MESSAGES = 1000
_SLICES = 100  # of a second; in each of them some messages are sent
_IN_THE_ROOM = 10_000
_REQUIRED_SECONDS = 0.1

_WATCH_FRAMES = """() => {
    window.frames_took = [];
    let last = performance.now();
    const frame = (now) => {
        window.frames_took.push(now - last);
        last = now;
        window.watching = requestAnimationFrame(frame);
    };
    window.watching = requestAnimationFrame(frame);
}"""
_FRAMES = "() => { cancelAnimationFrame(window.watching); return window.frames_took.slice(1).map((took) => took / 1000); }"


def run(rounds: int) -> bool:
    """Measure. Return True if all messages are shown in order."""
    report = Report(f"page: {_MESSAGES:,} messages in a second, {rounds} times, in a room of {_IN_THE_ROOM:,}")
    with history_file() as file, serving(file) as server, sync_playwright() as playwright:
        browser = launch(playwright)
        windows = Windows(browser)
        guest = windows.enter(server, "watcher", viewport={"width": 1280, "height": 800})
        sent = 0
        with talking(server) as talk:
            while sent < _IN_THE_ROOM:
                talk(sent)
                sent += _MESSAGES
                until(guest.page, f"document.querySelector('.log [data-seq=\"{sent}\"]')")
            frames: list[float] = []
            for _ in range(rounds):
                guest.page.evaluate(_WATCH_FRAMES)
                talk(sent)
                sent += _MESSAGES
                until(guest.page, f"document.querySelector('.log [data-seq=\"{sent}\"]')")
                frames += guest.page.evaluate(_FRAMES)
        report.add_times("frames while they arrive", frames, _REQUIRED_SECONDS)
        report.add("the longest frame", f"{1000 * max(frames):.0f} ms", required="100 ms", is_met=max(frames) <= _REQUIRED_SECONDS)
        report.add_times("frames while scrolling back", scroll(guest), _REQUIRED_SECONDS)
        check(guest, sent, report)
        report.problems += windows.complaints
        windows.close()
        browser.close()
        stop(server, report)
    return report.show()


@contextmanager
def talking(server: Command) -> Iterator[Callable[[int], None]]:
    """A client that sends a thousand messages in one second, beginning with a number."""
    with wschat.connect(f"{server.url}?name=talker", subprotocols=["wschat.v1"]) as ws:
        ws.send(json.dumps({"type": "join", "room": "lobby"}))

        def talk(first: int) -> None:
            begin = monotonic()
            for number in range(_MESSAGES):
                wait = begin + number // (_MESSAGES // _SLICES) / _SLICES - monotonic()
                if wait > 0:
                    sleep(wait)
                ws.send(json.dumps({"type": "say", "room": "lobby", "text": f"This is message {first + number + 1}."}))

        yield talk


def scroll(guest: Guest) -> list[float]:
    """Scroll through half of the messages. Return the durations of the frames."""
    guest.log.hover()
    guest.page.evaluate(_WATCH_FRAMES)
    for _ in range(200):
        guest.page.mouse.wheel(0, -1500)
    frames: list[float] = guest.page.evaluate(_FRAMES)
    return frames


def check(guest: Guest, sent: int, report: Report) -> None:
    """Check that the page shows the last messages without gaps."""
    expect(guest.log.locator("[data-seq]").first).to_be_attached()
    shown = guest.log.evaluate("log => [...log.querySelectorAll('[data-seq]')].map((item) => Number(item.dataset.seq))")
    report.add("messages in the page", f"{len(shown):,}")
    if shown != list(range(shown[0], sent + 1)):
        report.problems.append(f"of {sent:,} messages, {len(shown):,} are shown, from {shown[0]} to {shown[-1]}")
