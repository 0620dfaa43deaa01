"""The files of the pages: what they are, how they are kept, and that there is nothing else to be had."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from tests.web.wiring import Web, plain
from wschat.web import files

STATIC = Path(files.__file__).parent / "static"
NAMES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


def path_of(name: str) -> str:
    return {"index.html": "/", "stats.html": "/stats"}.get(name, f"/static/{name}")


def test_there_are_some() -> None:
    assert {"index.html", "stats.html", "icon.svg"} <= set(NAMES)


@pytest.mark.parametrize(
    ("suffix", "content_type"),
    [
        (".html", "text/html; charset=utf-8"),
        (".js", "text/javascript; charset=utf-8"),
        (".css", "text/css; charset=utf-8"),
        (".svg", "image/svg+xml"),
    ],
)
def test_every_file_is_served_as_what_it_is(web: Web, suffix: str, content_type: str) -> None:
    names = [name for name in NAMES if name.endswith(suffix)]
    assert names
    for name in names:
        answer = web.get(path_of(name))
        assert (answer.status, answer.body) == (200, (STATIC / name).read_bytes())
        assert answer.headers["content-type"] == content_type
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_of_no_known_type_are_none(web: Web) -> None:
    for name in NAMES:
        assert Path(name).suffix in files._TYPES, f"{name} is there, but never served"


@pytest.mark.parametrize("path", ["/", "/stats"])
def test_a_page_may_do_nothing_but_what_this_server_serves(web: Web, path: str) -> None:
    headers = web.get(path).headers
    policy = dict(re.split(r"\s+", directive.strip(), maxsplit=1) for directive in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_what_has_not_changed_is_not_sent_again(web: Web) -> None:
    http = web.connect()
    first = http.get("/static/icon.svg")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for condition in (tag, f'"other", {tag}', f"W/{tag}"):
        again = http.get("/static/icon.svg", If_None_Match=condition)
        assert (again.status, again.headers["etag"], again.headers["cache-control"]) == (304, tag, "no-cache")
        assert "content-length" not in again.headers
    assert http.get("/static/icon.svg", If_None_Match='"other"').status == 200
    assert http.get("/", If_None_Match=tag).status == 200
    assert http.get("/", If_None_Match=http.get("/").headers["etag"]).headers["content-security-policy"]


@pytest.mark.parametrize(
    ("accepts", "is_compressed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("GZIP", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("identity", False),
    ],
)
def test_who_takes_it_gets_it_compressed(web: Web, accepts: str, is_compressed: bool) -> None:
    answer = web.connect().get("/", Accept_Encoding=accepts)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (answer.headers.get("content-encoding") == "gzip") == is_compressed
    body = gzip.decompress(answer.body) if is_compressed else answer.body
    assert body == (STATIC / "index.html").read_bytes()
    assert len(answer.body) < len(body) or not is_compressed


def test_the_head_is_that_of_the_file(web: Web) -> None:
    http = web.connect()
    head, get = http.call(plain("HEAD", "/")), http.get("/")
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}
    assert int(head.headers["content-length"]) == len(get.body)


@pytest.mark.parametrize(
    "target",
    [
        "/static/",
        "/static",
        "/static/nothing.js",
        "/static/../api.py",
        "/static/../static/icon.svg",
        "/static/%2e%2e/api.py",
        "/static/..%2fapi.py",
        "/static//icon.svg",
        "/static/./icon.svg",
        "/static//etc/passwd",
        "/static/chat",
        "/static/icon.svg/",
        "/static/icon.svg%00",
        "/static/..\\api.py",
        "/../setup.cfg",
        "/index.html",
    ],
)
def test_there_is_nothing_else_to_be_had(web: Web, target: str) -> None:
    answer = web.connect().get(target)
    assert (answer.status, answer.code) == (404, "not-found")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/static/icon.svg"])
def test_files_are_only_read(web: Web, path: str) -> None:
    answer = web.ask("POST", path, b"x")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
