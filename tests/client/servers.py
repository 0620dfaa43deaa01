"""Servers and proxies for the tests of the client, each with its own threads."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TypeVar

Answer = Callable[[socket.socket, bytes], None]
_Server = TypeVar("_Server", bound="RawServer")


class RawServer:
    """Calls the given function with each connection and the head of its request."""

    def __init__(self, answer: Answer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        self._listener = socket.create_server(address, family=family)
        self._answer = answer
        self._tls = tls
        self._threads = [threading.Thread(target=self._run)]
        self.port: int = self._listener.getsockname()[1]
        self.place = f"{host}:{self.port}"
        self.url = f"ws{'s' if tls else ''}://{self.place}/"
        self.heads: list[str] = []
        """The heads of the requests."""

    def __enter__(self: _Server) -> _Server:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with connection:
                self.talk(connection)

    def talk(self, connection: socket.socket) -> None:
        """Read the head of a request, and send the response."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := connection.recv(1)):
                return
            head += byte
        self.heads.append(head.decode())
        self._answer(connection, head)


class ConnectProxy(RawServer):
    """An HTTP proxy for CONNECT, which resolves all names to this machine. With `credentials`, it requires them."""

    def __init__(self, *, credentials: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._tunnel, tls=tls)
        self._authorization = f"Proxy-Authorization: Basic {base64.b64encode(credentials.encode()).decode()}"
        self._credentials = credentials

    def _tunnel(self, connection: socket.socket, head: bytes) -> None:
        target = head.decode().split(" ")[1]
        if self._credentials and self._authorization not in head.decode():
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 6\r\n\r\nWho?\r\n")
            return
        with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            relay(connection, onward)


class SocksProxy(RawServer):
    """A SOCKS proxy of version 4, 4a or 5 (RFC 1928), which resolves all names to this machine. Version 5 requires `credentials`."""

    def __init__(self, *, credentials: tuple[str, str] | None = None, reply: int | None = None) -> None:
        super().__init__(lambda *_: None)
        self._credentials = credentials
        self._reply = reply
        self.requested: list[tuple[str, int]] = []
        """The requested hosts and ports."""

    def talk(self, connection: socket.socket) -> None:
        """Serve a client of either version."""
        version = exactly(connection, 1)[0]
        host, port = self._greet_5(connection) if version == 5 else self._read_4(connection)
        self.requested.append((host, port))
        if self._reply is not None:
            connection.sendall(bytes([5, self._reply, 0, 1]) + bytes(6))
            return
        with socket.create_connection(("127.0.0.1", port)) as onward:
            connection.sendall((b"\x05\x00\x00\x01" + bytes(6)) if version == 5 else b"\x00\x5a" + bytes(6))
            relay(connection, onward)

    def _greet_5(self, connection: socket.socket) -> tuple[str, int]:
        methods = exactly(connection, exactly(connection, 1)[0])
        if self._credentials is None:
            connection.sendall(b"\x05\x00")
        else:
            assert 2 in methods
            connection.sendall(b"\x05\x02")
            exactly(connection, 1)
            given = tuple(exactly(connection, exactly(connection, 1)[0]).decode() for _ in range(2))
            connection.sendall(bytes([1, given != self._credentials]))
        kind = exactly(connection, 4)[3]
        if kind == 3:
            host = exactly(connection, exactly(connection, 1)[0]).decode()
        else:
            family, length = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
            host = socket.inet_ntop(family, exactly(connection, length))
        return host, int.from_bytes(exactly(connection, 2), "big")

    def _read_4(self, connection: socket.socket) -> tuple[str, int]:
        _, *port, a, b, c, d = exactly(connection, 7)
        host = socket.inet_ntoa(bytes([a, b, c, d]))
        until_zero(connection)
        return (until_zero(connection) if host.startswith("0.0.0.") else host), int.from_bytes(bytes(port), "big")


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (more := connection.recv(count - len(data))):
            raise ConnectionResetError
        data += more
    return data


def until_zero(connection: socket.socket) -> str:
    text = b""
    while (byte := exactly(connection, 1)) != b"\0":
        text += byte
    return text.decode()


def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions until both have ended."""
    back = threading.Thread(target=pump, args=(other, one))
    back.start()
    pump(one, other)
    back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
    with contextlib.suppress(OSError):
        socket.socket.shutdown(target, socket.SHUT_WR)


def until_closed(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def accepting(head: bytes, *headers: str) -> bytes:
    """Return the response that opens a WebSocket."""
    key = next(line for line in head.decode().splitlines() if line.lower().startswith("sec-websocket-key")).split(": ")[1]
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def opens(*headers: str) -> Answer:
    """Open a WebSocket, and close it at once."""

    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(accepting(head, *headers) + b"\x88\x00")
        connection.recv(4096)  # the client's close frame

    return answer


def says(answer: bytes) -> Answer:
    """Send these bytes, and end the connection."""
    return lambda connection, _: connection.sendall(answer)


def redirects_to(location: str, *headers: str, status: int = 302) -> Answer:
    """Send a redirect."""
    lines = [f"HTTP/1.1 {status} Elsewhere", f"Location: {location}", *headers, "Content-Length: 0", "", ""]
    return says("\r\n".join(lines).encode())
