"""What a WSGI application may respond with, and how that is sent: lengths, chunks, parts, errors, files (PEP 3333, RFC 9112)."""

from __future__ import annotations

import gzip
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.concurrency import eventually
from tests.conftest import ServerFactory, echo, until_logged
from tests.web.wiring import Answer, Http, plain

StartResponse = Callable[..., Callable[[bytes], object]]
Environ = dict[str, Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
OpenHttp = Callable[..., Http]

TEXT = ("Content-Type", "text/plain")


@pytest.fixture
def http(serve: ServerFactory) -> Iterator[OpenHttp]:
    """Opens connections to a server of an application."""
    with ExitStack() as clients:

        def open_http(app: App, *, checked: bool = True) -> Http:
            return clients.enter_context(Http.to(serve(echo, wsgi=validator(app) if checked else app)))

        yield open_http


def app_of(make_body: Callable[[], Iterable[bytes]], *headers: tuple[str, str], status: str = "200 OK") -> App:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [TEXT, *headers] if status == "200 OK" else list(headers))
        return make_body()

    return app


def framing(answer: Answer) -> str:
    """Return how the end of a response is told."""
    if "transfer-encoding" in answer.headers:
        assert "content-length" not in answer.headers
        return answer.headers["transfer-encoding"]
    return answer.headers.get("content-length", "close" if answer.headers.get("connection") == "close" else "none")


BODIES: dict[str, Callable[[], Iterable[bytes]]] = {
    "one part": lambda: [b"hello"],
    "two parts": lambda: [b"hel", b"lo"],
    "generated parts": lambda: (part for part in (b"hel", b"lo")),
    "empty parts between": lambda: (part for part in (b"", b"hel", b"", b"lo", b"")),
    "a tuple": lambda: (b"hello",),
    "no part": list,
    "an empty part": lambda: [b""],
    "generated empty parts": lambda: (part for part in (b"", b"")),
}


@pytest.mark.parametrize(
    ("body", "length", "http_1_1", "http_1_0"),
    [
        ("one part", None, "5", "5"),
        ("one part", "5", "5", "5"),
        ("a tuple", None, "5", "5"),
        ("two parts", None, "chunked", "close"),
        ("two parts", "5", "5", "5"),
        ("generated parts", None, "chunked", "close"),
        ("generated parts", "5", "5", "5"),
        ("empty parts between", None, "chunked", "close"),
        ("empty parts between", "5", "5", "5"),
        ("no part", None, "0", "0"),
        ("an empty part", None, "0", "0"),
        ("generated empty parts", None, "0", "0"),
    ],
)
def test_how_the_end_of_a_body_is_told(http: OpenHttp, body: str, length: str | None, http_1_1: str, http_1_0: str) -> None:
    client = http(app_of(BODIES[body], *([("Content-Length", length)] if length else [])), checked=False)
    expected = b"".join(BODIES[body]())
    for _ in range(2):
        answer = client.get()
        assert (answer.status, answer.body, answer.is_whole, framing(answer)) == (200, expected, True, http_1_1)
        assert "connection" not in answer.headers
    answer = client.call(plain(version="HTTP/1.0", Connection="keep-alive"))
    assert (answer.body, framing(answer), answer.headers["connection"]) == (expected, http_1_0, "close")
    assert client.is_over()


@pytest.mark.parametrize(
    ("body", "length", "expected"),
    [
        ("one part", None, "5"),
        ("one part", "5", "5"),
        ("no part", "5", "5"),
        ("generated parts", None, "chunked"),
        ("no part", None, "chunked"),  # not 0: a GET may have a body
    ],
)
def test_head_has_the_headers_of_get(http: OpenHttp, body: str, length: str | None, expected: str) -> None:
    client = http(app_of(BODIES[body], *([("Content-Length", length)] if length else [])), checked=False)
    for _ in range(2):
        answer = client.call(plain("HEAD"))
        assert (answer.status, answer.body, framing(answer)) == (200, b"", expected)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", ["no part", "one part", "generated parts"])
def test_a_status_without_a_body_has_no_length_of_the_server(http: OpenHttp, status: str, body: str) -> None:
    client = http(app_of(BODIES[body], status=status), checked=False)
    for _ in range(2):
        answer = client.get()
        assert (answer.status, framing(answer)) == (int(status[:3]), "none")


class Endless:
    """A body without end that records that it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"more"

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content")])
def test_a_body_that_is_not_sent_is_not_produced(http: OpenHttp, method: str, status: str) -> None:
    body = Endless()
    client = http(app_of(lambda: body, status=status), checked=False)
    assert client.call(plain(method)).status == int(status[:3])
    eventually(lambda: body.is_closed)
    assert client.call(plain(method)).status == int(status[:3])


def test_an_empty_part_does_not_send_the_head(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield b""
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("503 Busy", [TEXT], sys.exc_info())
        yield b"later"

    answer = http(app, checked=False).get()
    assert (answer.status, answer.body) == (503, b"later")


def test_the_head_is_set_by_the_first_part(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("201 Created", [TEXT])
        yield b"hello"

    answer = http(app, checked=False).get()
    assert (answer.status, answer.body) == (201, b"hello")


# The write function


@pytest.mark.parametrize(
    ("length", "written", "returned", "expected", "is_whole"),
    [
        (None, [b"hel"], [b"lo"], b"hello", True),
        (None, [b"hello"], [], b"hello", True),
        ("5", [b"hel", b"lo"], [], b"hello", True),
        ("5", [b""], [b"hello"], b"hello", True),
        ("9", [b"hello"], [], b"hello", False),
        ("3", [b"hel", b"lo"], [], b"hel", True),
    ],
)
def test_written_and_returned_parts_are_one_body(
    http: OpenHttp, length: str | None, written: list[bytes], returned: list[bytes], expected: bytes, *, is_whole: bool
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT, *([("Content-Length", length)] if length else [])])
        for part in written:
            write(part)
        return returned

    answer = http(app).get()
    assert (answer.status, answer.body, answer.is_whole) == (200, expected, is_whole)


# Errors


def never_starts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return [b"hello"]


def starts_twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    start_response("200 OK", [TEXT])
    return [b"hello"]


def fails_after_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    raise ZeroDivisionError("secret")


def fails_in_the_first_part(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    yield b""
    raise ZeroDivisionError("secret")


def with_response(*response: Any, body: Any = (b"hello",)) -> App:
    """Return an application that makes this response."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(*response)
        return body  # type: ignore[no-any-return]

    return app


