"""Helpers for the tests of the HTTP side: raw requests and their responses, and event streams."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

import wschat
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from tests.server.raw import Raw
from wschat.chat.chat import Chat


def plain(method: str = "GET", target: str = "/", body: bytes = b"", *, version: str = "HTTP/1.1", **headers: str) -> bytes:
    """Return a plain request. The keyword `X_Name` is the header X-Name. A body gets a Content-Length unless it is chunked."""
    fields = {"Host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body and not {"Content-Length", "Transfer-Encoding"} & fields.keys():
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*parts: bytes) -> bytes:
    """Return a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


class Answer(NamedTuple):
    """A response. Header names are in lower case. `is_whole` is False if it breaks off."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def json(self) -> Any:
        assert self.headers["content-type"].startswith("application/json")
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error, which has no other fields than this and a text."""
        assert self.json.keys() == {"code", "text"}
        assert self.json["text"]
        return str(self.json["code"])


class Http(Raw):
    """A connection for raw requests, whose responses are read by the rules of RFC 9112."""

    @classmethod
    def to(cls, server: wschat.WebSocketServer) -> Http:
        return cls(socket.create_connection(("127.0.0.1", server.port), TIMEOUT))

    def __enter__(self) -> Http:
        return self

    def get(self, target: str = "/", **headers: str) -> Answer:
        return self.call(plain("GET", target, b"", **headers))

    def call(self, data: bytes) -> Answer:
        """Send a request and read the response."""
        self.send(data)
        return self.answer(data.split(b" ", 1)[0].decode())

    def answer(self, method: str = "GET") -> Answer:
        """Read the response to a request with this method."""
        status, headers = self.head()
        if method == "HEAD" or status < 200 or status in (204, 304):
            return Answer(status, headers, b"")
        if "transfer-encoding" in headers:
            return Answer(status, headers, *self._chunks())
        if "content-length" in headers:
            length = int(headers["content-length"])
            body = self._input.read(length)
            return Answer(status, headers, body, len(body) == length)
        return Answer(status, headers, self.rest())

    def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and the headers, which must be unique."""
        line = self._input.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers: dict[str, str] = {}
        while field := self._input.readline().strip().decode("latin-1"):
            name, _, value = field.partition(":")
            assert name.lower() not in headers
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers

    def line(self) -> bytes:
        """Read a line of a body without its line end. Return b"" at the end of the stream."""
        return self._input.readline().rstrip(b"\r\n")

    def lines(self) -> Iterator[bytes]:
        """Read all lines until the end of the stream, with their line ends."""
        return iter(self._input.readline, b"")

    def is_over(self) -> bool:
        """Return True if the server ends the connection without sending anything more, False if it sends something."""
        return self.rest() == b""

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while size := int(self._input.readline() or b"-1", 16):
            part = self._input.read(max(0, size))
            body += part
            if len(part) != size or self._input.read(2) != b"\r\n":
                return body, False
        return body, self._input.readline() == b"\r\n"


class ServerEvent(NamedTuple):
    """An event, as a browser's EventSource delivers it."""

    type: str
    data: str
    id: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Events:
    """An EventSource (WHATWG HTML, section 9.2.6) over a connection with a pending response."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.status, self.headers = http.head()
        self.last_id = ""
        self.retry: int | None = None
        self.comments = 0

    def __iter__(self) -> Iterator[ServerEvent]:
        """Yield events until the stream ends. An incomplete event is dropped."""
        fields: dict[str, list[str]] = {}
        for raw in self.http.lines():
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(":")
            if raw.endswith(b"\n") and line and name:
                fields.setdefault(name, []).append(value.removeprefix(" "))
            elif raw.endswith(b"\n") and line:
                self.comments += 1
            elif line == "":
                self.last_id = fields.get("id", [self.last_id])[-1]
                self.retry = int(fields["retry"][-1]) if "retry" in fields else self.retry
                data = "\n".join(fields.get("data", []))
                event_type = fields.get("event", ["message"])[-1]
                fields = {}
                if data:
                    yield ServerEvent(event_type, data, self.last_id)

    def next(self, wanted: str = "message") -> ServerEvent:
        """Return the next event of this type."""
        return next(event for event in self if event.type == wanted)

    def texts(self, number: int) -> list[str]:
        """Return the texts of the next messages."""
        return [self.next().json["text"] for _ in range(number)]


class Web:
    """A chat with its site, and clients that are closed after the test."""

    def __init__(self, chat: Chat, server: wschat.WebSocketServer, stack: ExitStack) -> None:
        self.chat = chat
        self.server = server
        self.guests = Guests(server, stack)
        self._stack = stack

    def connect(self, source: str = "127.0.0.1") -> Http:
        """Open a connection without sending anything."""
        address = ("127.0.0.1", self.server.port)
        return self._stack.enter_context(Http(socket.create_connection(address, TIMEOUT, source_address=(source, 0))))

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request with http.client."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, /, **query: object) -> Answer:
        """Send a GET request with query parameters."""
        return self.ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(
        self, text: object = "hello", room: str = "tea", /, query: str = "", headers: Mapping[str, str] | None = None, **fields: object
    ) -> Answer:
        """Post a message to a room."""
        body = json.dumps({"text": text, **fields}).encode()
        return self.ask("POST", f"/api/rooms/{room}/messages{query}", body, headers)

    def texts(self, room: str = "tea") -> list[str]:
        """Return the texts of all messages of a room, from its export."""
        lines = self.get(f"/api/rooms/{room}/export").body.decode().split("\n")
        assert lines.pop() == ""
        return [json.loads(line)["text"] for line in lines]

    def follow(self, room: str = "tea", last_event_id: str | None = None, query: str = "", **headers: str) -> Events:
        """Open the event stream of a room and wait for its headers."""
        http = self.connect()
        if last_event_id is not None:
            headers["Last_Event_ID"] = last_event_id
        http.send(plain("GET", f"/api/rooms/{room}/events{query}", b"", **headers))
        events = Events(http)
        assert events.status == 200
        return events


OpenWeb = Callable[..., Web]
