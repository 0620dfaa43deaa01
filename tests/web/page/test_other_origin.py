"""The client for JavaScript in a page of another origin than the server's."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect

from tests.documents import JAVASCRIPT
from tests.server.command import Served, running
from tests.web.page.wiring import Windows, http

ORIGIN = "http://app.example"
CHAT = """async (url) => {
    const { ChatClient } = await import(`${url}wschat.js`);
    const chat = new ChatClient(url, { name: "alice", rooms: ["tea"], storage: sessionStorage });
    const heard = new Promise((resolve) => chat.on("message", ({ from, text }) => resolve(`${from}: ${text}`)));
    return [await chat.say("tea", "Hello from another page!"), await heard];
}"""


def open_page(windows: Windows, content: str = "<!doctype html><title>Another page</title>") -> Page:
    """Open a page of another origin."""

    def answer(route: Route) -> None:
        route.fulfill(body=content, content_type="text/html")

    page = windows.open("about:blank")
    page.route(f"{ORIGIN}/**", answer)
    page.goto(f"{ORIGIN}/")
    return page


def test_a_page_of_an_allowed_origin_chats(windows: Windows) -> None:
    with running("--port", "0", "--history", "memory", "--origin", ORIGIN) as server:
        assert open_page(windows).evaluate(CHAT, http(server)) == [1, "alice: Hello from another page!"]


def test_the_page_of_the_documentation(windows: Windows) -> None:
    example = JAVASCRIPT.example("html", "/wschat.js")
    with running("--port", "0", "--history", "memory", "--origin", ORIGIN) as server:
        page = open_page(windows, example.code.replace("8080", str(server.port)))
        page.get_by_label("Message").fill("Hello!")
        page.get_by_label("Message").press("Enter")
        expect(page.get_by_role("listitem")).to_have_text(["alice: Hello!"])
        page.reload()
        expect(page.get_by_role("listitem")).to_have_text(["alice: Hello!"])  # its guest has the name back


def test_a_page_of_another_origin_gets_the_client_and_is_told_why_it_may_not_connect(server: Served, windows: Windows) -> None:
    refused = open_page(windows).evaluate(
        f"(url) => ({CHAT})(url).catch(({{ code, status, message }}) => [code, status, message])", http(server)
    )
    assert refused[:2] == ["forbidden", 403]
    assert "Pages from 'http://app.example' may not connect to this server" in refused[2]
    assert all("403" in complaint for complaint in windows.complaints)  # the browser logs each refusal
    windows.complaints.clear()
