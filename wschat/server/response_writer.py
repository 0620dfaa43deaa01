"""Writing an HTTP response to a connection, part by part (RFC 9110, RFC 9112). Nothing here touches a socket.

Without h11, whose events for the head, each part and the end of a response take longer than all else that a small response needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from http.client import responses
from time import time

from wschat.errors import UsageError
from wschat.server.requests import Request

WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
"""The statuses of responses that have no body and no length."""
# The most that is written at once. A peer has `Limits.send_timeout` for each write.
_WRITE_BYTES = 64 * 1024

_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_LENGTH = re.compile(r"[0-9]{1,20}")
# What ends a line, or for some recipients a text or a line (RFC 9110, section 5.5).
_NOT_IN_LINE = re.compile(r"[\0\n\v\f\r]")


class ResponseWriter:
    """Writes one response. The head goes with the first part of the body, so that a small response is one packet.

    All methods raise UsageError for what is not valid HTTP, such as a body longer than its Content-Length.
    """

    def __init__(
        self,
        request: Request,
        may_follow: Callable[[], bool],
        send: Callable[[bytes], None],
        send_file: Callable[[int, int, int], None] | None,
    ) -> None:
        """`may_follow` tells if the connection allows another request after this one. `send` sends bytes; `send_file` a part of a file: its
        descriptor, an offset and a number of bytes. Both wait for the client. `send_file` is None if the connection cannot do that."""
        self._may_follow = may_follow
        self._send_bytes = send
        self._send_file_part = send_file
        self._unsent = b""
        self._is_modern = request.version == "1.1"  # HTTP/1.0 has no chunks, and a connection for each request
        self._bytes_left: int | None = None  # of the body by its Content-Length, if it has one
        self._is_chunked = False
        self.keeps_alive = self._is_modern and not has_close(request.headers.get("connection", ""))
        """True if another request may follow on the connection. Final after `begin`."""
        self.status: int | None = None
        """The status of the response, None before `begin`."""
        self.body_bytes = 0
        """The bytes of the body so far."""
        self.has_body = request.method != "HEAD"
        """False if the response to this request, or with the status of `begin`, has no body: then what is written is dropped."""
        self.has_begun = False
        """True if a part of the response may have reached the client."""
        self.has_ended = False
        """True if the response is complete."""

    def begin(self, status: int, headers: Iterable[tuple[str, str]], reason: str | None = None) -> None:
        """Set status and headers. Date is added if it is missing, and so is what delimits the body and the connection."""
        if not 200 <= status <= 999:
            raise UsageError(f"the status of a response must be from 200 to 999, not {int(status)}")
        reason = responses.get(status, "") if reason is None else reason
        lines = [f"HTTP/1.1 {int(status)} {reason}"]
        has_date = False
        length: str | None = None
        for name, value in headers:
            lower_name = _lower(name)
            value = value.strip(" \t")  # not part of the value (RFC 9110, section 5.5); Django's cookies begin with a space
            if lower_name == "content-length":
                length = _checked_length(value, length)
            elif lower_name == "transfer-encoding":
                raise UsageError("the Transfer-Encoding of a response must be left to the server")
            elif lower_name == "connection":
                self.keeps_alive = self.keeps_alive and not has_close(value)
            else:
                has_date = has_date or lower_name == "date"
                lines.append(f"{name}: {value}")
        if not has_date:
            lines.append(_date_line(int(time())))
        _check(lines)
        head = "\r\n".join(lines).encode("latin-1")  # first, because it may fail
        self._unsent = b"\r\n".join([head, *self._delimit(status, length), b"", b""])
        self.has_body = self.has_body and status not in WITHOUT_BODY
        self.status = int(status)

    def _delimit(self, status: int, length: str | None) -> list[bytes]:
        """Return the headers that tell where the response ends (RFC 9112, section 6)."""
        lines = []
        self._bytes_left = None if length is None else int(length)
        self._is_chunked = length is None and status not in WITHOUT_BODY and self._is_modern
        if self._is_chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif length is not None and status != HTTPStatus.NO_CONTENT:  # RFC 9110, section 8.6
            lines.append(b"Content-Length: %b" % length.encode())
        self.keeps_alive = self.keeps_alive and self._may_follow()
        if not self.keeps_alive:
            lines.append(b"Connection: close")
        return lines

    def write(self, data: bytes) -> None:
        """Send a part of the body. Without effect if the response has none."""
        if not self.has_body:
            return
        self._count(len(data))
        for start in range(0, len(data) or 1, _WRITE_BYTES):
            part = data[start : start + _WRITE_BYTES]  # the same object if it is all of the data
            self._send(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked and part else part)

    @property
    def sends_files(self) -> bool:
        """True if `send_file` may be called."""
        return self._send_file_part is not None

    def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """Send a part of a file as a part of the body, without reading it into memory."""
        assert self._send_file_part is not None
        if not self.has_body or not count:
            return
        self._count(count)
        self._send(b"%x\r\n" % count if self._is_chunked else b"")
        self._send_file_part(descriptor, offset, count)
        self._send(b"\r\n" if self._is_chunked else b"")

    def flush(self) -> None:
        """Send the head if nothing has been sent yet."""
        self._send(b"")

    def end(self) -> None:
        """Send what is left of the response."""
        if self.has_body and self._bytes_left:
            raise UsageError(f"the body of the response is {self._bytes_left} bytes shorter than its Content-Length")
        self._send(b"0\r\n\r\n" if self.has_body and self._is_chunked else b"")
        self.has_ended = True

    def _count(self, count: int) -> None:
        """Count bytes of the body, which are sent next."""
        if self._bytes_left is not None:
            if count > self._bytes_left:
                raise UsageError(f"the body of the response is {count - self._bytes_left} bytes longer than its Content-Length")
            self._bytes_left -= count
        self.body_bytes += count

    def _send(self, data: bytes) -> None:
        data, self._unsent = self._unsent + data, b""
        if data:
            self.has_begun = True
            self._send_bytes(data)


def has_close(connection: str) -> bool:
    """Return True if a Connection header ends the connection after the response (RFC 9112, section 9.6)."""
    return bool(connection) and "close" in (option.strip() for option in connection.lower().split(","))


@lru_cache(maxsize=1)
def _date_line(seconds: int) -> str:
    """Return the Date header for a time in seconds. All responses of one second have the same."""
    return f"Date: {formatdate(seconds, usegmt=True)}"


@lru_cache(maxsize=256)
def _lower(name: str) -> str:
    """Return the name of a header in lower case. Raises UsageError if it is none."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name of a header must be of letters, digits and hyphens, not {name!r}")
    return name.lower()


def _check(lines: list[str]) -> None:
    """Raise UsageError if a line of the head could be taken for two. The lines have no line ends yet."""
    if _NOT_IN_LINE.search("".join(lines)):
        line = next(line for line in lines if _NOT_IN_LINE.search(line))
        raise UsageError(f"a header must be one line, not {line!r}")


def _checked_length(value: str, other: str | None) -> str:
    """Return the value of Content-Length. `other` is that of another such header. Raises UsageError if it is not a number."""
    if not _LENGTH.fullmatch(value) or other not in (None, value):
        raise UsageError(f"the Content-Length of a response must be one number, not {value!r}")
    return value
