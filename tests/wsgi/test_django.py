"""Views of Django that open WebSockets, in each server that they run in. The settings of Django are those of a process."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.wsgi.conftest import needs_gunicorn
from tests.wsgi.wiring import Program, check_echo, running_gunicorn, running_program

pytest.importorskip("django", reason="needs Django: pip install '.[dev]'")

LISTENING = {"werkzeug": r"Running on http://127.0.0.1:(\d+)", "wschat": r"listening on ws://127.0.0.1:(\d+)"}


@pytest.fixture(scope="module", params=["gunicorn", "werkzeug", "wschat"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server of programs/django_views.py."""
    folder = tmp_path_factory.mktemp("django")
    if request.param == "gunicorn":
        needs_gunicorn()
        with running_gunicorn("django_views:application", folder) as program:
            yield program
    else:
        pytest.importorskip("werkzeug", reason="needs Werkzeug: pip install '.[dev]'")
        options = ["own"] if request.param == "wschat" else []
        with running_program(["django_views.py", *options], folder, LISTENING[request.param]) as program:
            yield program


def test_a_view_that_echoes_and_a_page(program: Program) -> None:
    check_echo(program.url())
    with urllib.request.urlopen(f"http://127.0.0.1:{program.port}/", timeout=TIMEOUT) as page:
        assert page.read() == b"This is a page."
    assert "Traceback" not in program.log()


def test_a_view_has_the_request_and_the_arguments_of_its_path(program: Program) -> None:
    with wschat.connect(program.url("/greet/bob"), subprotocols=["a"]) as ws:
        assert ws.recv(TIMEOUT) == "Hello bob at /greet/bob, by a!"
        with pytest.raises(wschat.ConnectionClosed) as closed:
            ws.recv(TIMEOUT)
    assert closed.value.code == 1000


def test_a_foreign_page_is_refused(program: Program) -> None:
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(program.url(), origin="https://evil.example")
    assert failed.value.status == 403


def test_a_view_that_fails_closes_with_1011_and_is_logged(program: Program) -> None:
    with wschat.connect(program.url("/fail")) as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    assert closed.value.code == 1011
    eventually(lambda: "LookupError: no such thing" in program.log())
    check_echo(program.url())
