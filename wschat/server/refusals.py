"""Refusals as HTTP responses, in plain text or in JSON.

EventSource does not reconnect after an error status, but it obeys `retry:`. A 503 is therefore sent to it as an event stream that
ends at once (HTML, section 9.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import responses

import h11

from wschat.errors import RequestRefused
from wschat.server.requests import accepts_events

# Programs read Retry-After; a browser that loads a page obeys Refresh (HTML, section 7.4.5) and tries again by itself.
_RETRY = {"Retry-After": "10", "Refresh": "10"}
BUSY = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections just now.", _RETRY)
"""The refusal of a connection above a limit."""
STOPPING = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.", _RETRY)
"""The refusal of a request while the server stops."""
FAILED = RequestRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "Something has gone wrong here; it is not your fault.")
"""The answer to a request whose handler has failed."""

# Seconds after which EventSource reconnects, unless the refusal has a Retry-After in seconds.
_RETRY_SECONDS = 5

# The error codes of JSON responses, by status.
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
"""The content type of JSON responses."""
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
"""The header that keeps browsers from guessing another content type."""
_TEXT = "text/plain; charset=utf-8"


def error_content(refusal: RequestRefused, code: str | None = None) -> dict[str, str]:
    """Return the content of a JSON error: a code for programs, by default that of the status, and a sentence for people."""
    return {"code": code or _CODES.get(refusal.status, "refused"), "text": refusal.text}


def json_body(content: object) -> bytes:
    """Encode the body of a JSON response."""
    return (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def event_source_retry(headers: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that make EventSource reconnect after the Retry-After of a refusal's headers."""
    seconds = headers.get("Retry-After", "")
    body = f"retry: {int(seconds) if seconds.isdecimal() else _RETRY_SECONDS}000\n\n".encode()
    return {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}, body


def refusal_encoder(refusal: RequestRefused, *, as_json: bool) -> Callable[[bytes], bytes]:
    """Return a function from the head of a request to the refusal's response. The responses are encoded once, in advance."""
    response = encode_refusal(refusal, as_json=as_json)
    event_source_response = encode_refusal(refusal, for_event_source=True)
    return lambda head: event_source_response if accepts_events(head) else response


def encode_refusal(refusal: RequestRefused, *, with_body: bool = True, as_json: bool = False, for_event_source: bool = False) -> bytes:
    """Encode the response of a refusal: its text as plain text or in JSON, or a 503 in the form that EventSource obeys."""
    status = refusal.status
    body = json_body(error_content(refusal)) if as_json else (refusal.text + "\n").encode()
    headers = {"Content-Type": JSON if as_json else _TEXT, "Connection": "close", **NOSNIFF, **refusal.headers}
    if for_event_source and status == HTTPStatus.SERVICE_UNAVAILABLE:
        status = HTTPStatus.OK
        retry_headers, body = event_source_retry(refusal.headers)
        # A page of an allowed origin must be able to read it, and it tells other pages nothing.
        headers |= {**retry_headers, "Access-Control-Allow-Origin": "*"}
    headers["Content-Length"] = str(len(body))
    http = h11.Connection(h11.SERVER)
    reason = responses.get(status, "")
    head = http.send(h11.Response(status_code=status, headers=list(headers.items()), reason=reason)) or b""
    return head + (http.send(h11.Data(data=body)) or b"" if with_body else b"")
