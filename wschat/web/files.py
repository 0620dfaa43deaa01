"""The files of the pages: read once, and sent compressed to those who take it so."""

from __future__ import annotations

import gzip
import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from wschat.errors import RequestRefused
from wschat.server.answers import Call, Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_PAGE_HEADERS = {
    # Nothing but what this server serves, and nothing inline: a text that were taken for markup could still do nothing.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # a room may be in the address
}


class _File(NamedTuple):
    content: bytes
    compressed: bytes
    headers: dict[str, str]


class Files:
    """The files, by their paths below the folder. From any thread."""

    def __init__(self) -> None:
        self._files = {path.relative_to(_FOLDER).as_posix(): _read(path) for path in sorted(_FOLDER.rglob("*")) if path.suffix in _TYPES}

    def answer(self, call: Call, name: str) -> Response:
        """The file of this name. Raises RequestRefused (404)."""
        file = self._files.get(name)
        if file is None:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no such file.")
        headers = call.request.headers
        if file.headers["ETag"] in headers.get("if-none-match", ""):
            return Response(HTTPStatus.NOT_MODIFIED, headers=file.headers)
        if _takes_gzip(headers.get("accept-encoding", "")):
            return Response(HTTPStatus.OK, file.compressed, {**file.headers, "Content-Encoding": "gzip"})
        return Response(HTTPStatus.OK, file.content, file.headers)


def _takes_gzip(accepted: str) -> bool:
    """Whether `gzip` is among the codings that are accepted, and not to say that it is not (RFC 9110, section 12.5.3)."""
    for coding in accepted.lower().replace(" ", "").split(","):
        name, _, weight = coding.partition(";")
        if name == "gzip":
            return weight.rstrip("0.") != "q="
    return False


def _read(path: Path) -> _File:
    content = path.read_bytes()
    headers = {
        "Content-Type": _TYPES[path.suffix],
        "Cache-Control": "no-cache",  # that is, not without asking whether it has changed
        "ETag": f'W/"{hashlib.blake2b(content, digest_size=8).hexdigest()}"',
        "Vary": "Accept-Encoding",
    }
    if path.suffix == ".html":
        headers |= _PAGE_HEADERS
    return _File(content, gzip.compress(content, mtime=0), headers)
