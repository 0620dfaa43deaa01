"""A WSGI application on the port of the WebSockets (PEP 3333). Every application is checked by wsgiref.validate."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, check_echo, echo, until_logged
from tests.tls import client_context
from tests.web.wiring import Http, chunked, plain

StartResponse = Callable[..., Callable[[bytes], object]]
Environ = dict[str, Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")


def app_of(body: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK") -> App:
    """Return an application that responds with this body, these headers and this status."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [TEXT, *headers])
        return body

    return app


def read_all(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Respond with the body of the request."""
    body = b"".join(iter(lambda: environ["wsgi.input"].read(1000), b""))
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def http(serve: ServerFactory) -> Iterator[Callable[..., Http]]:
    """Opens connections to a server of an application, which is checked by wsgiref."""

    with ExitStack() as clients:

        def open_http(app: App, *, checked: bool = True, **options: Any) -> Http:
            return clients.enter_context(Http.to(serve(echo, wsgi=validator(app) if checked else app, **options)))

        yield open_http


OpenHttp = Callable[..., Http]


# The environ


def environ_for(http: OpenHttp, request: bytes, **options: Any) -> dict[str, Any]:
    """Return the strings of the environ that the application gets for a request."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        strings = {name: value for name, value in environ.items() if isinstance(value, (str, bool, tuple))}
        return [json.dumps(strings).encode()]

    answer = http(app, **options).call(request)
    assert answer.status == 200
    environ: dict[str, Any] = answer.json
    return environ


def test_the_environ_describes_the_request(http: OpenHttp) -> None:
    environ = environ_for(http, plain("GET", "/a%20b/%C3%A4?x=1&y=%20", b"", Accept="text/html", X_Thing="1", Cookie="a=b"))
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/ä"
    assert environ["QUERY_STRING"] == "x=1&y=%20"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"].isdigit()
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert (environ["HTTP_ACCEPT"], environ["HTTP_X_THING"], environ["HTTP_COOKIE"]) == ("text/html", "1", "a=b")
    assert (environ["wsgi.url_scheme"], environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == ("http", True, False)
    assert "CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("example.com", "example.com", "80"), ("example.com:81", "example.com", "81"), ("[::1]:81", "[::1]", "81"), ("[::1]", "[::1]", "80")],
)
def test_the_host_names_a_server_without_an_address(serve: ServerFactory, tmp_path: Path, host: str, name: str, port: str) -> None:
    environs: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environs.append(environ)
        return app_of([b"ok"])(environ, start_response)

    serve(echo, wsgi=validator(app), unix_path=tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tmp_path / "socket"))
        with Http(sock) as client:
            assert client.get(Host=host).body == b"ok"
    assert (environs[0]["SERVER_NAME"], environs[0]["SERVER_PORT"]) == (name, port)


def test_an_address_of_ipv6_is_in_brackets(serve: ServerFactory) -> None:
    """RFC 3875, section 4.1.14; REMOTE_ADDR has none (section 4.1.8)."""
    environs: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environs.append(environ)
        return app_of([b"ok"])(environ, start_response)

    server = serve(echo, "::1", wsgi=validator(app))
    with Http(socket.create_connection(("::1", server.port), TIMEOUT)) as client:
        assert client.get().body == b"ok"
    assert (environs[0]["SERVER_NAME"], environs[0]["REMOTE_ADDR"]) == ("[::1]", "::1")


def test_the_environ_has_no_environment_variables_of_the_process(http: OpenHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    assert "DATABASE_PASSWORD" not in environ_for(http, plain())


def test_the_body_has_a_type_and_a_length(http: OpenHttp) -> None:
    environ = environ_for(http, plain("POST", "/", b"abc", Content_Type="text/plain"))
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "3")
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_a_header_with_an_underscore_is_ignored(http: OpenHttp) -> None:
    data = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n"
    assert "HTTP_X_FORWARDED_FOR" not in environ_for(http, data)


