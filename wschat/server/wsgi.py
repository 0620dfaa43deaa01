"""Hosting a WSGI application (PEP 3333): one request and its response, in the thread of the connection."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote_to_bytes
from wsgiref.handlers import BaseHandler
from wsgiref.headers import Headers
from wsgiref.util import is_hop_by_hop

from wschat.errors import HttpConnectionClosed, RequestRefused
from wschat.server.logs import shown
from wschat.server.requests import Request
from wschat.server.response_writer import WITHOUT_BODY, ResponseWriter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger("wschat.server")

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application, such as a `flask.Flask` or what Django's `get_wsgi_application` returns."""

_BODY_BUFFER_BYTES = 64 * 1024
# Headers that CGI has variables for, without HTTP_.
_CGI_HEADERS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_NAME_AND_PORT = re.compile(r"(.*):(\d+)")


class Gateway:
    """A WSGI application on one connection. For the connection's own thread."""

    def __init__(self, app: WsgiApp, server_address: object) -> None:
        """`server_address` is the server's own address of the connection, as `socket.getsockname` returns it."""
        self._app = app
        self._environ = {"SCRIPT_NAME": "", "SERVER_SOFTWARE": "wschat"}
        if isinstance(server_address, tuple):
            host, port = server_address[:2]
            self._environ |= {"SERVER_NAME": f"[{host}]" if ":" in host else host, "SERVER_PORT": str(port)}

    def respond(self, request: Request, writer: ResponseWriter) -> None:
        """Call the application with a request, and write its response.

        An exception of the application is logged and answered with 500, unless the response has begun: then it is raised. Raises
        HttpConnectionClosed if the client leaves.
        """
        _Handler(request, self._environ, writer).run(self._app)


class _Handler(BaseHandler):
    """Calls the application as wsgiref does, and writes with a ResponseWriter."""

    wsgi_multithread = True
    wsgi_multiprocess = False
    wsgi_run_once = False
    error_status = "500 Internal Server Error"
    error_headers: ClassVar[list[tuple[str, str]]] = [("Content-Type", "text/plain; charset=utf-8")]  # type: ignore[misc]
    error_body = b"The server failed to answer this request.\n"

    # Set by wsgiref.
    environ: dict[str, Any]
    status: str
    headers: Headers

    def __init__(self, request: Request, environ: dict[str, str], writer: ResponseWriter) -> None:
        self.os_environ = environ  # which wsgiref copies; not the variables of the process
        self._request = request
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
        body = self._request.body
        return body if isinstance(body, io.BytesIO) else io.BufferedReader(_Input(body), _BODY_BUFFER_BYTES)

    def get_stderr(self) -> IO[str]:
        return _ErrorLog()  # type: ignore[return-value]  # all that PEP 3333 asks for

    def get_scheme(self) -> str:
        return self._request.scheme

    def add_cgi_vars(self) -> None:
        request, environ = self._request, self.environ
        path, _, query = request.target.partition("?")
        environ["REQUEST_METHOD"] = request.method
        environ["REQUEST_URI"] = request.target
        environ["PATH_INFO"] = "" if path == "*" else unquote_to_bytes(path).decode("latin-1")
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
        if isinstance(request.remote_address, tuple):
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = str(request.remote_address[0]), str(request.remote_address[1])
        if request.scheme == "https":
            environ["HTTPS"] = "on"
        if "SERVER_NAME" not in environ:
            environ["SERVER_NAME"], environ["SERVER_PORT"] = self._server_name()
        for name, value in request.headers.items():
            if variable := _variable_of(name):
                environ[variable] = value
        if "transfer-encoding" in request.headers:
            environ["wsgi.input_terminated"] = True  # there is an end although there is no length

    def _server_name(self) -> tuple[str, str]:
        """Return the name and the port that the client has used: a Unix socket has neither."""
        host = self._request.headers.get("host", "")
        match = _NAME_AND_PORT.fullmatch(host)
        name, port = match.groups() if match else (host, None)
        return name or "localhost", port or ("443" if self._request.scheme == "https" else "80")

    # What the application responds

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info and self.headers_sent:
            try:
                raise exc_info[1].with_traceback(exc_info[2])  # wsgiref raises it only while it is handled
            finally:
                exc_info = None  # as PEP 3333 demands: it refers to this frame
        # Applications that set `Connection: keep-alive` are common; what delimits a response is for the server to say.
        end_to_end = [header for header in headers if not is_hop_by_hop(header[0])]
        return super().start_response(status, end_to_end, exc_info)

    def send_headers(self) -> None:
        code, _, reason = self.status.partition(" ")
        if int(code) not in WITHOUT_BODY:
            self.cleanup_headers()  # sets the length of a body of one part
        self._writer.begin(int(code), self.headers.items(), reason)
        self.headers_sent = True

    def finish_response(self) -> None:
        # wsgiref's own sends the head with an empty part (PEP 3333 forbids that), and asks for all parts of a body that is not sent.
        try:
            if not self.result_is_file() or not self.sendfile():
                for part in self.result:
                    if part != b"":
                        self.write(part)
                    if self.headers_sent and not self._writer.has_body:
                        break
                self.finish_content()
        except BaseException:
            if hasattr(self.result, "close"):
                self.result.close()
            raise
        self.close()

    def finish_content(self) -> None:
        if not self.status:
            raise AssertionError("the application did not call start_response")
        if not self.headers_sent:
            if self._request.method != "HEAD" and int(self.status[:3]) not in WITHOUT_BODY:
                self.headers.setdefault("Content-Length", "0")
            self.send_headers()
        self._writer.end()

    def _write(self, data: bytes) -> None:
        self._writer.write(data)

    def _flush(self) -> None:
        self._writer.flush()

    def sendfile(self) -> bool:
        """Send the file that the application has returned in a `wsgi.file_wrapper`. Return False if it is not a regular file."""
        if self.headers_sent or not self._writer.sends_files:
            return False
        file = self.result.filelike
        try:
            if not isinstance(getattr(file, "raw", file), io.FileIO):
                return False  # its descriptor may be that of the compressed file, as with GzipFile
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


@lru_cache(maxsize=256)
def _variable_of(name: str) -> str | None:
    """Return the variable of a header, or None for a name with an underscore: it would pass for one with a hyphen, which a proxy may
    have set."""
    return None if "_" in name else _CGI_HEADERS.get(name, f"HTTP_{name.upper().replace('-', '_')}")


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
