"""The examples of docs/wsgi.md run, and the names in the tables of docs/coming-from.md exist, on both sides."""

from __future__ import annotations

import inspect
import re
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import websocket
import websockets.exceptions
import websockets.sync.client
import websockets.sync.connection
import websockets.sync.router
import websockets.sync.server

import wschat
from tests.concurrency import TIMEOUT
from tests.documents import COMING_FROM, WSGI, code_in
from tests.wsgi.conftest import needs_gunicorn
from tests.wsgi.wiring import OpenServer, check_echo, running_gunicorn

# The settings and the application that the views of an example need.
DJANGO_SITE = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(SECRET_KEY="secret", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF="urls")
django.setup()
application = get_wsgi_application()
"""


def names_of(containing: str) -> dict[str, Any]:
    """Run an example as an imported module, and return its names."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(WSGI.example("python", containing).code, names)
    return names


def test_the_first_example_of_flask(werkzeug: OpenServer) -> None:
    pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")
    check_echo(f"ws://127.0.0.1:{werkzeug(names_of('/echo')['app']).port}/echo")


def test_the_example_of_flask_with_a_hub(werkzeug: OpenServer) -> None:
    pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")
    port = werkzeug(names_of("hub.join(ws.connection)")["app"]).port
    with wschat.connect(f"ws://127.0.0.1:{port}/prices/TEA") as ws:
        ws.send("3.50")
        assert ws.recv(TIMEOUT) == "TEA: 3.50"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/news", data=b"", timeout=TIMEOUT) as response:
            assert response.read() == b"told\n"
        assert ws.recv(TIMEOUT) == "There is news."


def test_the_example_of_django(tmp_path: Path) -> None:
    pytest.importorskip("django", reason="needs Django: pip install '.[dev]'")
    needs_gunicorn()
    (tmp_path / "urls.py").write_text(WSGI.example("python", "urlpatterns").code)
    (tmp_path / "example_site.py").write_text(DJANGO_SITE)
    with (
        running_gunicorn("example_site:application", tmp_path, "--chdir", str(tmp_path)) as program,
        wschat.connect(program.url("/rooms/tea")) as ws,
    ):
        ws.send("Hello!")
        assert ws.recv(TIMEOUT) == "tea: Hello!"
        with urllib.request.urlopen(f"http://127.0.0.1:{program.port}/news", timeout=TIMEOUT) as response:
            assert response.read() == b"told\n"
        assert ws.recv(TIMEOUT) == "There is news."


def test_the_example_of_any_application(werkzeug: OpenServer) -> None:
    port = werkzeug(names_of("wschat.wsgi.accept(")["app"]).port
    check_echo(f"ws://127.0.0.1:{port}/", origin="https://app.example.com", subprotocols=["v1"])
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(f"ws://127.0.0.1:{port}/", origin="https://evil.example")
    assert failed.value.status == 403


def test_the_example_of_the_chat(werkzeug: OpenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")
    monkeypatch.chdir(tmp_path)
    app = names_of("ChatMiddleware")["app"]
    port = werkzeug(app).port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT) as page:
        assert b'href="/chat/"' in page.read()
    with wschat.connect(f"ws://127.0.0.1:{port}/chat/") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
    app.wsgi_app.close()
    assert (tmp_path / "history.sqlite").exists()


# The tables

CALL = re.compile(r"([\w.]+)\((.*)\)")
WEBSOCKETS: Mapping[str, Any] = {
    "ws": websockets.sync.server.ServerConnection,
    "server": websockets.sync.server.Server,
    "serve": websockets.sync.server.serve,
    "connect": websockets.sync.client.connect,
    "route": websockets.sync.router.route,
    "broadcast": getattr(websockets.sync.connection, "broadcast", None),
    **{name: getattr(websockets.exceptions, name) for name in ("ConnectionClosedOK", "ConnectionClosedError", "InvalidStatus")},
}
WEBSOCKET_CLIENT: Mapping[str, Any] = {
    "ws": websocket.WebSocket,
    "run_forever": websocket.WebSocketApp.run_forever,
    "create_connection": websocket.create_connection,
    "WebSocketApp": websocket.WebSocketApp,
    **{name: getattr(websocket, name) for name in dir(websocket) if name.endswith("Exception")},
}
WSCHAT: Mapping[str, Any] = {
    "ws": wschat.Connection,
    "hub": wschat.Hub,
    "server": wschat.WebSocketServer,
    "wschat": wschat,
    **{name: getattr(wschat, name) for name in wschat.__all__},
}
# Attributes of connections that their constructors set, and options that are passed on as `**options`.
SET_IN_CONSTRUCTORS = {"path_params", "remote_address", "subprotocol", "latency"}


def check_name(names: Mapping[str, Any], code: str) -> None:
    """Check that a call or an attribute, as `ws.recv(timeout=)`, exists with its keywords."""
    call = CALL.fullmatch(code)
    first, *rest = (call[1] if call else code).split(".")
    found = names[first]
    for name in rest:
        if name in SET_IN_CONSTRUCTORS:
            return
        found = getattr(found, name)
    if call:
        check_keywords(found, re.findall(r"(\w+)=", call[2]))


def check_keywords(function: Callable[..., Any], keywords: list[str]) -> None:
    parameters = inspect.signature(function).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        assert set(keywords) <= parameters.keys(), function


TABLES: list[tuple[str, Mapping[str, Any]]] = [("websocket-client", WEBSOCKET_CLIENT)]
if WEBSOCKETS["broadcast"] is not None:  # the table is about websockets 17, which there is not for Python 3.10
    TABLES.append(("websockets", WEBSOCKETS))


@pytest.mark.parametrize(("heading", "names"), TABLES)
def test_the_names_in_a_table_exist(heading: str, names: Mapping[str, Any]) -> None:
    for theirs, ours in COMING_FROM.table(heading):
        for code in code_in(theirs):
            if re.match(r"[\w.]+(\(|$)", code) and not code.startswith("on_"):
                check_name(names, code)
        for code in code_in(ours):
            if re.match(r"(ws|hub|server|wschat|serve|connect|Limits)\b", code):
                check_name(WSCHAT, code)


@pytest.mark.parametrize("heading", ["flask-sock", "Flask-SocketIO"])
def test_the_names_of_wschat_in_a_table_exist(heading: str) -> None:
    for _, ours in COMING_FROM.table(heading):
        for code in code_in(ours):
            if re.match(r"(hub\.|wschat\.\w+\(|Limits\()", code):
                check_name(WSCHAT, code)
