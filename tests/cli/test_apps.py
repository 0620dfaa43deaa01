"""The applications that the command serves."""

from __future__ import annotations

import pytest

from wschat.cli.apps import CHAT, load_wsgi, open_app, wsgi_only
from wschat.cli.chat import ChatConfig
from wschat.errors import UsageError
from wschat.server.server import WebSocketHandler


@pytest.mark.parametrize(("history", "description"), [("memory", "chat (history: memory)"), ("off", "chat")])
def test_the_chat_has_a_site_and_a_subprotocol(history: str, description: str) -> None:
    with open_app(CHAT, ChatConfig(history=history), 1000) as app:
        assert app.description == description
        assert app.site is not None
        assert app.subprotocols == ("wschat.v1",)


def test_a_handler_has_neither_site_nor_subprotocol() -> None:
    with open_app("wschat.apps:echo", ChatConfig(), 1000) as app:
        assert (app.description, app.site, app.subprotocols) == ("wschat.apps:echo", None, ())
        assert issubclass(app.handler_class, WebSocketHandler)


def test_an_error_of_a_handler_names_the_application() -> None:
    with (
        pytest.raises(UsageError, match=r"^--app builtins:int: a handler class must be a WebSocketHandler"),
        open_app("builtins:int", ChatConfig(), 0),
    ):
        pass


@pytest.mark.parametrize(
    ("config", "flag"), [(ChatConfig(auth_secret_file="secret"), "--auth-secret-file"), (ChatConfig(moderators={"a": "b"}), "--moderator")]
)
def test_settings_that_would_not_protect_a_handler_are_refused(config: ChatConfig, flag: str) -> None:
    with pytest.raises(UsageError, match=f"^{flag} is for the chat, and does not protect"), open_app("wschat.apps:echo", config, 0):
        pass


def test_a_server_of_a_wsgi_application_alone_has_no_websockets() -> None:
    app = wsgi_only("mine:app")
    assert (app.description, app.site, app.has_websockets) == ("mine:app", None, False)


@pytest.mark.parametrize(("name", "error"), [("wsgiref", "MODULE:APP"), ("wsgiref:nothing", "nothing"), ("wsgiref:__name__", "callable")])
def test_an_error_of_a_wsgi_application_names_the_option(name: str, error: str) -> None:
    with pytest.raises(UsageError, match=f"^--wsgi .*{error}"):
        load_wsgi(name)
