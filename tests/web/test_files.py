"""The pages and their files: what they are, how long they are kept, and that there is nothing else to be had."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from tests.web.wiring import Answer, OpenWeb, Web, plain
from wschat.web import files

STATIC = Path(files.__file__).parent / "static"


def files_of(page: Answer) -> list[str]:
    """The files that a page names, each once."""
    return list(dict.fromkeys(re.findall('="(static/[^"]+)"', page.body.decode())))


@pytest.mark.parametrize("path", ["/", "/stats"])
def test_a_page_needs_few_files_which_are_kept_for_a_year(web: Web, path: str) -> None:
    page = web.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    named = files_of(page)
    assert sorted(Path(file).suffix for file in named) == [".css", ".js", ".svg"]
    types = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    for file in named:
        answer = web.get(f"/{file}")
        assert answer.status == 200
        assert answer.headers["content-type"] == types[Path(file).suffix]
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_has_another_name_when_its_content_is_another(web: Web, open_web: OpenWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(web.get("/"))
    read = files._read
    monkeypatch.setattr(files, "_read", lambda name: read(name) + ("\n// changed\n" if name == "chat/dom.js" else ""))
    changed = open_web()
    after = files_of(changed.get("/"))
    assert [Path(file).suffix for file in set(after) - set(before)] == [".js"]
    assert len(before) == len(after)
    (old,) = set(before) - set(after)
    assert changed.get(f"/{old}").status == 404


def test_all_that_is_there_is_used(web: Web) -> None:
    served = "".join(
        web.get(path).body.decode() + "".join(web.get(f"/{file}").body.decode() for file in files_of(web.get(path)))
        for path in ("/", "/stats")
    )
    for path in STATIC.rglob("*.*"):
        if path.suffix != ".html":
            last_line = path.read_text().rstrip().splitlines()[-2 if path.suffix == ".js" else -1]
            assert last_line.removeprefix("export ") in served, f"{path} is there, but never served"


@pytest.mark.parametrize("path", ["/", "/stats"])
def test_a_page_may_do_nothing_but_what_this_server_serves(web: Web, path: str) -> None:
    page = web.get(path)
    headers = page.headers
    policy = dict(re.split(r"\s+", directive.strip(), maxsplit=1) for directive in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    (shell,) = re.findall("<script>(.*?)</script>", page.body.decode(), re.DOTALL)
    assert policy["script-src"] == f"'self' 'sha256-{b64encode(sha256(shell.encode()).digest()).decode()}'"
    assert headers["referrer-policy"] == "no-referrer"


def test_what_has_not_changed_is_not_sent_again(web: Web) -> None:
    http = web.connect()
    file = f"/{files_of(web.get('/'))[0]}"
    for path in ("/", file):
        first = http.get(path)
        tag, caching = first.headers["etag"], first.headers["cache-control"]
        for condition in (tag, f'"other", {tag}', f"W/{tag}"):
            again = http.get(path, If_None_Match=condition)
            assert (again.status, again.headers["etag"], again.headers["cache-control"]) == (304, tag, caching)
            assert "content-length" not in again.headers
        assert http.get(path, If_None_Match='"other"').status == 200
    assert http.get("/", If_None_Match=http.get(file).headers["etag"]).status == 200
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
    assert body == web.get("/").body
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
        "/static/index.html",
        "/static/error.html",
        "/static/chat/main.js",
    ],
)
def test_there_is_nothing_else_to_be_had(web: Web, target: str) -> None:
    answer = web.connect().get(target)
    assert (answer.status, answer.code) == (404, "not-found")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_are_only_read(web: Web) -> None:
    for path in ("/", f"/{files_of(web.get('/'))[0]}"):
        answer = web.ask("POST", path, b"x")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_browsers_get_an_icon_where_a_page_names_none(web: Web) -> None:
    answer = web.get("/favicon.ico")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.body == (STATIC / "icon.svg").read_bytes()
