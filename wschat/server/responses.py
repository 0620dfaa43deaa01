"""HTTP responses, and their encoding (RFC 9110, RFC 9112). Nothing here touches a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses
from typing import ClassVar

import h11

from wschat.connection.event_stream import EventStream
from wschat.errors import RequestRefused, UsageError
from wschat.server.refusals import JSON, NOSNIFF, error_content, event_source_retry, json_body
from wschat.server.requests import Request

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
# The most that is written at once. A peer has `Limits.send_timeout` for each write.
_WRITE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Response:
    """A response to an HTTP request. Raises UsageError for a body that is a str."""

    status: int
    """The HTTP status."""
    body: bytes | Iterable[bytes] = b""
    """The body. An iterable is sent as it comes; the next part is asked for when the last one has been sent."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers besides Date, Content-Length, Transfer-Encoding and Connection."""

    def __post_init__(self) -> None:
        if isinstance(self.body, str):
            raise UsageError("the body of a Response must be bytes, or an iterable of bytes, not a str: encode it")


@dataclass(frozen=True)
class EventsResponse:
    """A response that is a stream of server-sent events."""

    status: ClassVar[int] = HTTPStatus.OK
    """The HTTP status, which is always 200."""
    follow: Callable[[EventStream], None]
    """Called with the open stream in the connection's own thread; the stream ends when it returns."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers besides those of every event stream."""


HttpHandler = Callable[[Request], Response | EventsResponse]
"""The application for plain requests, called in the connection's own thread. May raise RequestRefused, which becomes a JSON error."""


def json_response(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response in JSON."""
    return Response(status, json_body(content), {"Content-Type": JSON, **(headers or {})})


def error_response(refusal: RequestRefused, code: str | None = None) -> Response:
    """Return a JSON error: a code for programs, by default that of the status, and a sentence for people."""
    return json_response(refusal.status, error_content(refusal, code), {**NOSNIFF, **refusal.headers})


def retry_response(response: Response | EventsResponse) -> Response:
    """Return the response that makes EventSource reconnect, in place of a 503."""
    headers, body = event_source_retry(response.headers)
    return Response(HTTPStatus.OK, body, {**response.headers, **headers})


def encode_response(http: h11.Connection, method: str, response: Response) -> Iterator[bytes]:
    """Yield a response in parts. Raises h11.LocalProtocolError if it is not valid HTTP, and any error of its body.

    The first part has the head and the beginning of the body, so that a small response is one packet.
    """
    headers = {"Date": formatdate(usegmt=True), **response.headers}
    if isinstance(response.body, bytes) and response.status not in _WITHOUT_BODY:
        headers["Content-Length"] = str(len(response.body))
    if http.their_state in (h11.SEND_BODY, h11.ERROR):
        headers["Connection"] = "close"  # an unread body may be of any length
    # As bytes, because h11 takes only ASCII as str, and an origin that is repeated in a header may be another text.
    raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    reason = responses.get(response.status, "")
    data = http.send(h11.Response(status_code=response.status, headers=raw_headers, reason=reason)) or b""
    if method != "HEAD":
        for part in _split(response.body):
            yield data + (http.send(h11.Data(data=part)) or b"")
            data = b""
    yield data + (http.send(h11.EndOfMessage()) or b"")


def encode_events_head(response: EventsResponse) -> bytes:
    """Encode the head of an event stream, which ends with the connection.

    Without h11, which would send chunks: an event is encoded once for all its streams.
    """
    headers = {
        "Date": formatdate(usegmt=True),
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",  # nginx would hold events back until its buffer is full
        "Connection": "close",
        **response.headers,
    }
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _split(body: bytes | Iterable[bytes]) -> Iterator[bytes]:
    for part in [body] if isinstance(body, bytes) else body:
        for start in range(0, len(part), _WRITE_BYTES):
            yield part[start : start + _WRITE_BYTES]
