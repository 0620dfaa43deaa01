"""The page of a chat below a path of an application, inside Werkzeug's server."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.server.command import Served
from tests.web.page.wiring import Windows
from tests.web.test_middleware import app
from tests.wsgi.wiring import running_werkzeug
from wschat.web.middleware import ChatMiddleware


def test_two_users_talk(windows: Windows) -> None:
    pytest.importorskip("werkzeug", reason="needs Werkzeug: pip install '.[dev]'")
    with closing(ChatMiddleware(app)) as chat, running_werkzeug(chat) as server:
        served = Served("127.0.0.1", server.port, "/chat")
        alice, bob = windows.enter(served, "alice"), windows.enter(served, "bob")
        alice.say("Hello, bob!")
        bob.hears("Hello, bob!")
        bob.say("Hello, alice!")
        alice.hears("Hello, alice!")
        windows.close()
