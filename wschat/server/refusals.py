"""Refusals: the answer to those who do not get what they have asked for, and turning somebody away without spending a thread on it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http.client import responses

import h11

from wschat.connection.keepalive import Deadlines
from wschat.connection.streams import AT_ONCE
from wschat.errors import RequestRefused

_READ_BYTES = 4096
# What is still read of a refused client's request, and how long its answer is left to it.
_MAX_UNREAD_BYTES = 1 << 20
_SECONDS_TO_READ = 1.0
# More than this are not answered: they are closed at once.
_MAX_WAITING = 100

# What programs tell the errors by that are known by their status.
_CODES = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    421: "misdirected",
    426: "upgrade-required",
    429: "too-fast",
    431: "too-large",
    500: "failed",
    501: "not-implemented",
    503: "unavailable",
    505: "version-not-supported",
}


JSON = "application/json; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
"""The header by which browsers take an answer for nothing but what it says it is."""


def error_content(refusal: RequestRefused, code: str | None = None) -> dict[str, str]:
    """A refusal in JSON: a code for programs, and a sentence for people."""
    return {"code": code or _CODES.get(refusal.status, "refused"), "text": refusal.text}


def json_body(content: object) -> bytes:
    """The body of an answer in JSON."""
    return (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def response_to(refusal: RequestRefused, *, with_body: bool = True, in_json: bool = False) -> bytes:
    """The HTTP response that says no: a status, and a sentence as plain text, or the same in JSON."""
    body = json_body(error_content(refusal)) if in_json else (refusal.text + "\n").encode()
    headers = {
        "Content-Type": JSON if in_json else _TEXT,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **NOSNIFF,
        **refusal.headers,
    }
    http = h11.Connection(h11.SERVER)
    reason = responses.get(refusal.status, "")
    head = http.send(h11.Response(status_code=refusal.status, headers=list(headers.items()), reason=reason)) or b""
    return head + (http.send(h11.Data(data=body)) or b"" if with_body else b"")


def refuse(sock: socket.socket, refusal: RequestRefused, *, with_body: bool = True, in_json: bool = False) -> None:
    """Answer, end the stream, and read on until the client has left. For the connection's own thread: waits."""
    try:
        sock.sendall(response_to(refusal, with_body=with_body, in_json=in_json))
    except (OSError, ValueError):
        return  # it left without waiting for the answer
    linger(sock)


def linger(sock: socket.socket) -> None:
    """After the last answer: end the stream, and read on until the client has left. For the connection's own thread: waits."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_WR)
        # Closing with unread input would reset the connection, and the answer might be lost.
        left = _MAX_UNREAD_BYTES
        while left > 0 and (data := sock.recv(_READ_BYTES)):
            left -= len(data)
    except (OSError, ValueError):
        pass  # it has left


class Turnstile:
    """Those who are turned away as they come: answered without waiting, and closed a moment later."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._guard = threading.Lock()  # guards the set; the deadlines' lock is taken after it
        self._waiting: set[socket.socket] = set()

    def turn_away(self, sock: socket.socket, response: bytes) -> None:
        """Send a response, and close the socket when the client has had time to read it. Never waits."""
        with self._guard:
            if len(self._waiting) >= _MAX_WAITING:
                sock.close()
                return
            self._waiting.add(sock)
        with contextlib.suppress(OSError):
            sock.send(response, AT_ONCE)
            sock.shutdown(socket.SHUT_WR)
        # Not at once: what the client is still sending would be answered by a reset, and the response be lost.
        self._deadlines.after(_SECONDS_TO_READ, lambda: self._close(sock))

    def close(self) -> None:
        """Close everybody's socket now."""
        with self._guard:
            waiting = list(self._waiting)
        for sock in waiting:
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        with self._guard:
            self._waiting.discard(sock)
        sock.close()
