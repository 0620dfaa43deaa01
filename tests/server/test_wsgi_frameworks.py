"""Applications of Flask and Django on the port of the WebSockets, with a client like a browser."""

from __future__ import annotations

import http.cookiejar
import io
import itertools
import json
import tracemalloc
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from wsgiref.validate import validator

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, until_logged

PARTS = ["one\n", "two\n", "three\n"]
BLOCK = bytes(1 << 16)
BLOCKS = 512  # 32 MiB
MAX_MEMORY_BYTES = 8 << 20


class Browser:
    """Sends requests, and keeps cookies."""

    def __init__(self, server: wschat.WebSocketServer) -> None:
        self.url = f"http://127.0.0.1:{server.port}"
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Return the status and the body of the response; with data, the request is a POST."""
        request = urllib.request.Request(self.url + path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


def form_with_file(content: bytes) -> tuple[bytes, str]:
    """Return the body of a form with a text and a file, and its content type."""
    boundary = "a-boundary"
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; name=note\r\n\r\nhello\r\n".encode(),
        f"--{boundary}\r\nContent-Disposition: form-data; name=file; filename=a.bin\r\n\r\n".encode(),
        content,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    return b"".join(lines), f"multipart/form-data; boundary={boundary}"


def check_memory(browser: Browser) -> None:
    """Check that a large file can be sent and received without being kept in memory."""
    _, content_type = form_with_file(b"")
    beginning, end = form_with_file(BLOCK)[0].split(BLOCK)
    request = urllib.request.Request(f"{browser.url}/upload", itertools.chain([beginning], itertools.repeat(BLOCK, BLOCKS), [end]))
    request.add_header("Content-Type", content_type)
    request.add_header("Content-Length", str(len(beginning) + len(BLOCK) * BLOCKS + len(end)))
    tracemalloc.start()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            assert response.read() == b"hello %d" % (len(BLOCK) * BLOCKS)
        with urllib.request.urlopen(f"{browser.url}/download", timeout=TIMEOUT) as response:
            assert sum(map(len, iter(lambda: response.read(len(BLOCK)), b""))) == len(BLOCK) * BLOCKS
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY_BYTES
    finally:
        tracemalloc.stop()


def check_application(browser: Browser, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Check the functions that both applications have."""
    assert browser.get("/hello?name=caf%C3%A9") == (200, "Hello café!")
    assert browser.get("/nowhere")[0] == 404
    data, content_type = form_with_file(bytes(300_000))
    assert browser.get("/upload", data, Content_Type=content_type) == (200, "hello 300000")
    assert browser.get("/json", b'{"a": 1}', Content_Type="application/json") == (200, '{"a": 1}')
    assert browser.get("/stream") == (200, "".join(PARTS))
    assert browser.get("/file") == (200, path.read_text())
    assert browser.get("/fail")[0] == 500
    assert until_logged(caplog, "/fail").exc_info


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that the applications send."""
    path = tmp_path / "file.txt"
    path.write_text("0123456789" * 10_000)
    return path


# Flask


@pytest.fixture
def flask_app(path: Path) -> Any:
    flask = pytest.importorskip("flask", reason="needs Flask: pip install flask")
    app = flask.Flask("example", static_url_path="/static", static_folder=str(Path(__file__).parent))
    app.secret_key = "for the tests"

    def hello() -> str:
        return f"Hello {flask.request.args['name']}!"

    def login() -> str:
        flask.session["user"] = flask.request.args["name"]
        return "ok"

    def upload() -> str:
        return f"{flask.request.form['note']} {flask.request.files['file'].seek(0, io.SEEK_END)}"

    def repeat() -> str:
        return json.dumps(flask.request.get_json())

    def stream() -> Any:
        return flask.Response(iter(PARTS), mimetype="text/plain")

    def download() -> Any:
        return flask.Response(itertools.repeat(BLOCK, BLOCKS), mimetype="application/octet-stream")

    def file() -> Any:
        return flask.send_file(path, conditional=True)

    def fail() -> str:
        raise ZeroDivisionError

    for view in (hello, login, stream, download, file, fail):
        app.add_url_rule(f"/{view.__name__}", view_func=view)
    app.add_url_rule("/upload", view_func=upload, methods=["POST"])
    app.add_url_rule("/json", view_func=repeat, methods=["POST"])
    return app


def test_a_flask_application(serve: ServerFactory, flask_app: Any, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for app in (flask_app, validator(flask_app)):
        browser = Browser(serve(lambda ws: None, wsgi=app))
        check_application(browser, path, caplog)
        assert browser.get("/file", Range="bytes=10-14") == (206, "01234")
        assert browser.get("/file", Range="bytes=999990-1000010")[0] == 416
        assert browser.get("/static/test_wsgi_frameworks.py", Range="bytes=0-2") == (206, '"""')


