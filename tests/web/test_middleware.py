"""The chat below a path of an application, inside Werkzeug's server."""

from __future__ import annotations

import io
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory
from tests.web.wiring import Answer, Http, plain
from tests.wsgi.wiring import running_werkzeug
from wschat.chat.chat import SUBPROTOCOLS
from wschat.web.middleware import ChatMiddleware
from wschat.wsgi import handler_for


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The application around the chat."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"This is the application, at ", environ["PATH_INFO"].encode()]


class Mounted:
    """A chat below /chat in Werkzeug's server."""

    def __init__(self, server: Any) -> None:
        self.port: int = server.port

    def call(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request, as Werkzeug closes each connection on one of its own."""
        with Http.to(self) as http:  # type: ignore[arg-type]  # has a port
            return http.call(plain(method, target, body, **headers))

    def get(self, target: str, **headers: str) -> Answer:
        return self.call("GET", target, b"", **headers)

    def connect(self, path: str = "/chat/rooms/tea", **options: Any) -> wschat.Connection:
        return wschat.connect(f"ws://127.0.0.1:{self.port}{path}", **options)


@pytest.fixture
def mount() -> Iterator[Callable[..., Mounted]]:
    """Puts a chat below a path of `app`, and serves both."""
    pytest.importorskip("werkzeug", reason="needs Werkzeug: pip install '.[dev]'")
    with ExitStack() as undo:

        def start(**options: Any) -> Mounted:
            chat = ChatMiddleware(app, **options)
            undo.callback(chat.close)
            return Mounted(undo.enter_context(running_werkzeug(chat)))

        yield start


Mount = Callable[..., Mounted]


def call(application: Any, **changes: Any) -> tuple[str, bytes]:
    """Call an application, checked by wsgiref. Return the status and the body of its response."""
    environ: dict[str, Any] = {"QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
    setup_testing_defaults(environ)
    environ.update(changes)
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return statuses.append  # type: ignore[return-value]  # never called

    body = validator(application)(environ, start_response)
    content = b"".join(body)
    body.close()  # type: ignore[attr-defined]
    return statuses[0], content


# Requests


@pytest.mark.parametrize("path", ["/", "/chatter", "/elsewhere/chat"])
def test_other_paths_are_for_the_application(mount: Mount, path: str) -> None:
    assert mount().get(path).body == b"This is the application, at " + path.encode()


def test_the_page_and_its_files(mount: Mount) -> None:
    chat = mount()
    answer = chat.get("/chat")
    assert (answer.status, answer.headers["location"]) == (308, "/chat/")
    page = chat.get("/chat/", Accept="text/html")
    assert page.status == 200
    assert page.body.startswith(b"<!doctype html>")
    head = chat.call("HEAD", "/chat/", Accept="text/html")
    assert (head.status, head.headers["content-length"]) == (200, page.headers["content-length"])
    assert chat.get("/chat/nothing").code == "not-found"


def test_a_post_reaches_a_websocket_and_the_api(mount: Mount) -> None:
    chat = mount()
    with chat.connect("/chat/?name=bob", subprotocols=SUBPROTOCOLS) as ws:
        assert ws.subprotocol == SUBPROTOCOLS[0]
        ws.send(json.dumps({"type": "join", "room": "tea"}))
        while json.loads(ws.recv(TIMEOUT))["type"] != "joined":
            pass
        posted = chat.call("POST", "/chat/api/rooms/tea/messages", b'{"text": "tea is ready", "name": "kitchen"}')
        assert (posted.status, posted.json["seq"]) == (201, 1)
        event = json.loads(ws.recv(TIMEOUT))
        assert (event["from"], event["text"]) == ("kitchen", "tea is ready")
    messages = chat.get("/chat/api/rooms/tea/messages").json["messages"]
    assert [message["text"] for message in messages] == ["tea is ready"]


def test_clients_with_plain_text_talk(mount: Mount) -> None:
    chat = mount(path="/talk/here")
    with chat.connect("/talk/here/rooms/tea?name=alice") as alice, chat.connect("/talk/here/rooms/tea?name=bob") as bob:
        bob.send("here")
        assert [bob.recv(TIMEOUT) for _ in range(2)] == ["Welcome to the chat!", "bob: here"]
        alice.send("hello")
        assert bob.recv(TIMEOUT) == "alice: hello"


def test_a_path_without_a_room_is_refused(mount: Mount) -> None:
    with pytest.raises(wschat.OpeningFailed) as failed:
        mount().connect("/chat/nothing")
    assert failed.value.status == 404


def test_event_streams_are_not_available(mount: Mount) -> None:
    chat = mount()
    answer = chat.get("/chat/api/rooms/tea/events")
    assert (answer.status, answer.code) == (501, "not-implemented")
    assert chat.get("/chat/api/rooms/tea/export").status == 200


def test_the_dashboard_counts_the_websockets(mount: Mount) -> None:
    chat = mount(limits=wschat.Limits(close_timeout=4.75))
    with chat.connect():
        # The connections of earlier tests in this process may still be ending.
        eventually(lambda: b'wschat_connections{kind="websocket"} 1.0' in chat.get("/chat/metrics").body)


def test_a_body_that_is_too_large_is_refused(mount: Mount) -> None:
    answer = mount(limits=wschat.Limits(max_message_bytes=100)).call("POST", "/chat/api/rooms/tea/messages", b"x" * 101)
    assert answer.status == 413


def test_a_body_is_read_to_its_length_and_no_further() -> None:
    chat = ChatMiddleware(app)
    body = b'{"text": "hello"}'
    post = {"REQUEST_METHOD": "POST", "PATH_INFO": "/chat/api/rooms/tea/messages", "CONTENT_LENGTH": str(len(body))}
    assert call(chat, **post, **{"wsgi.input": io.BytesIO(body + b"the next request")})[0] == "201 Created"
    status, content = call(chat, **post, **{"wsgi.input": io.BytesIO(body[:5])})
    assert (status, json.loads(content)["text"]) == ("400 Bad Request", "The body is shorter than its Content-Length.")
    chat.close()


def test_a_body_without_a_length_is_read_if_the_server_ends_it() -> None:
    chat = ChatMiddleware(app)
    post = {"REQUEST_METHOD": "POST", "PATH_INFO": "/chat/api/rooms/tea/messages", "wsgi.input": io.BytesIO(b'{"text": "hello"}')}
    assert call(chat, **post)[0] == "400 Bad Request"
    assert call(chat, **post, **{"wsgi.input_terminated": True})[0] == "201 Created"
    chat.close()


# Origins


def test_pages_of_other_origins_are_refused_unless_listed(mount: Mount) -> None:
    chat = mount(origins=["https://app.example"])
    assert chat.get("/chat/api/rooms", Origin="https://evil.example").status == 403
    listed = chat.get("/chat/api/rooms", Origin="https://app.example")
    assert (listed.status, listed.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert chat.get("/chat/wschat.js", Origin="https://evil.example").headers["access-control-allow-origin"] == "*"  # it is public
    preflight = chat.call("OPTIONS", "/chat/api/rooms", Origin="https://app.example", Access_Control_Request_Method="POST")
    assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (204, "GET, HEAD, POST")
    with pytest.raises(wschat.OpeningFailed) as failed:
        chat.connect(origin="https://evil.example")
    assert failed.value.status == 403
    chat.connect(origin="https://app.example").close()


# The history


def test_a_history_in_a_file_is_opened_by_the_first_request_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "history.sqlite"
    post = {"REQUEST_METHOD": "POST", "PATH_INFO": "/chat/api/rooms/tea/messages", "CONTENT_LENGTH": "17"}
    for _ in range(2):
        chat = ChatMiddleware(app, history=str(path))
        other = ChatMiddleware(app, history=str(path))  # as in the process of a reloader
        assert call(chat, **post, **{"wsgi.input": io.BytesIO(b'{"text": "hello"}')})[0] == "201 Created"
        assert call(other, PATH_INFO="/chat/api/rooms")[0] == "503 Service Unavailable"
        assert "is in use by another server" in caplog.text
        chat.close()
        other.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (2,)
    database.close()


def test_a_history_that_cannot_be_opened_is_tried_again_by_the_next_request(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("This is a file so far.")
    chat = ChatMiddleware(app, history=str(folder / "history.sqlite"))
    assert call(chat, PATH_INFO="/chat/api/rooms")[0] == "503 Service Unavailable"
    folder.unlink()
    folder.mkdir()
    assert call(chat, PATH_INFO="/chat/api/rooms")[0] == "200 OK"
    chat.close()


# Elsewhere


def test_the_chat_below_a_path_in_the_server_of_wschat(serve: ServerFactory) -> None:
    chat = ChatMiddleware(app)
    server = serve(handler_for(chat), wsgi=chat, subprotocols=SUBPROTOCOLS)
    with wschat.connect(f"ws://127.0.0.1:{server.port}/chat/rooms/tea?name=alice") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        ws.send("hello")
        assert ws.recv(TIMEOUT) == "alice: hello"
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/chat/api/rooms", timeout=TIMEOUT) as response:
        assert json.load(response)["rooms"][0]["room"] == "tea"
    server.stop()
    chat.close()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"path": ""}, wschat.UsageError, "the path of the chat must not be empty"),
        ({"path": "chat/"}, wschat.UsageError, "a path prefix is like /chat"),
        ({"origins": ["nonsense"]}, wschat.UsageError, "an origin is like"),
        ({"insiders": ["nonsense"]}, wschat.UsageError, "no address and no network"),
        ({"acess": None}, TypeError, "acess"),
    ],
)
def test_a_wrong_argument_is_an_error_at_once(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ChatMiddleware(app, **options)
