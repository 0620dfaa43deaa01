"""Responses written in parts, without a socket."""

from __future__ import annotations

from http.client import responses as http_responses

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.errors import UsageError
from wschat.server.requests import Request
from wschat.server.response_writer import ResponseWriter


class Output:
    """A writer, and the bytes that it has sent."""

    def __init__(self, method: str = "GET", version: str = "1.1", *, may_follow: bool = True, **headers: str) -> None:
        self.parts: list[bytes] = []
        self.writer = ResponseWriter(
            Request(method, "/", headers, version=version),
            lambda: may_follow,
            self.parts.append,
            lambda *file: self.parts.append(b"<%d from %d, %d bytes>" % file),
        )

    @property
    def head(self) -> list[bytes]:
        return b"".join(self.parts).partition(b"\r\n\r\n")[0].split(b"\r\n")

    @property
    def body(self) -> bytes:
        return b"".join(self.parts).partition(b"\r\n\r\n")[2]


def test_the_head_is_sent_with_the_first_part_of_the_body() -> None:
    output = Output()
    output.writer.begin(200, [("Content-Length", "6")])
    assert output.parts == []
    output.writer.write(b"one")
    assert len(output.parts) == 1
    output.writer.write(b"two")
    output.writer.end()
    assert output.body == b"onetwo"
    assert (output.writer.status, output.writer.body_bytes, output.writer.has_ended) == (200, 6, True)


def test_a_response_has_begun_with_its_first_write_or_flush() -> None:
    output = Output()
    output.writer.begin(200, [])
    assert not output.writer.has_begun
    output.writer.flush()
    assert output.writer.has_begun


def test_a_large_part_is_written_in_pieces() -> None:
    output = Output()
    output.writer.begin(200, [("Content-Length", "200000")])
    output.writer.write(bytes(200_000))
    assert max(map(len, output.parts)) < 70_000
    assert output.body == bytes(200_000)


def test_a_date_is_added_unless_there_is_one() -> None:
    output = Output()
    output.writer.begin(200, [("date", "Sat, 01 Jan 2000 00:00:00 GMT"), ("Content-Length", "0")])
    output.writer.end()
    assert [line for line in output.head if line.lower().startswith(b"date:")] == [b"date: Sat, 01 Jan 2000 00:00:00 GMT"]
    other = Output()
    other.writer.begin(200, [("Content-Length", "0")])
    other.writer.end()
    assert any(line.startswith(b"Date: ") for line in other.head)


def test_whitespace_around_a_value_is_removed() -> None:
    output = Output()
    output.writer.begin(200, [("Set-Cookie", " a=1; b \t"), ("Content-Length", "0")])
    output.writer.end()
    assert b"Set-Cookie: a=1; b" in output.head


def test_the_response_ends_the_connection_if_no_request_may_follow() -> None:
    output = Output("POST", may_follow=False)
    output.writer.begin(200, [("Content-Length", "0")])
    output.writer.end()
    assert b"Connection: close" in output.head


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_a_response_without_a_body_drops_the_written_bytes(method: str, status: int) -> None:
    output = Output(method)
    output.writer.begin(status, [])
    assert not output.writer.has_body
    output.writer.write(b"body")
    output.writer.send_file(3, 0, 10)
    output.writer.end()
    assert output.body == b""


@pytest.mark.parametrize(
    ("headers", "body"), [([("Content-Length", "10")], b"<3 from 5, 10 bytes>"), ([], b"a\r\n<3 from 5, 10 bytes>\r\n0\r\n\r\n")]
)
def test_a_file_is_a_part_of_the_body(headers: list[tuple[str, str]], body: bytes) -> None:
    output = Output()
    output.writer.begin(200, headers)
    output.writer.send_file(3, 5, 10)
    output.writer.end()
    assert output.body == body