def test_large_bodies_of_flask_are_not_kept_in_memory(serve: ServerFactory, flask_app: Any) -> None:
    check_memory(Browser(serve(lambda ws: None, wsgi=flask_app)))


def test_a_login_with_flask_applies_to_pages_and_websockets(serve: ServerFactory, flask_app: Any) -> None:
    import flask

    def handler(ws: wschat.Connection) -> None:
        with flask_app.test_request_context(headers={"Cookie": ws.headers.get("cookie", "")}):
            ws.send(flask.session.get("user", "nobody"))

    server = serve({"/ws": handler}, wsgi=flask_app)
    browser = Browser(server)
    for name in ("nobody", "alice"):
        if name == "alice":
            assert browser.get(f"/login?{urlencode({'name': name})}") == (200, "ok")
        with wschat.connect(f"ws://127.0.0.1:{server.port}/ws", cookies=browser.cookies) as ws:
            assert ws.recv(TIMEOUT) == name


# Django


@pytest.fixture(scope="module")
def django_app() -> Any:
    django = pytest.importorskip("django", reason="needs Django: pip install django")
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
        LOGGING_CONFIG=None,
        ROOT_URLCONF=__name__,
        SECRET_KEY="for the tests",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"],
    )
    django.setup()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


FILE: list[Path] = []
"""The file that the application of Django sends."""


def _urlpatterns() -> list[Any]:
    from django.http import FileResponse, HttpResponse, StreamingHttpResponse
    from django.urls import path as url

    def login(request: Any) -> Any:
        request.session["user"] = request.GET["name"]
        return HttpResponse("ok")

    def fail(request: Any) -> Any:
        raise ZeroDivisionError

    return [
        url("hello", lambda request: HttpResponse(f"Hello {request.GET['name']}!")),
        url("login", login),
        url("upload", lambda request: HttpResponse(f"{request.POST['note']} {request.FILES['file'].size}")),
        url("json", lambda request: HttpResponse(json.dumps(json.load(request)))),
        url("stream", lambda request: StreamingHttpResponse(iter(PARTS))),
        url("download", lambda request: StreamingHttpResponse(itertools.repeat(BLOCK, BLOCKS))),
        url("file", lambda request: FileResponse(FILE[0].open("rb"))),
        url("fail", fail),
    ]


def __getattr__(name: str) -> Any:
    if name == "urlpatterns":  # Django asks for it when it is configured
        return _urlpatterns()
    raise AttributeError(name)


def test_a_django_application(
    serve: ServerFactory, django_app: Any, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.FILE", [path])
    for app in (django_app, validator(django_app)):
        check_application(Browser(serve(lambda ws: None, wsgi=app)), path, caplog)


def test_large_bodies_of_django_are_not_kept_in_memory(serve: ServerFactory, django_app: Any) -> None:
    check_memory(Browser(serve(lambda ws: None, wsgi=django_app)))


def test_a_login_with_django_applies_to_pages_and_websockets(serve: ServerFactory, django_app: Any) -> None:
    from importlib import import_module

    from django.conf import settings

    def handler(ws: wschat.Connection) -> None:
        session = import_module(settings.SESSION_ENGINE).SessionStore(ws.cookies.get(settings.SESSION_COOKIE_NAME))
        ws.send(session.get("user", "nobody"))

    server = serve({"/ws": handler}, wsgi=django_app)
    browser = Browser(server)
    assert browser.get("/login?name=alice") == (200, "ok")
    with wschat.connect(f"ws://127.0.0.1:{server.port}/ws", cookies=browser.cookies) as ws:
        assert ws.recv(TIMEOUT) == "alice"
