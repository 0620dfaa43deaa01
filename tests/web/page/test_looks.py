"""The page by keyboard, on a phone, in a dark colour scheme and with a screen reader; and its size."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.server.command import Served, running
from tests.web.page.wiring import Guest, Windows, http, until

PHONE = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}
MAX_BYTES = 60 * 1024


def problems(page: Page, axe: str) -> list[Any]:
    """The accessibility problems that axe-core finds in a page."""
    # Through Playwright, as the content policy of the page allows only the server's own scripts.
    page.evaluate(f"() => {{ {axe} }}")
    found = page.evaluate("async () => (await axe.run()).violations")
    return [(problem["id"], [node["html"] for node in problem["nodes"]]) for problem in found]


def busy(server: Served, windows: Windows, **options: Any) -> Guest:
    """A user in a room with all kinds of messages."""
    bob = windows.enter(server, "bob")
    alice = windows.enter(server, "alice", **options)
    bob.say("Hello alice, see https://example.org/")
    bob.say("/me waves")
    bob.say("/topic of everything, see https://example.org/ " + "and so on " * 10)
    bob.say("/msg alice psst")
    alice.say("Hello!")
    alice.say("/nonsense")
    expect(alice.log).to_contain_text("command")
    expect(alice.log).to_contain_text("psst")
    return alice


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, PHONE, {**PHONE, "color_scheme": "dark"}], ids=str)
def test_axe_finds_no_accessibility_problem(server: Served, windows: Windows, axe: str, options: dict[str, Any]) -> None:
    fresh = windows.open(http(server), **options)
    expect(fresh.get_by_role("dialog")).to_be_visible()
    assert problems(fresh, axe) == []
    alice = busy(server, windows, **options)
    assert problems(alice.page, axe) == []
    alice.field.press_sequentially("/")
    expect(alice.page.get_by_role("option").first).to_be_visible()
    assert problems(alice.page, axe) == []


def test_the_page_follows_the_colour_scheme(server: Served, windows: Windows) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        page = windows.open(http(server), color_scheme=scheme)
        brightness[scheme] = page.evaluate("""() => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            canvas.fillStyle = getComputedStyle(document.documentElement).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return canvas.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((sum, part) => sum + part);
        }""")
    assert brightness["dark"] < 200 < 600 < brightness["light"]


def test_a_phone_shows_one_column_and_the_others_on_demand(server: Served, windows: Windows) -> None:
    alice = busy(server, windows, **PHONE)
    assert alice.page.evaluate("document.documentElement.scrollWidth") == 375
    expect(alice.rooms).to_be_hidden()
    expect(alice.members).to_be_hidden()
    expect(alice.field).to_be_in_viewport()
    alice.page.get_by_role("button", name="Rooms").click()
    expect(alice.rooms).to_be_visible()
    alice.page.keyboard.press("Escape")
    expect(alice.rooms).to_be_hidden()
    alice.page.get_by_role("button", name="Members").click()
    expect(alice.members).to_contain_text("bob")


def test_on_a_phone_the_countdown_to_the_next_attempt_is_on_one_line(windows: Windows) -> None:
    with running("--port", "0", "--history", "memory") as server:
        alice = windows.enter(server, "alice", "lobby", **PHONE)
    rows = alice.page.evaluate("""async () => {
        const countdown = document.getElementById("countdown");
        while (!countdown.textContent) await new Promise(requestAnimationFrame);
        const range = document.createRange();
        range.selectNodeContents(countdown);
        return range.getClientRects().length;
    }""")
    assert rows == 1
    assert alice.page.evaluate("document.documentElement.scrollWidth") == 375


def test_pointing_at_a_truncated_name_shows_all_of_it(server: Served, windows: Windows) -> None:
    names = ("a" * 32, "b" * 32)
    alice, _ = [windows.enter(server, name) for name in names]
    for name in names:
        shown = alice.members.get_by_text(name, exact=True)
        expect(shown).to_have_attribute("title", name)
        assert shown.evaluate("name => name.scrollWidth > name.clientWidth")


def test_a_disabled_message_field_looks_disabled(server: Served, windows: Windows, axe: str) -> None:
    alice = windows.enter(server, "alice")
    send = alice.page.get_by_role("button", name="Send")
    colours = [part.evaluate("part => getComputedStyle(part).backgroundColor") for part in (alice.field, send)]
    alice.say("/leave")
    expect(alice.field).to_be_disabled()
    for part, colour in zip((alice.field, send), colours, strict=True):
        expect(part).not_to_have_css("background-color", colour)
    assert problems(alice.page, axe) == []


def test_everything_can_be_done_by_keyboard(server: Served, windows: Windows) -> None:
    page = windows.open(http(server))
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("alice")
    page.keyboard.press("Enter")
    alice = Guest(page)
    expect(alice.members).to_contain_text("alice")
    expect(alice.field).to_be_focused()
    page.keyboard.type("Hello!")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("And more.")
    page.keyboard.press("Enter")
    expect(alice.log.locator(".message .text")).to_have_text("Hello!\nAnd more.")
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.id") == "join-room":
            break
    page.keyboard.type("tea")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="tea", exact=True)).to_be_visible()


def test_the_focused_element_is_visible(server: Served, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.field.focus()
    seen = []
    for _ in range(6):
        alice.page.keyboard.press("Tab")
        seen.append(
            alice.page.evaluate("""() => {
                const style = getComputedStyle(document.activeElement);
                return document.activeElement === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none";
            }""")
        )
    assert all(seen)


def test_a_screen_reader_gets_new_messages_but_not_the_history(server: Served, windows: Windows) -> None:
    bob = windows.enter(server, "bob")
    bob.say("an old one")
    bob.hears("an old one")
    alice = windows.enter(server, "alice")
    alice.hears("an old one")
    announced = alice.page.locator("[aria-live=polite]")
    bob.say("a new one")
    expect(announced).to_contain_text("bob: a new one")
    bob.say("/me jumps")
    expect(announced).to_contain_text("bob jumps")
    expect(announced).not_to_contain_text("an old one")


def test_the_page_is_small(server: Served, windows: Windows) -> None:
    sizes: dict[str, int] = {}
    page = windows.open("about:blank")
    page.on("requestfinished", lambda request: sizes.update({request.url: request.sizes()["responseBodySize"]}))
    page.goto(http(server), wait_until="networkidle")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert len(sizes) == 4
    assert sum(sizes.values()) <= MAX_BYTES, sizes
    assert all(url.startswith(http(server)) for url in sizes)


def test_the_page_is_drawn_before_the_websocket_is_open(server: Served, windows: Windows) -> None:
    page = windows.open("about:blank")
    page.route_web_socket("**", lambda _: None)  # it is never opened
    page.goto(http(server))
    expect(page.get_by_role("navigation", name="Rooms")).to_be_visible()
    expect(page.get_by_role("textbox", name="Message")).to_be_attached()
    until(page, "performance.getEntriesByName('first-contentful-paint').length === 1")
