"""The applications that `wschat serve` serves: the chat, a handler from a module or a file, and a WSGI application."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from wschat.brokers.opening import without_password
from wschat.chat.chat import SUBPROTOCOLS
from wschat.cli.chat import PROTECTING, ChatConfig, default_history, open_chat
from wschat.cli.loading import load_handler, load_object
from wschat.errors import UsageError
from wschat.server.handlers import check_class
from wschat.server.serve import NoWebSockets, make_handler_class
from wschat.server.server import WebSocketHandler
from wschat.server.wsgi import WsgiApp
from wschat.settings import settings_of
from wschat.web.site import Site

CHAT = "chat"
"""The name of the chat as an application."""


@dataclass(frozen=True)
class App:
    """An application that can be served."""

    description: str
    """The name, for people; for a chat with the place of its history."""
    handler_class: type[WebSocketHandler]
    """The handler of its WebSockets."""
    subprotocols: Sequence[str] = ()
    """The subprotocols that it speaks."""
    site: Site | None = None
    """The handler of its plain HTTP requests; None if it has none."""
    has_websockets: bool = True
    """False if it refuses all WebSockets."""


@contextmanager
def open_app(name: str, config: ChatConfig, max_message_bytes: int) -> Iterator[App]:
    """Open an application, and close it after the block. `config` is for the chat. Raises UsageError and HistoryUnavailable."""
    if name != CHAT:
        yield _load_app(name, config)
        return
    history = default_history() if config.history is None else config.history
    with closing(open_chat(config, history)) as chat, closing(Site(chat.http, max_message_bytes, config.insiders)) as site:
        description = name if history == "off" else f"{name} (history: {without_password(history)})"
        yield App(description, make_handler_class(chat.handle, chat.check_request), SUBPROTOCOLS, site)


def wsgi_only(name: str) -> App:
    """Return the application of a server that has a WSGI application of this name, and no WebSockets."""
    return App(name, NoWebSockets, has_websockets=False)


def load_wsgi(name: str) -> WsgiApp:
    """Import and return the application of `--wsgi`. Raises UsageError if there is none."""
    app: WsgiApp = load_object("--wsgi", name, "MODULE:APP or FILE.py:APP")
    if not callable(app):
        raise UsageError(f"--wsgi {name}: a WSGI application must be callable, not {app!r}")
    return app


def _load_app(name: str, config: ChatConfig) -> App:
    for setting in PROTECTING:
        if getattr(config, setting):
            flag = settings_of(config)[setting].metadata["option"].flag
            raise UsageError(f"{flag} is for the chat, and does not protect --app {name}")
    handler = load_handler(name)
    try:
        handler_class = make_handler_class(handler, None)
        check_class(handler_class, WebSocketHandler)
    except UsageError as error:
        raise UsageError(f"--app {name}: {error}") from None
    return App(name, handler_class)
