"""`upload`: large bodies to and from a WSGI application, and the memory that the server takes for them."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from time import monotonic
from typing import Any

from tests.bench.report import Report
from tests.bench.server import stop
from tests.server.command import running

_BLOCK = bytes(1 << 16)
_BLOCKS_OF_MEGABYTE = 16
_TIMEOUT = 600.0  # seconds: a form is written to a disk
_MAX_MEGABYTES = 64
_BOUNDARY = "a-boundary"
_FORM_HEAD = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=a.bin\r\n\r\n".encode()
_FORM_END = f"\r\n--{_BOUNDARY}--\r\n".encode()


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The application: `/count` and `/form` respond with the number of bytes that they have received, `/blocks/N` with N blocks."""
    path = environ["PATH_INFO"]
    if path.startswith("/blocks/"):
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return repeat(_BLOCK, int(path.rpartition("/")[2]))
    count = _size_of_file(environ) if path == "/form" else sum(map(len, iter(lambda: environ["wsgi.input"].read(len(_BLOCK)), b"")))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % count]


def _size_of_file(environ: dict[str, Any]) -> int:
    from werkzeug import Request  # here, because the other bodies do not need it

    size: int = Request(environ).files["file"].seek(0, io.SEEK_END)
    return size


def run(megabytes: int) -> bool:
    """Measure. Return True if all bytes arrived and the server's memory stayed within its bound."""
    report = Report(f"upload: bodies of {megabytes:,} MiB to and from a WSGI application")
    blocks = megabytes * _BLOCKS_OF_MEGABYTE
    size = blocks * len(_BLOCK)
    with running("--port", "0", "--app", "wschat.apps:echo", "--wsgi", "tests.bench.upload:app", "--log-level", "error") as server:
        exchanges: dict[str, Callable[[], int]] = {
            "a body with a length": lambda: _post(server.port, "/count", repeat(_BLOCK, blocks), {"Content-Length": f"{size}"}),
            "a chunked body": lambda: _post(server.port, "/count", repeat(_BLOCK, blocks), {}),
            "a file of a form": lambda: _post(server.port, "/form", *_form(blocks)),
            "a response": lambda: _get(server.port, blocks),
        }
        for what, exchange in exchanges.items():
            began_at = monotonic()
            received = exchange()
            report.add(what, f"{megabytes / (monotonic() - began_at):,.0f} MiB/s, peak {server.peak_bytes() / 2**20:.1f} MiB")
            if received != size:
                report.problems.append(f"{what}: {received:,} bytes arrived of {size:,}")
        peak = server.peak_bytes() / 2**20
        report.add("the server's peak memory", f"{peak:.1f} MiB", required=f"at most {_MAX_MEGABYTES} MiB", is_met=peak <= _MAX_MEGABYTES)
        if peak > _MAX_MEGABYTES:
            report.problems.append("the server keeps bodies in memory")
        stop(server, report)
    return report.show()


def _form(blocks: int) -> tuple[Iterator[bytes], dict[str, str]]:
    """Return the body and the headers of a form with a file."""

    def body() -> Iterator[bytes]:
        yield _FORM_HEAD
        yield from repeat(_BLOCK, blocks)
        yield _FORM_END

    length = len(_FORM_HEAD) + blocks * len(_BLOCK) + len(_FORM_END)
    return body(), {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Content-Length": f"{length}"}


def _post(port: int, path: str, body: Iterable[bytes], headers: dict[str, str]) -> int:
    """Send a body. Return the number of bytes that the application has received."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    connection.request("POST", path, body, headers, encode_chunked="Content-Length" not in headers)
    received = int(connection.getresponse().read())
    connection.close()
    return received


def _get(port: int, blocks: int) -> int:
    """Receive a response. Return the number of its bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    connection.request("GET", f"/blocks/{blocks}")
    response = connection.getresponse()
    received = sum(map(len, iter(lambda: response.read(len(_BLOCK)), b"")))
    connection.close()
    return received