def test_a_body_longer_than_its_length_is_an_error_before_it_is_sent() -> None:
    output = Output()
    output.writer.begin(200, [("Content-Length", "3")])
    with pytest.raises(UsageError):
        output.writer.write(b"four")
    assert output.parts == []


def test_a_body_shorter_than_its_length_is_an_error() -> None:
    output = Output()
    output.writer.begin(200, [("Content-Length", "3")])
    output.writer.write(b"ab")
    with pytest.raises(UsageError):
        output.writer.end()
    assert not output.writer.has_ended


_HEADERS = st.tuples(
    st.sampled_from(["X-Name", "Date", "Set-Cookie", "Content-Length", "content-length", "Bad Name", "", "X:", "X\n", "é", "Vary"]),
    st.sampled_from(["", "a", " a ", "a\tb", "5", "3", "+3", "9" * 21, "é", "a\0b", "a\r\nb: c", "a\x0bb", "\x0c", "a\n", "close"]),
)


@given(
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["1.0", "1.1"]),
    st.sampled_from(["", "close", "keep-alive, Close", "closed"]),
    st.sampled_from([101, 199, 200, 204, 206, 304, 404, 999, 1000]),
    st.lists(_HEADERS, max_size=3),
    st.sampled_from([None, "", "Fine", "It\tis é"]),
    st.lists(st.sampled_from([b"", b"a", b"abc", b"abcde"]), max_size=3),
)
def test_a_response_is_written_as_h11_does(
    method: str, version: str, connection: str, status: int, headers: list[tuple[str, str]], reason: str | None, parts: list[bytes]
) -> None:
    output = Output(method, version, connection=connection)

    def write() -> list[object]:
        output.writer.begin(status, headers, reason)
        for part in parts:
            output.writer.write(part)
        output.writer.end()
        return received(b"".join(output.parts), method)

    def write_with_h11() -> list[object]:
        http = h11.Connection(h11.SERVER)
        lines = [f"{method} / HTTP/{version}", "Host: a", f"Connection: {connection}", "", ""]
        http.receive_data("\r\n".join(lines).encode())
        assert isinstance(http.next_event(), h11.Request)
        fields = [(name.encode("latin-1"), value.strip(" \t").encode("latin-1")) for name, value in headers]
        text = http_responses.get(status, "") if reason is None else reason
        data = http.send(h11.Response(status_code=status, headers=fields, reason=text.encode("latin-1"))) or b""
        for part in parts if output.writer.has_body else ():
            data += http.send(h11.Data(data=part)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        assert output.writer.keeps_alive == (http.our_state is not h11.MUST_CLOSE)
        return received(data, method)

    try:
        events = write()
    except UsageError:
        with pytest.raises(h11.LocalProtocolError):
            write_with_h11()
    else:
        assert events == write_with_h11()


def received(data: bytes, method: str) -> list[object]:
    """Return what a client gets: the status line, the headers in any order without the date, and the body."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    left_out = (b"date", b"content-length") if head.status_code == 204 else (b"date",)  # h11 sends a length with 204, which we drop
    headers = sorted((name, value) for name, value in head.headers if name not in left_out)
    return [head.status_code, head.reason, head.http_version, headers, body]


@pytest.mark.parametrize("reason", ["a\r\nSet-Cookie: b", "a\0", "a\n"])
def test_a_reason_of_two_lines_is_an_error(reason: str) -> None:
    with pytest.raises(UsageError, match="one line"):
        Output().writer.begin(200, [], reason)


def test_no_length_is_sent_with_204() -> None:
    """RFC 9110, section 8.6."""
    output = Output()
    output.writer.begin(204, [("Content-Length", "0")])
    output.writer.end()
    assert not any(line.startswith(b"Content-Length") for line in output.head)
    assert output.writer.keeps_alive


@pytest.mark.parametrize(("name", "value"), [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "gzip")])
def test_the_transfer_encoding_is_left_to_the_server(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="left to the server"):
        Output().writer.begin(200, [(name, value)])
