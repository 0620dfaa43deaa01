"""The examples of flask-sock's documentation, in each server that it names and that has threads, as Chromium sees them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.documents import ROOT
from tests.wsgi.conftest import needs_gunicorn
from tests.wsgi.wiring import Program, running_gunicorn, running_program

pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")

APP = "flask_sock_examples"
GUNICORN_26 = ROOT / ".cache/gunicorn-26"
"""Where scripts/test installs it, besides the newest one."""

# Opens the WebSockets, has each ended by the example's last message, and says what they received and how they ended.
CONVERSATIONS = """conversations => Promise.all(conversations.map(([path, messages, expected]) => new Promise(resolve => {
    const ws = new WebSocket(location.origin.replace('http', 'ws') + path);
    const received = [];
    ws.onopen = () => messages.forEach(message => ws.send(message));
    ws.onmessage = ({ data }) => { received.push(data); if (path == '/clock') ws.send('stop'); };
    ws.onerror = () => received.push('error');
    ws.onclose = ({ code, wasClean }) => resolve([path, received.map(data => data[0] == '{' ? 'a time' : data), code, wasClean]);
})))"""
ECHOES = ["/echo", "/late", "/main/echo"]


@pytest.fixture(scope="module", params=["Werkzeug", "Werkzeug in debug mode", "gunicorn", "gunicorn 26"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("server")
    if request.param.startswith("Werkzeug"):
        mode = ["debug"] if "debug" in request.param else []
        with running_program([f"{APP}.py", *mode], folder, r"Running on http://127.0.0.1:(\d+)") as program:
            yield program
        return
    needs_gunicorn()
    if request.param == "gunicorn":
        env = {}
    elif GUNICORN_26.exists():
        env = {"PYTHONPATH": f"{GUNICORN_26}:{ROOT}"}
    else:
        pytest.skip("needs gunicorn 26: pip install --no-deps --target .cache/gunicorn-26 'gunicorn==26.*', which scripts/test does")
    with running_gunicorn(f"{APP}:app", folder, env=env) as program:
        assert "26." in program.log() or request.param == "gunicorn"
        yield program


def test_each_example_ends_with_1000(browser: Browser, program: Program) -> None:
    complaints: list[str] = []
    conversations = [*([path, ["Hello!", "close"]] for path in ECHOES), ["/clock", []]]
    with browser.new_page() as page:  # gunicorn 26 waits for a page that keeps its connection open
        page.goto(f"http://127.0.0.1:{program.port}/")
        page.on("console", lambda message: complaints.append(message.text))
        ends = page.evaluate(CONVERSATIONS, conversations)
    assert ends == [*([path, ["Hello!"], 1000, True] for path in ECHOES), ["/clock", ["a time"], 1000, True]]
    assert complaints == []
    assert "Traceback" not in program.log()
