"""Where a request ends, by the rules of RFC 9112: requests that hide another one, wrong lengths and chunks, and what the application sees.

Each request is followed by another on the same connection. A request is either served, and then the other one is, too; or it is refused
before the application is called, and the connection ends, so that nothing after it is taken for a request.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.conftest import ServerFactory, echo
from tests.server.raw import Raw
from wschat import Limits

AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

# wsgiref's checker does not know all methods.
pytestmark = pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")

Seen = tuple[str, str, bytes]
Environ = dict[str, Any]


class Recorder:
    """An application that reads each body, and records what it has been asked."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = b"".join(iter(lambda: environ["wsgi.input"].read(1000), b""))
        self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], body))
        self.environs.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]


@pytest.fixture
def app() -> Recorder:
    return Recorder()


@pytest.fixture
def exchange(serve: ServerFactory, app: Recorder) -> Callable[[bytes], list[int]]:
    """Sends bytes, and returns the statuses of the responses until the server ends the connection."""
    server = serve(echo, "127.0.0.1", wsgi=validator(app), allowed_hosts=["*"], limits=Limits(opening_timeout=5, max_body_bytes=100_000))

    def send(data: bytes) -> list[int]:
        with Raw.to(server) as raw:
            raw.send(data)
            raw.socket.shutdown(socket.SHUT_WR)
            return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", raw.rest(), re.MULTILINE)]

    return send


Exchange = Callable[[bytes], list[int]]


def post(*fields: str | bytes, body: bytes = b"", line: str = "POST /it HTTP/1.1", host: str = "Host: a") -> bytes:
    """Return a request with these lines of headers."""
    lines = [line, *([host] if host else []), *fields]
    return b"".join((field if isinstance(field, bytes) else field.encode("latin-1")) + b"\r\n" for field in lines) + b"\r\n" + body


def chunks(body: bytes, *fields: str | bytes) -> bytes:
    """Return a request with a body that is already in chunks."""
    return post("Transfer-Encoding: chunked", *fields, body=body)


CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"

