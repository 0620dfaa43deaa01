"""Views of Django that open WebSockets."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, until_logged
from tests.wsgi.wiring import OpenServer, check_echo
from wschat.wsgi import handler_for

django = pytest.importorskip("django", reason="needs Django: pip install '.[dev]'")

SETTINGS = {"DEBUG": False, "SECRET_KEY": "secret", "ALLOWED_HOSTS": ["127.0.0.1"], "ROOT_URLCONF": "tests.wsgi.test_django_urls"}


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    """A WSGI application of Django."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    from wschat.wsgi.django import websocket

    @websocket()
    def echo(request: HttpRequest, ws: wschat.Connection) -> None:
        for message in ws:
            ws.send(message)

    @websocket(subprotocols=["a"])
    def greet(request: HttpRequest, ws: wschat.Connection, name: str) -> None:
        ws.send(f"Hello {name} at {request.path}, by {ws.subprotocol}!")

    @websocket()
    def fail(request: HttpRequest, ws: wschat.Connection) -> None:
        raise LookupError("no such thing")

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("This is a page.")

    urls = types.ModuleType(SETTINGS["ROOT_URLCONF"])  # type: ignore[arg-type]
    urls.urlpatterns = [path("", page), path("echo", echo), path("greet/<name>", greet), path("fail", fail)]  # type: ignore[attr-defined]
    sys.modules[urls.__name__] = urls
    settings.configure(**SETTINGS)
    django.setup(set_prefix=False)
    yield get_wsgi_application()
    del sys.modules[urls.__name__]


def test_a_view_in_werkzeug(werkzeug: OpenServer, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check_echo(f"ws://127.0.0.1:{werkzeug(app).port}/echo")
    until_logged(caplog, '" 101')
    assert "Traceback" not in caplog.text


def test_a_view_in_the_server_of_wschat(serve: ServerFactory, app: Any) -> None:
    check_echo(f"ws://127.0.0.1:{serve(handler_for(app), wsgi=app).port}/echo")


def test_a_view_has_the_request_and_the_arguments_of_its_path(werkzeug: OpenServer, app: Any) -> None:
    with wschat.connect(f"ws://127.0.0.1:{werkzeug(app).port}/greet/bob", subprotocols=["a"]) as ws:
        assert ws.recv(TIMEOUT) == "Hello bob at /greet/bob, by a!"


def test_a_view_that_fails_closes_with_1011_and_is_logged(werkzeug: OpenServer, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with wschat.connect(f"ws://127.0.0.1:{werkzeug(app).port}/fail") as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    assert closed.value.code == 1011
    assert until_logged(caplog, "/fail").exc_info


@pytest.mark.parametrize(("path", "status"), [("/echo", 403), ("/elsewhere", 404)])
def test_a_refusal_is_a_response_of_django(werkzeug: OpenServer, app: Any, path: str, status: int) -> None:
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(f"ws://127.0.0.1:{werkzeug(app).port}{path}", origin="https://evil.example")
    assert failed.value.status == status
