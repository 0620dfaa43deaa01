"""The files of the pages: read and bundled once, named by their content, and compressed for clients that accept gzip.

A browser revalidates a page each time. The names of its files change with their content, so these are cached for a year. A page
has few: one script, one style sheet and one icon. The client for the pages of others has one name, and is revalidated as a page is.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import NamedTuple

from wschat.errors import RequestRefused
from wschat.server.requests import Request
from wschat.server.responses import Response
from wschat.web.bundle import bundle, bundle_module

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# References in a page's source. A script that is no module is small, and is inlined.
_INLINE_SCRIPT = re.compile(r'<script src="static/([^"]+)"></script>')
_MODULE = re.compile(r'<script type="module" src="static/([^"]+)"></script>')
_STYLE_SHEETS = re.compile(r'(?:<link rel="stylesheet" href="static/[^"]+">\n)+')
_REFERENCE = re.compile(r'(?<==")static/([^"]+)')

_CONTENT_POLICY = (
    # Only files of this server, so that injected markup would have no effect.
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ONE_YEAR = 365 * 86_400
_REVALIDATED = "no-cache"  # cached, but revalidated each time


class _File(NamedTuple):
    content: bytes
    compressed: bytes
    headers: dict[str, str]


class Files:
    """The pages and their files. Thread-safe."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}  # by path below `static/`
        self._icon = _make_file(".svg", _read("icon.svg"), {"Cache-Control": "public, max-age=86400"})
        self._client = _make_file(".js", bundle_module("client/wschat.js", _read), {"Cache-Control": _REVALIDATED})
        self._pages = {path.name: self._make_page(_read(path.name)) for path in sorted(_FOLDER.glob("*.html"))}

    def icon(self, request: Request) -> Response:
        """Return the icon that browsers fetch for pages without one."""
        return self._respond(request, self._icon)

    def client(self, request: Request) -> Response:
        """Return the client for JavaScript, an ES module."""
        return self._respond(request, self._client)

    def page(self, request: Request, name: str) -> Response:
        """Return a page by the name of its source."""
        return self._respond(request, self._pages[name])

    def file(self, request: Request, path: str) -> Response:
        """Return a page's file by its path below `static/`. Raises RequestRefused (404)."""
        file = self._files.get(path)
        if file is None:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no such file.")
        return self._respond(request, file)

    def _respond(self, request: Request, file: _File) -> Response:
        headers = request.headers
        if file.headers["ETag"] in headers.get("if-none-match", ""):
            return Response(HTTPStatus.NOT_MODIFIED, headers=file.headers)
        if _takes_gzip(headers.get("accept-encoding", "")):
            return Response(HTTPStatus.OK, file.compressed, {**file.headers, "Content-Encoding": "gzip"})
        return Response(HTTPStatus.OK, file.content, file.headers)

    def error_page(self, request: Request, refusal: RequestRefused) -> Response:
        """Return the error page for a refusal. Its links work at any path."""
        depth = request.path.count("/") - 1
        root = "../" * depth or "./"
        page = self._pages["error.html"]
        text = page.content.decode().replace('="static/', f'="{root}static/').replace('="./"', f'="{root}"')
        status = f"{refusal.status:d} {responses.get(refusal.status, '')}"
        body = text.replace("{status}", status).replace("{text}", html.escape(refusal.text)).encode()
        kept = {name: page.headers[name] for name in ("Content-Type", "Content-Security-Policy", "Referrer-Policy")}
        return Response(refusal.status, body, {**kept, "Cache-Control": "no-store", "Vary": "Accept", **refusal.headers})

    def _make_page(self, source: str) -> _File:
        """Bundle a page's files, and refer to the bundles in the page."""
        inline_scripts: list[str] = []

        def inline(match: re.Match[str]) -> str:
            inline_scripts.append(_read(match[1]))
            return f"<script>{inline_scripts[-1]}</script>"

        def join_style_sheets(match: re.Match[str]) -> str:
            paths: list[str] = _REFERENCE.findall(match[0])
            return f'<link rel="stylesheet" href="{self._add(_bundle_name(paths[0], ".css"), "".join(map(_read, paths)))}">\n'

        def bundle_modules(match: re.Match[str]) -> str:
            return f'<script defer src="{self._add(_bundle_name(match[1], ".js"), bundle(match[1], _read))}"></script>'

        page = _REFERENCE.sub(lambda match: self._add(match[1], _read(match[1])) if match[1].endswith(".svg") else match[0], source)
        page = _INLINE_SCRIPT.sub(inline, page)
        page = _STYLE_SHEETS.sub(join_style_sheets, page)
        page = _MODULE.sub(bundle_modules, page)
        headers = {
            "Cache-Control": _REVALIDATED,
            "Content-Security-Policy": _CONTENT_POLICY.format(scripts="".join(map(_allowing, inline_scripts))),
            "Referrer-Policy": "no-referrer",  # the address may name a room
        }
        return _make_file(".html", page, headers)

    def _add(self, name: str, text: str) -> str:
        """Add a file under a name with the hash of its content. Return its path in a page."""
        path = Path(name)
        hashed = str(path.with_name(f"{path.stem}.{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}{path.suffix}"))
        self._files[hashed] = _make_file(path.suffix, text, {"Cache-Control": f"public, max-age={_ONE_YEAR}, immutable"})
        return f"static/{hashed}"


def _takes_gzip(accepted: str) -> bool:
    """Return True if an Accept-Encoding accepts gzip with a weight above 0 (RFC 9110, section 12.5.3)."""
    for coding in accepted.lower().replace(" ", "").split(","):
        name, _, weight = coding.partition(";")
        if name == "gzip":
            return weight.rstrip("0.") != "q="
    return False


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _bundle_name(path: str, suffix: str) -> str:
    """Return the name of a bundle: that of the folder of its first file."""
    return Path(path).parent.name + suffix


def _allowing(script: str) -> str:
    """Return the content security policy's source for this inline script."""
    return f" 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _make_file(suffix: str, text: str, headers: dict[str, str]) -> _File:
    content = text.encode()
    headers = {
        "Content-Type": _TYPES[suffix],
        "ETag": f'W/"{hashlib.blake2b(content, digest_size=8).hexdigest()}"',
        "Vary": "Accept-Encoding",
        **headers,
    }
    return _File(content, gzip.compress(content, mtime=0), headers)
