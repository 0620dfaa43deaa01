"""Hosting a WSGI application (PEP 3333): one request and its response, in the thread of the connection."""

from __future__ import annotations

import io
import logging
import os
import stat
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote_to_bytes
from wsgiref.handlers import BaseHandler
from wsgiref.headers import Headers
from wsgiref.util import is_hop_by_hop

from wschat.errors import HttpConnectionClosed, RequestRefused
from wschat.server.logs import shown
from wschat.server.requests import Request
from wschat.server.response_writer import ResponseWriter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger("wschat.server")

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application, such as a `flask.Flask` or what Django's `get_wsgi_application` returns."""

_BODY_BUFFER_BYTES = 64 * 1024
# Headers that CGI has variables for, without HTTP_.
_CGI_HEADERS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def respond(app: WsgiApp, request: Request, server_address: object, writer: ResponseWriter) -> None:
    """Call an application with a request, and write its response. For the connection's own thread.

    An exception of the application is logged and answered with 500, unless the response has begun: then it is raised. Raises
    HttpConnectionClosed if the client leaves.
    """
    _Handler(request, server_address, writer).run(app)


class _Handler(BaseHandler):
    """Calls the application as wsgiref does, and writes with a ResponseWriter."""

    os_environ: ClassVar[dict[str, str]] = {}  # type: ignore[misc]  # not the variables of the process
    wsgi_multithread = True
    wsgi_multiprocess = False
    wsgi_run_once = False
    http_version = "1.1"
    error_status = "500 Internal Server Error"
    error_headers: ClassVar[list[tuple[str, str]]] = [("Content-Type", "text/plain; charset=utf-8")]  # type: ignore[misc]
    error_body = b"The server failed to answer this request.\n"

    # Set by wsgiref.
    environ: dict[str, Any]
    status: str
    headers: Headers

    def __init__(self, request: Request, server_address: object, writer: ResponseWriter) -> None:
        self._request = request
        self._server_address = server_address
        self._writer = writer

    def run(self, application: Any) -> None:
        # wsgiref's own takes a ConnectionResetError of the application, as from its database, for one of the client.
        try:
            self.setup_environ()
            self.result = application(self.environ, self.start_response)
            self.finish_response()
        except Exception as error:
            cause = error.__cause__  # of an OSError that reading the body raised
            if isinstance(cause, HttpConnectionClosed) or (isinstance(cause, RequestRefused) and not self._writer.has_begun):
                raise cause from None
            if isinstance(error, HttpConnectionClosed) or (self._writer.status is not None and not self._writer.has_ended):
                raise
            logger.exception("the answer to %s %s failed", self._request.method, shown(self._request.path))
            if self._writer.status is None:
                self.result = self.error_output(self.environ, self.start_response)
                self.finish_response()

    # What the application is given

    def get_stdin(self) -> IO[bytes]:
        return io.BufferedReader(_Input(self._request.body), _BODY_BUFFER_BYTES)

    def get_stderr(self) -> IO[str]:
        return _ErrorLog()  # type: ignore[return-value]  # all that PEP 3333 asks for

    def get_scheme(self) -> str:
        return self._request.scheme

    def add_cgi_vars(self) -> None:
        request = self._request
        raw_path, _, query = request.target.partition("?")
        host, port = self._server_name()
        self.environ.update(
            {
                "REQUEST_METHOD": request.method,
                "SCRIPT_NAME": "",
                "PATH_INFO": "" if raw_path == "*" else unquote_to_bytes(raw_path).decode("latin-1"),
                "QUERY_STRING": query,
                "REQUEST_URI": request.target,
                "SERVER_NAME": host,
                "SERVER_PORT": port,
                "SERVER_PROTOCOL": f"HTTP/{request.version}",
                "SERVER_SOFTWARE": "wschat",
            }
        )
        if isinstance(request.remote_address, tuple):
            self.environ["REMOTE_ADDR"], self.environ["REMOTE_PORT"] = str(request.remote_address[0]), str(request.remote_address[1])
        if self._request.scheme == "https":
            self.environ["HTTPS"] = "on"
        if "transfer-encoding" in request.headers:
            self.environ["wsgi.input_terminated"] = True  # there is an end although there is no length
        for name, value in request.headers.items():
            if "_" in name:  # would pass for a header with a hyphen, which a proxy may have set
                continue
            variable = name.upper().replace("-", "_")
            self.environ[_CGI_HEADERS.get(name, f"HTTP_{variable}")] = value

    def _server_name(self) -> tuple[str, str]:
        address = self._server_address
        if isinstance(address, tuple):
            return str(address[0]), str(address[1])
        host, _, port = self._request.headers.get("host", "localhost").partition(":")  # a Unix socket has neither
        return host or "localhost", port or ("443" if self._request.scheme == "https" else "80")

    # What the application responds

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        # Applications that set `Connection: keep-alive` are common; what delimits a response is for the server to say.
        end_to_end = [header for header in headers if not is_hop_by_hop(header[0])]
        return super().start_response(status, end_to_end, exc_info)

    def send_headers(self) -> None:
        self.cleanup_headers()
        code, _, reason = self.status.partition(" ")
        self._writer.begin(int(code), self.headers.items(), reason)
        self.headers_sent = True

    def finish_content(self) -> None:
        super().finish_content()
        self._writer.end()

    def _write(self, data: bytes) -> None:
        self._writer.write(data)

    def _flush(self) -> None:
        self._writer.flush()

    def sendfile(self) -> bool:
        """Send the file that the application has returned in a `wsgi.file_wrapper`. Return False if it is not a regular file."""
        if not self._writer.sends_files:
            return False
        file = self.result.filelike
        try:
            descriptor = file.fileno()
            status = os.fstat(descriptor)
            offset = file.tell()
        except (AttributeError, OSError, ValueError):
            return False
        if not stat.S_ISREG(status.st_mode):
            return False
        count = max(0, status.st_size - offset)
        length = self.headers.get("Content-Length")
        if length is not None and length.isdigit():
            count = min(count, int(length))
        self.headers["Content-Length"] = str(count)
        self.send_headers()
        self._writer.send_file(descriptor, offset, count)
        self._writer.end()
        return True


class _Input(io.RawIOBase):
    """The body of a request, with the errors that applications expect of a file."""

    def __init__(self, body: io.RawIOBase | io.BytesIO) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        try:
            return self._body.readinto(buffer)
        except (HttpConnectionClosed, RequestRefused) as error:
            raise OSError(str(error)) from error


class _ErrorLog(io.TextIOBase):
    """`wsgi.errors`: each line becomes an error in the log."""

    def __init__(self) -> None:
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            logger.error("%s", line)
        return len(text)

    def flush(self) -> None:
        if self._rest:
            self.write("\n")
