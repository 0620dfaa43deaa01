"""HTTP responses (RFC 9110). Nothing here touches a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import ClassVar

from wschat.connection.event_stream import EventStream
from wschat.errors import RequestRefused, UsageError
from wschat.server.refusals import JSON, NOSNIFF, error_content, event_source_retry, json_body
from wschat.server.requests import Request
from wschat.server.response_writer import WITHOUT_BODY, ResponseWriter


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

    def write_to(self, writer: ResponseWriter) -> None:
        """Write it. Raises what the writer raises, and any error of the body."""
        headers = dict(self.headers)
        if isinstance(self.body, bytes) and self.status not in WITHOUT_BODY:
            headers["Content-Length"] = str(len(self.body))
        writer.begin(self.status, headers.items())
        if writer.has_body:
            for part in [self.body] if isinstance(self.body, bytes) else self.body:
                writer.write(part)
        writer.end()


@dataclass(frozen=True)
class EventsResponse:
    """A response that is a stream of server-sent events."""

    status: ClassVar[int] = HTTPStatus.OK
    """The HTTP status, which is always 200."""
    follow: Callable[[EventStream], None]
    """Called with the open stream in the connection's own thread; the stream ends when it returns."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers besides those of every event stream."""
    start: str = ""
    """Text that is sent together with the head: a client has it when the stream is open."""


@dataclass(frozen=True)
class WrittenResponse:
    """A response that a function writes, such as that of a WSGI application."""

    write_to: Callable[[ResponseWriter], None]
    """Called with the writer in the connection's own thread."""


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


def encode_events(response: EventsResponse, *, with_start: bool) -> bytes:
    """Encode the head of an event stream, which ends with the connection, and the text that it starts with.

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
    return "\r\n".join(lines).encode("latin-1") + (response.start.encode() if with_start else b"")
