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

import wschat.dependencies  # noqa: F401  # before the modules that import them
from wschat.client.connect import connect
from wschat.connection.connection import Connection
from wschat.errors import (
    ConnectionClosed,
    OpeningFailed,
    PeerError,
    ProtocolViolation,
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

__all__ = [
    "CloseCode",
    "Connection",
    "ConnectionClosed",
    "Deflate",
    "EventsResponse",
    "Hub",
    "Limits",
    "OpeningFailed",
    "PeerError",
    "ProtocolViolation",
    "Request",
    "RequestRefused",
    "Response",
    "ServerConfig",
    "UsageError",
    "WSChatError",
    "WebSocketHandler",
    "WebSocketServer",
    "connect",
    "serve",
]
