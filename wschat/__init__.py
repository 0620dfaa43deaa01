"""wschat: WebSockets for code that blocks."""

import wschat.dependencies  # noqa: F401  # before what imports them
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