REFUSED = [
    # Two ways to find the end of the body
    ("a length and chunks", post("Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED), 400),
    ("chunks and a length", post("Transfer-Encoding: chunked", "Content-Length: 30", body=CHUNKED), 400),
    ("two lengths", post("Content-Length: 3", "Content-Length: 5", body=b"abcde"), 400),
    ("two lengths in a list", post("Content-Length: 3, 5", body=b"abcde"), 400),
    # Lengths
    ("a length with a sign", post("Content-Length: +3", body=b"abc"), 400),
    ("a negative length", post("Content-Length: -3", body=b"abc"), 400),
    ("a length with an underscore", post("Content-Length: 1_0", body=b"a" * 10), 400),
    ("a length in hexadecimal", post("Content-Length: 0x3", body=b"abc"), 400),
    ("a length with a fraction", post("Content-Length: 3.0", body=b"abc"), 400),
    ("a length with a space in it", post("Content-Length: 1 0", body=b"a" * 10), 400),
    ("a length in other digits", post(b"Content-Length: \xb3", body=b"abc"), 400),
    ("no length", post("Content-Length:", body=b""), 400),
    ("a length with a word", post("Content-Length: three", body=b"abc"), 400),
    ("a length above the limit", post("Content-Length: 100001"), 413),
    ("a length above 64 bits", post(f"Content-Length: {1 << 64}"), 413),
    ("a length of a hundred digits", post(f"Content-Length: {'9' * 100}"), 400),
    # Transfer codings
    ("another coding", post("Transfer-Encoding: gzip", body=CHUNKED), 501),
    ("identity", post("Transfer-Encoding: identity", body=CHUNKED), 501),
    ("identity before chunks", post("Transfer-Encoding: identity, chunked", body=CHUNKED), 501),
    ("chunks in chunks", post("Transfer-Encoding: chunked, chunked", body=CHUNKED), 501),
    ("two codings", post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked", body=CHUNKED), 501),
    ("the same coding twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=CHUNKED), 501),
    ("chunks and a parameter", post("Transfer-Encoding: chunked;q=1", body=CHUNKED), 501),
    ("chunks in quotes", post('Transfer-Encoding: "chunked"', body=CHUNKED), 501),
    ("chunks after a vertical tab", post(b"Transfer-Encoding: \x0bchunked", body=CHUNKED), 400),
    ("chunks after a next line", post(b"Transfer-Encoding: \x85chunked", body=CHUNKED), 501),
    ("chunks with a letter that lowers to k", post("Transfer-Encoding: chun\u212aed".encode(), body=CHUNKED), 501),
    ("no coding", post("Transfer-Encoding:", body=CHUNKED), 501),
    ("chunks in HTTP/1.0", post("Transfer-Encoding: chunked", body=CHUNKED, line="POST /it HTTP/1.0"), 400),
    # Chunks
    ("a size with a sign", chunks(b"+3\r\nabc\r\n0\r\n\r\n"), 400),
    ("a negative size", chunks(b"-3\r\nabc\r\n0\r\n\r\n"), 400),
    ("a size with 0x", chunks(b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    ("a size with an underscore", chunks(b"0_3\r\nabc\r\n0\r\n\r\n"), 400),
    ("a size after a space", chunks(b" 3\r\nabc\r\n0\r\n\r\n"), 400),
    ("no size", chunks(b"\r\nabc\r\n0\r\n\r\n"), 400),
    ("no size but an extension", chunks(b";a=b\r\nabc\r\n0\r\n\r\n"), 400),
    ("a size that is not a number", chunks(b"xyz\r\nabc\r\n0\r\n\r\n"), 400),
    ("a size of many zeros", chunks(b"0" * 30 + b"3\r\nabc\r\n0\r\n\r\n"), 400),
    ("a size that ends with a line feed", chunks(b"3\nabc\r\n0\r\n\r\n"), 400),
    ("an extension with a line feed", chunks(b"3;\nx\r\nabc\r\n0\r\n\r\n"), 400),
    ("an extension without end", chunks(b"3;" + b"a" * 70_000), 400),
    ("a chunk that is longer than its size", chunks(b"3\r\nabcd\r\n0\r\n\r\n"), 400),
    ("a chunk that is shorter than its size", chunks(b"5\r\nabc\r\n0\r\n\r\n"), 400),
    ("a chunk that ends with a line feed", chunks(b"3\r\nabc\n0\r\n\r\n"), 400),
    ("chunks above the limit", chunks(b"c000\r\n" + b"x" * 0xC000 + b"\r\n" + b"d000\r\n" + b"x" * 0xD000 + b"\r\n0\r\n\r\n"), 413),
    ("a trailer that is no header", chunks(b"0\r\nwhat?\r\n\r\n"), 400),
    ("a trailer with a space before its colon", chunks(b"0\r\nX : y\r\n\r\n"), 400),
    ("trailers without end", chunks(b"0\r\n" + b"X: y\r\n" * 20_000), 400),
    # Lines and headers
    ("a space before the colon", post("Content-Length : 3", body=b"abc"), 400),
    ("a tab before the colon", post("Transfer-Encoding\t: chunked", body=CHUNKED), 400),
    ("a header that begins with a space", post(" Content-Length: 3", host="", body=b"abc"), 400),
    ("a name with a control character", post(b"Content\x00-Length: 3"), 400),
    ("a name with a letter of another script", post(b"Conten\xe4-Length: 3"), 400),
    ("a name with a blank", post("Content Length: 3"), 400),
    ("no name", post(": 3"), 400),
    ("no colon", post("Content-Length"), 400),
    ("a value with NUL", post(b"X: a\x00b"), 400),
    ("a value with a carriage return", post(b"X: a\rContent-Length: 3", body=b"abc"), 400),
    ("a carriage return instead of a line end", b"GET / HTTP/1.1\rHost: a\r\r" + SMUGGLED, 400),
    ("too many headers", post(*[f"X-{number}: y" for number in range(200)]), 431),
    ("a head that is too long", post("X: " + "y" * 70_000), 431),
    # Hosts
    ("no host", post(host=""), 400),
    ("two hosts", post("Host: b"), 400),
    ("the same host twice", post("Host: a"), 400),
    ("a host with a space", post(host="Host: a b"), 400),
    ("a host with a path", post(host="Host: a/b"), 400),
    ("a host with a user", post(host="Host: user@a"), 400),
    ("two hosts in a list", post(host="Host: a, b"), 400),
    ("a host with a port that is no number", post(host="Host: a:b"), 400),
    # The request line
    ("no version", post(line="GET /it"), 400),
    ("a version without a digit", post(line="GET /it HTTP/1"), 400),
    ("a version with two digits", post(line="GET /it HTTP/1.10"), 400),
    ("HTTP/1.2", post(line="GET /it HTTP/1.2"), 505),
    ("HTTP/2.0", post(line="GET /it HTTP/2.0"), 505),
    ("another protocol", post(line="GET /it HTTPS/1.1"), 400),
    ("a version in small letters", post(line="GET /it http/1.1"), 400),
    ("two spaces", post(line="GET  /it HTTP/1.1"), 400),
    ("a tab", post(line="GET\t/it HTTP/1.1"), 400),
    ("a space in the target", post(line="GET /i t HTTP/1.1"), 400),
    ("NUL in the target", post(line="GET /i\x00t HTTP/1.1"), 400),
    ("a line feed in the target", post(line="GET /i\nt HTTP/1.1"), 400),
    ("a letter of another script in the target", post(line="GET /\xe9 HTTP/1.1"), 400),
    ("a fragment", post(line="GET /it#there HTTP/1.1"), 400),
    ("a target without a slash", post(line="GET it HTTP/1.1"), 400),
    ("an asterisk for GET", post(line="GET * HTTP/1.1"), 400),
    ("a URL of another scheme", post(line="GET ftp://a/it HTTP/1.1"), 400),
    ("a URL with a user", post(line="GET http://user@a/it HTTP/1.1"), 400),
    ("a URL without a host", post(line="GET http:///it HTTP/1.1"), 400),
    ("CONNECT", post(line="CONNECT a:80 HTTP/1.1"), 501),
    ("a method with a blank", post(line="GE T /it HTTP/1.1"), 400),
    ("no method", post(line="/it HTTP/1.1"), 400),
    ("rubbish", b"gjkgjklsgjklsgjkljklsg\r\n\r\n", 400),
]

SERVED = [
    ("no body", post(), ("POST", "/it", b"")),
    ("a length", post("Content-Length: 3", body=b"abc"), ("POST", "/it", b"abc")),
    ("a length of zero", post("Content-Length: 0"), ("POST", "/it", b"")),
    ("a length with leading zeros", post("Content-Length: 003", body=b"abc"), ("POST", "/it", b"abc")),
    ("the same length twice", post("Content-Length: 3", "Content-Length: 3", body=b"abc"), ("POST", "/it", b"abc")),
    ("the same length in a list", post("Content-Length: 3, 3", body=b"abc"), ("POST", "/it", b"abc")),
    ("a body of GET", post("Content-Length: 3", body=b"abc", line="GET /it HTTP/1.1"), ("GET", "/it", b"abc")),
    ("chunks", chunks(CHUNKED), ("POST", "/it", b"abc")),
    ("no chunk", chunks(b"0\r\n\r\n"), ("POST", "/it", b"")),
    ("several chunks", chunks(b"1\r\na\r\n00002\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n"), ("POST", "/it", b"abc0123456789")),
    ("a coding in capital letters", post("TRANSFER-ENCODING: CHUNKED", body=CHUNKED), ("POST", "/it", b"abc")),
    ("an extension with a carriage return, which is dropped", chunks(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), ("POST", "/it", b"abc")),
    ("extensions", chunks(b'3;a;b=c;d="e;f"\r\nabc\r\n0;g\r\n\r\n'), ("POST", "/it", b"abc")),
    ("a chunk with a request in it", chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), ("POST", "/it", SMUGGLED)),
    ("a header in two lines", post("X: a", " b", "Content-Length: 3", body=b"abc"), ("POST", "/it", b"abc")),
    ("a header without a value", post("X:"), ("POST", "/it", b"")),
    ("line feeds only", b"POST /it HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc", ("POST", "/it", b"abc")),
    ("a line end before the request", b"\r\n" + post(), ("POST", "/it", b"")),
    ("an escaped request in the target", post(line="GET /%20HTTP/1.1%0D%0A HTTP/1.1"), ("GET", "/ HTTP/1.1\r\n", b"")),
    ("a URL", post(line="GET http://a/it HTTP/1.1"), ("GET", "/it", b"")),
    ("a URL without a path", post(line="GET http://a HTTP/1.1"), ("GET", "/", b"")),
    ("an asterisk for OPTIONS", post(line="OPTIONS * HTTP/1.1"), ("OPTIONS", "", b"")),
    ("a method in small letters", post(line="get /it HTTP/1.1"), ("get", "/it", b"")),
    ("a method that nobody knows", post(line="BREW-IT /it HTTP/1.1"), ("BREW-IT", "/it", b"")),
    ("an empty host", post(host="Host:"), ("POST", "/it", b"")),
    ("a host with a port", post(host="Host: [::1]:80"), ("POST", "/it", b"")),
    ("an expectation that nobody knows", post("Expect: a-miracle", "Content-Length: 3", body=b"abc"), ("POST", "/it", b"abc")),
]


def named(cases: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("data", "expected"), [case[1:] for case in cases], ids=[case[0] for case in cases])


@named(REFUSED)
def test_a_request_that_is_refused_ends_the_connection(exchange: Exchange, app: Recorder, data: bytes, expected: int) -> None:
    assert exchange(data + AFTER) == [expected]
    assert app.seen == []
    assert exchange(AFTER + data + AFTER) == [200, expected]
    assert app.seen == [("GET", "/after", b"")]


@named(SERVED)
def test_a_request_that_is_served_ends_where_the_next_begins(exchange: Exchange, app: Recorder, data: bytes, expected: Seen) -> None:
    assert exchange(data + AFTER) == [200, 200]
    assert app.seen == [expected, ("GET", "/after", b"")]


@pytest.mark.parametrize(
    ("name", "is_kept"),
    [
        ("X_Forwarded_For", False),
        ("X-Forwarded_For", False),
        ("Content_Length", False),
        ("x-auth_user", False),
        ("X-Forwarded-For", True),
    ],
)
def test_a_header_with_an_underscore_does_not_pass_for_another(exchange: Exchange, app: Recorder, name: str, *, is_kept: bool) -> None:
    exchange(post(f"{name}: 5"))
    (environ,) = app.environs
    assert ("5" in environ.values()) == is_kept


def test_a_repeated_header_is_a_list(exchange: Exchange, app: Recorder) -> None:
    exchange(post("X-Forwarded-For: 192.0.2.1", "x-forwarded-for: 192.0.2.2,192.0.2.3", "X_Forwarded_For: 192.0.2.4"))
    assert app.environs[0]["HTTP_X_FORWARDED_FOR"] == "192.0.2.1, 192.0.2.2,192.0.2.3"


def test_trailers_do_not_become_headers(exchange: Exchange, app: Recorder) -> None:
    exchange(chunks(b"0\r\nX-Forwarded-For: 192.0.2.1\r\nHost: b\r\n\r\n", "Trailer: X-Forwarded-For"))
    assert "HTTP_X_FORWARDED_FOR" not in app.environs[0]
    assert app.environs[0]["HTTP_HOST"] == "a"


def test_the_host_of_a_url_replaces_the_header(exchange: Exchange, app: Recorder) -> None:
    exchange(post(line="GET http://b:81/it?x HTTP/1.1"))
    assert (app.environs[0]["HTTP_HOST"], app.environs[0]["QUERY_STRING"]) == ("b:81", "x")


def test_a_header_in_two_lines_is_one_value(exchange: Exchange, app: Recorder) -> None:
    exchange(post("X-Long: a", "\t b"))
    assert app.environs[0]["HTTP_X_LONG"] == "a b"


@pytest.mark.parametrize("data", [post(line="GET /it HTTP/1.0"), post("Connection: close"), post("Connection: x, CLOSE")])
def test_a_request_that_is_the_last_one_is_the_last_one(exchange: Exchange, app: Recorder, data: bytes) -> None:
    assert exchange(data + AFTER) == [200]
    assert len(app.seen) == 1


def test_http_1_0_needs_no_host(exchange: Exchange, app: Recorder) -> None:
    assert exchange(post(line="GET /it HTTP/1.0", host="")) == [200]
    assert app.seen == [("GET", "/it", b"")]


@pytest.mark.parametrize(
    "data",
    [
        *(post("Content-Length: 3", body=b"abc")[:-end] for end in range(1, 40, 7)),
        chunks(b"3\r\nabc\r\n0\r\n"),
        chunks(b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ],
)
def test_a_client_that_leaves_within_a_request_is_not_served(exchange: Exchange, app: Recorder, data: bytes) -> None:
    assert exchange(data) == []
    assert app.seen == []


def test_unread_chunks_that_are_wrong_end_the_connection(serve: ServerFactory) -> None:
    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"unread"]

    with Raw.to(serve(echo, wsgi=app)) as raw:
        raw.send(chunks(b"3\r\nabcd\r\n0\r\n\r\n") + AFTER)
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.rest().count(b"HTTP/1.1 ") == 1
