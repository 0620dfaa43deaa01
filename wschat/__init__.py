"""Threaded, synchronous WebSockets: a server, a client, and a chat server.

An echo server and its client::

    import wschat

    def echo(ws):
        for message in ws:
            ws.send(message)

    with wschat.serve(echo, port=0) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
            ws.send("Hello!")
            answer = ws.recv(timeout=5)

Start here: serve, connect, Hub. Both sides of a connection are a Connection. Limits and Deflate configure it, and the errors
are one tree below WSChatError. The chat runs with `python -m wschat.server`.
"""

from typing import TYPE_CHECKING

import wschat.dependencies  # noqa: F401  # before the modules that import them

__all__ = [
    "Attempt",
    "Bot",
    "ChatClient",
    "CloseCode",
    "Connection",
    "ConnectionClosed",
    "Deflate",
    "EventsResponse",
    "HistoryUnavailable",
    "Hub",
    "IS_COMPILED",
    "Limits",
    "OpeningFailed",
    "OutcomeUnknown",
    "PeerError",
    "ProtocolViolation",
    "Reconnect",
    "Rejected",
    "Request",
    "RequestRefused",
    "Response",
    "ServerConfig",
    "UsageError",
    "WSChatError",
    "WebSocketHandler",
    "WebSocketServer",
    "connect",
    "publish",
    "reconnect",
    "serve",
]

if TYPE_CHECKING:
    from wschat.chat.publishing import publish
    from wschat.client.bot.bot import Bot
    from wschat.client.chat.client import ChatClient
    from wschat.client.connect import connect
    from wschat.client.reconnect import Attempt, Reconnect, reconnect
    from wschat.compiled import IS_COMPILED
    from wschat.connection.connection import Connection
    from wschat.errors import (
        ConnectionClosed,
        HistoryUnavailable,
        OpeningFailed,
        OutcomeUnknown,
        PeerError,
        ProtocolViolation,
        Rejected,
        RequestRefused,
        UsageError,
        WSChatError,
    )
    from wschat.hub import Hub
    from wschat.limits import Limits
    from wschat.protocol.deflate import Deflate
    from wschat.protocol.frames import CloseCode
    from wschat.server.config import ServerConfig
    from wschat.server.requests import Request
    from wschat.server.responses import EventsResponse, Response
    from wschat.server.serve import serve
    from wschat.server.server import WebSocketHandler, WebSocketServer
else:  # a type checker would take `__getattr__` to mean that any name exists
    # Each is imported when it is first used (PEP 562), so that commands and the pytest plugin load only what they need.
    _MODULES = {
        "IS_COMPILED": "wschat.compiled",
        "Attempt": "wschat.client.reconnect",
        "Bot": "wschat.client.bot.bot",
        "ChatClient": "wschat.client.chat.client",
        "CloseCode": "wschat.protocol.frames",
        "Connection": "wschat.connection.connection",
        "ConnectionClosed": "wschat.errors",
        "Deflate": "wschat.protocol.deflate",
        "EventsResponse": "wschat.server.responses",
        "HistoryUnavailable": "wschat.errors",
        "Hub": "wschat.hub",
        "Limits": "wschat.limits",
        "OpeningFailed": "wschat.errors",
        "OutcomeUnknown": "wschat.errors",
        "PeerError": "wschat.errors",
        "ProtocolViolation": "wschat.errors",
        "Reconnect": "wschat.client.reconnect",
        "Rejected": "wschat.errors",
        "Request": "wschat.server.requests",
        "RequestRefused": "wschat.errors",
        "Response": "wschat.server.responses",
        "ServerConfig": "wschat.server.config",
        "UsageError": "wschat.errors",
        "WSChatError": "wschat.errors",
        "WebSocketHandler": "wschat.server.server",
        "WebSocketServer": "wschat.server.server",
        "connect": "wschat.client.connect",
        "publish": "wschat.chat.publishing",
        "reconnect": "wschat.client.reconnect",
        "serve": "wschat.server.serve",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
