"""Responses written in parts, without a socket."""

from __future__ import annotations

import h11
import pytest

from wschat.server.response_writer import ResponseWriter


class Output:
    """A writer, and the bytes that it has sent."""

    def __init__(self, head: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> None:
        http = h11.Connection(h11.SERVER)
        http.receive_data(head)
        request = http.next_event()
        assert isinstance(request, h11.Request)
        http.next_event()  # the end of the body, unless that is missing
        self.parts: list[bytes] = []
        self.writer = ResponseWriter(
            http,
            request.method.decode(),
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


def test_the_connection_ends_if_a_body_of_the_request_was_not_received() -> None:
    output = Output(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    output.writer.begin(200, [("Content-Length", "0")])
    output.writer.end()
    assert b"Connection: close" in output.head


@pytest.mark.parametrize(("head", "status"), [(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 304)])
def test_a_response_without_a_body_drops_the_written_bytes(head: bytes, status: int) -> None:
    output = Output(head)
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
    with pytest.raises(h11.LocalProtocolError):
        output.writer.write(b"four")
    assert output.parts == []


def test_a_body_shorter_than_its_length_is_an_error() -> None:
    output = Output()
    output.writer.begin(200, [("Content-Length", "3")])
    output.writer.write(b"ab")
    with pytest.raises(h11.LocalProtocolError):
        output.writer.end()
    assert not output.writer.has_ended
