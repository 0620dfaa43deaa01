"""The request that a WSGI environ describes, as the head that the client sent and as a `Request`."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from wschat.errors import RequestRefused
from wschat.server.requests import Request
from wschat.wsgi.servers import WsgiEnviron

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# What RFC 3986 allows in a path besides letters, digits and `_.-~`.
_SAFE_IN_PATH = "/:@!$&'()*+,;="
_CGI_HEADERS = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


def headers_of(environ: WsgiEnviron) -> dict[str, str]:
    """Return the headers by name in lower case."""
    headers = {key[5:].replace("_", "-").lower(): str(value) for key, value in environ.items() if key.startswith("HTTP_")}
    # CGI has variables for these that may be empty.
    return headers | {name: environ[key] for key, name in _CGI_HEADERS.items() if environ.get(key)}


def target_of(environ: WsgiEnviron) -> str:
    """Return the path below the application, and the query."""
    path = quote(environ.get("PATH_INFO", "").encode("latin-1"), safe=_SAFE_IN_PATH)
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


def head_of(environ: WsgiEnviron) -> bytes:
    """Return the head of the request as it may have been sent."""
    target = target_of(environ)
    lines = [f"{environ['REQUEST_METHOD']} {target if target.startswith('/') else f'/{target}'} {environ['SERVER_PROTOCOL']}"]
    lines += [f"{name}: {value}" for name, value in headers_of(environ).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")  # a middleware may have set a header to any text


def remote_address_of(environ: WsgiEnviron) -> tuple[str, int] | None:
    """Return the address of the client, or None for a Unix socket."""
    host = environ.get("REMOTE_ADDR")
    port = str(environ.get("REMOTE_PORT") or 0)
    return (host, int(port) if port.isdigit() else 0) if host else None


def request_of(environ: WsgiEnviron) -> Request:
    """Return the request, with its body."""
    version = environ["SERVER_PROTOCOL"].partition("/")[2]
    request = Request(environ["REQUEST_METHOD"], target_of(environ), headers_of(environ), version=version, body=_Body(environ))
    return describe(request, environ)


def describe(request: Request, environ: WsgiEnviron) -> Request:
    """Set what the server knows of a request besides its head, and return the request."""
    request.prefix = quote(environ.get("SCRIPT_NAME", "").encode("latin-1"), safe=_SAFE_IN_PATH)
    request.remote_address = remote_address_of(environ)
    request.scheme = environ.get("wsgi.url_scheme", "http")
    return request


class _Body(io.RawIOBase):
    """The body of a request, up to its end: a server may wait for more after that (PEP 3333)."""

    def __init__(self, environ: WsgiEnviron) -> None:
        self._input = environ["wsgi.input"]
        length = environ.get("CONTENT_LENGTH") or "0"
        self._left: int | None = int(length) if length.isdigit() else 0
        if not self._left and environ.get("wsgi.input_terminated"):
            self._left = None  # until the end of the input

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        wanted = len(view) if self._left is None else min(len(view), self._left)
        data: bytes = self._input.read(wanted) if wanted else b""
        if self._left is not None:
            if wanted and not data:
                raise RequestRefused(HTTPStatus.BAD_REQUEST, "The body is shorter than its Content-Length.")
            self._left -= len(data)
        view[: len(data)] = data
        return len(data)
