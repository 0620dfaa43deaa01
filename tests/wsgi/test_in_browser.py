"""WebSockets inside other servers, as Chromium sees them: each ends with a close frame, and nothing after it is an error."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.concurrency import eventually
from tests.wsgi.wiring import Program

# Opens a WebSocket and says what it received, and how the WebSocket ended.
CONVERSATION = """path => new Promise(resolve => {
    const ws = new WebSocket(location.origin.replace('http', 'ws') + path);
    const events = [];
    ws.onopen = () => ws.send('Hello!');
    ws.onmessage = event => { events.push(event.data); if (path == '/echo') ws.close(1000); };
    ws.onerror = () => events.push('error');
    ws.onclose = event => resolve([...events, event.code, event.wasClean]);
})"""


@pytest.mark.parametrize("server", ["debugging", "gunicorn"])
def test_a_websocket_ends_with_1000_for_either_side(browser: Browser, server: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(server)
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"http://127.0.0.1:{program.port}/")
    complaints.clear()  # there is no icon
    for path in ("/echo", "/once"):
        assert page.evaluate(CONVERSATION, path) == ["Hello!", 1000, True]
    assert page.evaluate(CONVERSATION, "/failing") == [1011, True]
    assert complaints == []
    page.close()
    eventually(lambda: "/once HTTP/1.1" in program.log())