WRONG = {
    "an exception after start_response": fails_after_start,
    "an exception in the first part": fails_in_the_first_part,
    "no start_response": never_starts,
    "no start_response and no part": lambda environ, start_response: [],
    "start_response twice": starts_twice,
    "a part that is a str": with_response("200 OK", [TEXT], body=["hello"]),
    "an empty part that is a str": with_response("200 OK", [TEXT], body=[""]),
    "nothing": with_response("200 OK", [TEXT], body=None),
    "a status that is a number": with_response(200, [TEXT]),
    "a status without a reason": with_response("200", [TEXT]),
    "a status of 1xx": with_response("101 Switching Protocols", [TEXT]),
    "a status with a line end": with_response("200 OK\r\nX: y", [TEXT]),
    "a header that is bytes": with_response("200 OK", [(b"X", b"y")]),
    "a value with a line end": with_response("200 OK", [("X", "a\r\nSet-Cookie: b")]),
    "a value with NUL": with_response("200 OK", [("X", "a\0b")]),
    "a name with a colon": with_response("200 OK", [("X: y", "z")]),
    "a value outside latin-1": with_response("200 OK", [("X", "\u20ac")]),
    "a value outside latin-1, and no length": with_response("200 OK", [("X", "\u20ac")], body=iter([b"a", b"b"])),
    "a length that is no number": with_response("200 OK", [("Content-Length", "five")]),
    "two lengths": with_response("200 OK", [("Content-Length", "5"), ("Content-Length", "6")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_application_that_is_wrong_is_answered_for_with_500(http: OpenHttp, caplog: pytest.LogCaptureFixture, name: str) -> None:
    client = http(WRONG[name], checked=False)
    for _ in range(2):  # the connection stays open
        answer = client.get()
        assert (answer.status, answer.is_whole) == (500, True)
        assert b"secret" not in answer.body
        assert not {"set-cookie", "x"} & answer.headers.keys()
    assert until_logged(caplog, "failed").exc_info


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_an_exception_after_the_first_part_breaks_the_response_off(http: OpenHttp, caplog: pytest.LogCaptureFixture, version: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield b"hello"
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            exc_info = sys.exc_info()
        start_response("500 Oops", [TEXT], exc_info)  # too late: raises it

    client = http(app, checked=False)
    client.send(plain(version=version))
    assert client.rest().count(b"HTTP/1.1") <= 1
    record = until_logged(caplog, "broke off")
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


# Files


def as_file(path: Path) -> io.BufferedIOBase:
    return path.open("rb")


def as_unbuffered_file(path: Path) -> io.RawIOBase:
    return path.open("rb", buffering=0)


def as_memory(path: Path) -> io.BytesIO:
    return io.BytesIO(path.read_bytes())


def as_gzip(path: Path) -> gzip.GzipFile:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return gzip.open(packed)


def as_temporary_file(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  # the server closes it
    file.write(path.read_bytes())
    file.seek(0)
    return file


class Readable:
    """Has only what PEP 3333 asks for."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()


@pytest.mark.parametrize("open_file", [as_file, as_unbuffered_file, as_memory, as_gzip, as_temporary_file, Readable])
@pytest.mark.parametrize("length", [None, "exact"])
def test_a_file_is_sent_whatever_kind_it_is(http: OpenHttp, tmp_path: Path, open_file: Callable[[Path], Any], length: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 10_000)
    files: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        files.append(open_file(path))
        start_response("200 OK", [TEXT, *([("Content-Length", "100000")] if length else [])])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](files[-1])
        return wrapped

    client = http(app, checked=False)
    answer = client.get()
    assert (answer.body, answer.is_whole) == (path.read_bytes(), True)
    assert client.call(plain("HEAD")).body == b""
    assert client.get().body == path.read_bytes()
    old = client.call(plain(version="HTTP/1.0"))
    assert (old.body, old.headers["connection"]) == (path.read_bytes(), "close")
    assert client.is_over()
    if not isinstance(files[0], Readable):
        assert all(file.closed for file in files)


def test_a_file_shorter_than_its_length_header_is_not_padded(http: OpenHttp, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT, ("Content-Length", "20")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    answer = http(app, checked=False).get()
    assert (answer.headers["content-length"], answer.body) == ("10", b"0123456789")


def test_a_file_may_follow_what_was_written(http: OpenHttp, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"and a file")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])(b"written ")
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    client = http(app, checked=False)
    for _ in range(2):
        assert client.get().body == b"written and a file"
