"""Refusals: the answer to those who do not get what they have asked for.

A browser's EventSource does not come back after an error status. A 503 is answered to it with 200 and `retry:`, which it obeys.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import responses

import h11

from wschat.errors import RequestRefused
from wschat.server.requests import accepts_events

_READ_BYTES = 4096
# What is still read of a refused client's request.
_MAX_UNREAD_BYTES = 1 << 20
# When EventSource comes back, where the refusal does not say when that would be of use.
_RETRY_SECONDS = 5

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


def events_later(headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that have an EventSource come back when the headers of a refusal say."""
    seconds = headers.get("Retry-After", "")
    body = f"retry: {int(seconds) if seconds.isdecimal() else _RETRY_SECONDS}000\n\n".encode()
    return {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}, body


def responder(refusal: RequestRefused, *, in_json: bool) -> Callable[[bytes], bytes]:
    """Return a function that returns the response to a request's head. All that it can return is made here, once."""
    usual = response_to(refusal, in_json=in_json)
    to_event_source = response_to(refusal, to_events=True)
    return lambda head: to_event_source if accepts_events(head) else usual


def response_to(refusal: RequestRefused, *, with_body: bool = True, in_json: bool = False, to_events: bool = False) -> bytes:
    """The HTTP response that says no: a status, and a sentence as plain text, or the same in JSON; or what an EventSource understands."""
    status = refusal.status
    body = json_body(error_content(refusal)) if in_json else (refusal.text + "\n").encode()
    headers = {"Content-Type": JSON if in_json else _TEXT, "Connection": "close", **NOSNIFF, **refusal.headers}
    if to_events and status == HTTPStatus.SERVICE_UNAVAILABLE:
        status = HTTPStatus.OK
        events_headers, body = events_later(refusal.headers)
        # Nobody learns anything by it, and a page of an allowed origin must be able to read it.
        headers |= {**events_headers, "Access-Control-Allow-Origin": "*"}
    headers["Content-Length"] = str(len(body))
    http = h11.Connection(h11.SERVER)
    reason = responses.get(status, "")
    head = http.send(h11.Response(status_code=status, headers=list(headers.items()), reason=reason)) or b""
    return head + (http.send(h11.Data(data=body)) or b"" if with_body else b"")


def refuse(sock: socket.socket, refusal: RequestRefused, *, with_body: bool = True, in_json: bool = False, to_events: bool = False) -> None:
    """Answer, end the stream, and read on until the client has left. For the connection's own thread: waits."""
    try:
        sock.sendall(response_to(refusal, with_body=with_body, in_json=in_json, to_events=to_events))
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