def test_a_trusted_proxy_names_the_client_and_the_scheme(http: OpenHttp) -> None:
    request = plain("GET", "/", b"", X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https")
    environ = environ_for(http, request, trusted_proxies=["127.0.0.1"])
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTPS"]) == ("203.0.113.7", "https", "on")


def test_the_headers_of_an_untrusted_proxy_are_ignored(http: OpenHttp) -> None:
    environ = environ_for(http, plain("GET", "/", b"", X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https"))
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.1", "http")


def test_over_tls_the_scheme_is_https(serve: ServerFactory, certificate: Path) -> None:
    schemes: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        schemes.append(environ["wsgi.url_scheme"])
        return app_of([b"ok"])(environ, start_response)

    server = serve(echo, wsgi=validator(app), tls=wschat_server_context(certificate))
    sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
    with client_context(certificate).wrap_socket(sock, server_hostname="127.0.0.1") as tls:
        http = Http(tls)
        assert http.get().body == b"ok"
    assert schemes == ["https"]


def wschat_server_context(certificate: Path) -> Any:
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


# Bodies of requests


@pytest.mark.parametrize(
    "data", [plain("POST", "/", b"x" * 100_000), plain("POST", "/", chunked(b"abc", b"x" * 70_000), Transfer_Encoding="chunked")]
)
def test_a_body_with_a_length_or_in_chunks_is_read(http: OpenHttp, data: bytes) -> None:
    answer = http(read_all).call(data)
    assert len(answer.body) in (100_000, 70_003)


def test_a_body_is_read_line_by_line(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        lines = [stream.readline(), *stream.readlines()]
        return app_of([repr(lines).encode()])(environ, start_response)

    assert http(app).call(plain("POST", "/", b"a\nb\nc")).body == b"[b'a\\n', b'b\\n', b'c']"


def test_a_body_can_be_read_as_it_arrives(http: OpenHttp) -> None:
    parts: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        parts.extend(iter(lambda: stream.read1(100), b""))
        return app_of([b"done"])(environ, start_response)

    client = http(app, checked=False)  # wsgiref's checker has no read1
    client.send(plain("POST", "/", b"", Content_Length="6"))
    client.send(b"one")
    eventually(lambda: parts == [b"one"])
    client.send(b"two")
    assert client.answer("POST").body == b"done"
    assert parts == [b"one", b"two"]


def test_100_continue_is_sent_when_the_body_is_read(http: OpenHttp) -> None:
    client = http(read_all)
    client.send(plain("POST", "/", b"", Content_Length="3", Expect="100-continue"))
    assert client.head()[0] == 100
    client.send(b"abc")
    assert client.answer("POST").body == b"abc"


def test_100_continue_is_not_sent_for_a_body_that_is_not_read(http: OpenHttp) -> None:
    client = http(app_of([b"no"], status="403 Forbidden"))
    client.send(plain("POST", "/", b"", Content_Length="3", Expect="100-continue"))
    answer = client.answer("POST")
    assert (answer.status, answer.headers["connection"]) == (403, "close")


@pytest.mark.parametrize(
    "data",
    [
        plain("POST", "/", b"abc", version="HTTP/1.0", Expect="100-continue"),
        plain("POST", "/", b"abc", Expect="100-continue"),  # the body has arrived
        plain("POST", "/", b"abc", Expect="something-else"),
    ],
)
def test_100_continue_is_not_sent_if_nobody_waits_for_it(http: OpenHttp, data: bytes) -> None:
    client = http(read_all)
    answer = client.call(data)
    assert (answer.status, answer.body) == (200, b"abc")


def test_100_continue_is_not_sent_to_a_client_that_has_begun_its_body(http: OpenHttp) -> None:
    begun = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        first = environ["wsgi.input"].read1(1)
        begun.set()
        return app_of([first + environ["wsgi.input"].read(2)])(environ, start_response)

    client = http(app, checked=False)
    client.send(plain("POST", "/", b"", Content_Length="3", Expect="100-continue") + b"a")
    assert begun.wait(TIMEOUT)
    client.send(b"bc")
    assert client.answer("POST").body == b"abc"


def test_100_continue_is_not_sent_once_the_response_has_begun(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield b"first "
        yield environ["wsgi.input"].read(3)

    client = http(app)
    client.send(plain("POST", "/", b"", Content_Length="3", Expect="100-continue"))
    status, headers = client.head()
    assert (status, headers["connection"]) == (200, "close")
    client.send(b"abc")
    assert client.rest() == b"6\r\nfirst \r\n3\r\nabc\r\n0\r\n\r\n"


def test_a_bad_body_that_an_application_ignores_ends_the_connection(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for _ in range(2):  # it is not complete after the first error, either
            with pytest.raises(OSError, match="body"):
                environ["wsgi.input"].read(10)
        start_response("200 OK", [TEXT])
        return [b"ok"]

    client = http(app)
    client.send(plain("POST", "/", b"", Transfer_Encoding="chunked"))
    client.send(b"zz\r\n" + plain())
    assert (client.answer("POST").headers["connection"], client.rest()) == ("close", b"")


def test_a_body_is_read_after_the_response_has_begun(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        yield from iter(lambda: environ["wsgi.input"].read(2), b"")

    assert http(app).call(plain("POST", "/", b"abcde")).body == b"abcde"


def test_an_unread_body_that_has_arrived_does_not_end_the_connection(http: OpenHttp) -> None:
    client = http(app_of([b"ok"]))
    assert client.call(plain("POST", "/", b"x" * 1000)).body == b"ok"
    assert client.get().body == b"ok"


def test_a_body_that_breaks_off_is_an_oserror_for_the_application(http: OpenHttp) -> None:
    errors: list[Exception] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read(10)
        except OSError as error:
            errors.append(error)
            raise
        raise AssertionError("the body was complete")

    client = http(app)
    client.send(plain("POST", "/", b"", Content_Length="10") + b"abc")
    client.vanish()
    eventually(lambda: bool(errors))


@pytest.mark.parametrize(
    "data", [plain("POST", "/", b"x" * 11), plain("POST", "/", chunked(b"x" * 6, b"x" * 5), Transfer_Encoding="chunked")]
)
def test_a_body_that_is_too_long_is_refused(http: OpenHttp, data: bytes) -> None:
    assert http(read_all, limits=wschat.Limits(max_body_bytes=10)).call(data).status == 413


def test_a_body_of_the_maximum_length_is_read(http: OpenHttp) -> None:
    client = http(read_all, limits=wschat.Limits(max_body_bytes=10))
    assert client.call(plain("POST", "/", b"x" * 10)).body == b"x" * 10
    assert client.call(plain("POST", "/", chunked(b"x" * 10), Transfer_Encoding="chunked")).body == b"x" * 10


def test_invalid_chunks_are_a_bad_request(http: OpenHttp) -> None:
    assert http(read_all).call(plain("POST", "/", b"zz\r\n", Transfer_Encoding="chunked")).status == 400


def test_a_client_has_a_timeout_for_its_body_and_the_application_has_none(http: OpenHttp) -> None:
    begun = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        begun.wait(0.6)  # longer than the client has
        return read_all(environ, start_response)

    limits = wschat.Limits(opening_timeout=0.3)
    assert http(app, limits=limits).call(plain("POST", "/", b"abc")).body == b"abc"
    slow = http(app, limits=limits)
    slow.send(plain("POST", "/", b"", Content_Length="3") + b"a")
    assert slow.rest() == b""


# Responses


def test_many_requests_on_one_connection(http: OpenHttp) -> None:
    client = http(app_of([b"hello"]), checked=False)  # what the checker returns has no length
    for _ in range(3):
        answer = client.get()
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"hello", "5")


def test_pipelined_requests_are_answered_in_order(http: OpenHttp) -> None:
    client = http(read_all)
    client.send(b"".join(plain("POST", "/", b"%d" % number) for number in range(5)))
    assert [client.answer("POST").body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_each_connection_has_a_thread(http: OpenHttp) -> None:
    everyone = threading.Barrier(20, timeout=TIMEOUT)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        everyone.wait()
        return app_of([b"ok"])(environ, start_response)

    first = http(app)
    clients = [first, *(Http(socket.create_connection(first.socket.getpeername(), TIMEOUT)) for _ in range(19))]
    for client in clients:
        client.send(plain())
    assert [client.answer().body for client in clients] == [b"ok"] * 20
    for client in clients[1:]:
        client.__exit__()


def test_a_response_without_a_length_is_sent_in_chunks_as_it_is_produced(http: OpenHttp) -> None:
    goes_on = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"first"
        assert goes_on.wait(TIMEOUT)
        yield b""
        yield b"second"

    client = http(app_of(body()))
    client.send(plain())
    _, headers = client.head()
    assert headers["transfer-encoding"] == "chunked"
    assert [client.line(), client.line()] == [b"5", b"first"]
    goes_on.set()
    assert [client.line() for _ in range(3)] == [b"6", b"second", b"0"]


def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(http: OpenHttp) -> None:
    client = http(app_of(iter([b"one", b"two"])))
    answer = client.call(plain(version="HTTP/1.0"))
    assert answer.body == b"onetwo"
    assert "transfer-encoding" not in answer.headers
    assert client.rest() == b""


def test_head_has_the_headers_and_no_body(http: OpenHttp) -> None:
    client = http(app_of([], ("Content-Length", "5")))
    answer = client.call(plain("HEAD"))
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "5", b"")
    assert client.call(plain("HEAD")).status == 200


def test_the_body_of_a_response_to_head_is_not_sent(http: OpenHttp) -> None:
    client = http(app_of([b"hello"], ("Content-Length", "5")), checked=False)  # the checker does not allow such an application
    assert client.call(plain("HEAD")).body == b""
    assert client.call(plain("HEAD")).headers["content-length"] == "5"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_none(http: OpenHttp, status: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [])
        return []

    client = http(app)
    answer = client.get()
    assert (answer.status, answer.body) == (int(status[:3]), b"")
    assert client.get().status == answer.status


def test_the_write_function_sends_at_once(http: OpenHttp) -> None:
    goes_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT, ("Content-Length", "8")])
        write(b"one\n")
        assert goes_on.wait(TIMEOUT)
        return [b"two\n"]

    client = http(app)
    client.send(plain())
    client.head()
    assert client.line() == b"one"
    goes_on.set()
    assert client.line() == b"two"


def test_a_reason_and_repeated_headers_are_sent_unchanged(http: OpenHttp) -> None:
    client = http(app_of([b""], ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), status="299 My Own"))
    client.send(plain())
    assert client.line() == b"HTTP/1.1 299 My Own"
    assert {b"Set-Cookie: a=1", b"Set-Cookie: b=2"} <= set(iter(client.line, b""))


def test_hop_by_hop_headers_are_set_by_the_server(http: OpenHttp) -> None:
    client = http(app_of([b"ok"], ("Connection", "keep-alive"), ("Transfer-Encoding", "chunked")), checked=False)
    assert client.get().body == b"ok"
    assert client.get().body == b"ok"


def test_the_application_has_no_timeout(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        threading.Event().wait(0.5)
        return app_of([b"late"])(environ, start_response)

    assert http(app, limits=wschat.Limits(opening_timeout=0.2, send_timeout=0.2)).get().body == b"late"


# Files


def test_a_file_is_sent_from_its_current_position(http: OpenHttp, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        file = path.open("rb")
        file.seek(10)
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    client = http(app, checked=False)  # the checker wraps what the application returns
    for _ in range(2):
        answer = client.get()
        assert answer.headers["content-length"] == "2999990"
        assert answer.body == path.read_bytes()[10:]
    assert client.call(plain("HEAD")).headers["content-length"] == "2999990"


def test_a_file_is_sent_up_to_the_length_in_the_header(http: OpenHttp, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("206 Partial Content", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    assert http(app, checked=False).get().body == b"0123"


def test_a_file_object_without_a_descriptor_is_sent_too(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"in memory"))
        return wrapped

    assert http(app, checked=False).get().body == b"in memory"


# Errors


class Closing:
    """A body that records that it was closed."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = parts
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    def close(self) -> None:
        self.closed += 1


def fail(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise ZeroDivisionError("of the application")


def reset(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise ConnectionResetError("of the application's database")


@pytest.mark.parametrize("app", [fail, reset, app_of(Closing(ZeroDivisionError()))])
def test_an_exception_is_a_500_and_logged_with_its_traceback(http: OpenHttp, app: App, caplog: pytest.LogCaptureFixture) -> None:
    client = http(app)
    assert client.get("/page?password=1").status == 500
    record = until_logged(caplog, "the answer to GET /page failed")
    assert record.exc_info
    assert client.get().status == 500  # the connection stays open


def test_a_response_that_breaks_off_is_incomplete_for_the_client(http: OpenHttp, caplog: pytest.LogCaptureFixture) -> None:
    body = Closing(b"beginning", ZeroDivisionError())
    answer = http(app_of(body)).get()
    assert not answer.is_whole
    until_logged(caplog, "broke off")
    assert body.closed == 1


@pytest.mark.parametrize(("length", "body"), [("3", b"hello"), ("10", b"hello")])
def test_a_wrong_length_is_logged_and_ends_the_connection(
    http: OpenHttp, caplog: pytest.LogCaptureFixture, length: str, body: bytes
) -> None:
    client = http(app_of([body], ("Content-Length", length)), checked=False)
    client.send(plain())
    assert len(client.rest()) < 300
    assert until_logged(caplog, "broke off").exc_info


@pytest.mark.parametrize("header", [("X-Evil", "a\r\nSet-Cookie: b"), ("Bad Name", "x")])
def test_a_header_with_a_line_break_is_not_sent(http: OpenHttp, header: tuple[str, str]) -> None:
    client = http(app_of([b"ok"], header), checked=False)
    answer = client.get()
    assert answer.status == 500
    assert "set-cookie" not in answer.headers
    assert client.get().status == 500


def test_the_body_is_closed_once_however_it_ends(http: OpenHttp) -> None:
    whole, abandoned = Closing(b"ok"), Closing(*[b"x" * 65536] * 1000)
    assert http(app_of(whole)).get().body == b"ok"
    eventually(lambda: whole.closed == 1)
    client = http(app_of(abandoned))
    client.send(plain())
    client.vanish()
    eventually(lambda: abandoned.closed == 1)


def test_an_error_can_replace_a_response_that_has_not_begun(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        import sys

        start_response("200 OK", [TEXT])
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("503 Busy", [TEXT], sys.exc_info())
        return [b"later"]

    answer = http(app).get()
    assert (answer.status, answer.body) == (503, b"later")


def test_lines_written_to_wsgi_errors_are_logged(http: OpenHttp, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write("half a line, ")
        environ["wsgi.errors"].write("and the rest\n")
        return app_of([b"ok"])(environ, start_response)

    http(app).get()
    assert until_logged(caplog, "half a line, and the rest").levelno == logging.ERROR


# Beside WebSockets


def test_websockets_and_the_application_share_a_port(serve: ServerFactory) -> None:
    server = serve(echo, wsgi=validator(app_of([b"page"])))
    with Http.to(server) as client:
        assert client.get().body == b"page"
    check_echo(server)


def test_a_connection_can_become_a_websocket_after_a_request(serve: ServerFactory) -> None:
    server = serve(echo, wsgi=app_of([b"page"]))
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as sock:
        sock.sendall(plain())
        while not sock.recv(65536).endswith(b"page"):
            pass
        with wschat.connect(f"ws://127.0.0.1:{server.port}/", sock=sock.dup()) as ws:
            ws.send("hello")
            assert ws.recv(TIMEOUT) == "hello"


def test_the_application_decides_about_origins_and_preflights(http: OpenHttp) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        headers = [TEXT, ("Access-Control-Allow-Origin", environ.get("HTTP_ORIGIN", ""))]
        start_response("200 OK", headers)
        return [environ["REQUEST_METHOD"].encode()]

    client = http(app)
    answer = client.call(plain("OPTIONS", "/", b"", Origin="https://elsewhere.example", Access_Control_Request_Method="PUT"))
    assert (answer.body, answer.headers["access-control-allow-origin"]) == (b"OPTIONS", "https://elsewhere.example")


def test_a_host_that_is_not_allowed_is_refused(http: OpenHttp) -> None:
    assert http(app_of([b"ok"])).call(plain("GET", "/", b"", Host="attacker.example")).status == 421


def test_requests_below_the_prefix_are_for_the_other_handler(serve: ServerFactory) -> None:
    def api(request: wschat.Request) -> wschat.Response:
        return wschat.Response(200, request.target.encode())

    with Http.to(serve(echo, http=api, wsgi=app_of([b"page"]), path_prefix="/chat")) as client:
        assert [client.get(target).body for target in ("/chat/x?y", "/chat", "/chatter", "/")] == [b"/x?y", b"", b"page", b"page"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"wsgi": "flask:app"}, "must be callable"),
        ({"wsgi": app_of([]), "http": lambda request: None}, "path_prefix"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(wschat.UsageError, match=error):
        wschat.serve(echo, port=0, **options)


def test_an_async_application_is_refused() -> None:
    async def app(scope: object, receive: object) -> None:
        """ASGI."""

    with pytest.raises(wschat.UsageError, match="async"):
        wschat.serve(echo, port=0, wsgi=app)


def test_each_request_is_logged_without_its_query(http: OpenHttp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wschat.server")
    http(app_of([b"ok"])).get("/path?token=secret")
    record = until_logged(caplog, "GET /path")
    assert "200" in record.getMessage()
    assert "secret" not in record.getMessage()
