"""Fixtures for the tests inside other WSGI servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.wsgi.wiring import OpenServer, Program, running_gunicorn, running_program, running_werkzeug


@pytest.fixture
def werkzeug() -> Iterator[OpenServer]:
    """Starts Werkzeug's server for an application."""
    pytest.importorskip("werkzeug", reason="needs Werkzeug: pip install '.[dev]'")
    with ExitStack() as servers:

        def start(app: Any, **options: Any) -> Any:
            return servers.enter_context(running_werkzeug(app, **options))

        yield start


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """gunicorn with threads, which serves programs/flask_echo.py to the tests of a module."""
    needs_gunicorn()
    pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")
    with running_gunicorn("flask_echo:app", tmp_path_factory.mktemp("gunicorn")) as program:
        yield program


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """programs/flask_echo.py in Werkzeug's server with its debugger."""
    pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")
    with running_program(["flask_echo.py"], tmp_path_factory.mktemp("debug"), r"Running on http://127.0.0.1:(\d+)") as program:
        yield program


def needs_gunicorn() -> None:
    """Skip a test where gunicorn is missing."""
    pytest.importorskip("gunicorn", reason="needs gunicorn, which runs on POSIX systems: pip install '.[dev]'")
