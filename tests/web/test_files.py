"""The pages and their static files: headers, caching, compression, and that nothing else is served."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

import wschat
from tests.web.wiring import Answer, OpenWeb, Web, plain
from wschat.web import files

STATIC = Path(files.__file__).parent / "static"


def files_of(page: Answer) -> list[str]:
    """Return the files that a page refers to, each once."""
    return list(dict.fromkeys(re.findall('="(static/[^"]+)"', page.body.decode())))


@pytest.mark.parametrize("path", ["/", "/stats"])
def test_a_page_needs_few_files_which_are_cached_for_a_year(web: Web, path: str) -> None:
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


def test_the_name_of_a_file_changes_with_its_content(web: Web, open_web: OpenWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(web.get("/"))
    read = files._read
    monkeypatch.setattr(files, "_read", lambda name: read(name) + ("\n// changed\n" if name == "chat/dom.js" else ""))
    changed = open_web()
    after = files_of(changed.get("/"))
    assert [Path(file).suffix for file in set(after) - set(before)] == [".js"]
    assert len(before) == len(after)
    (old,) = set(before) - set(after)
    assert changed.get(f"/{old}").status == 404


def test_every_static_file_is_used(web: Web) -> None:
    served = web.get("/wschat.js").body.decode() + "".join(
        web.get(path).body.decode() + "".join(web.get(f"/{file}").body.decode() for file in files_of(web.get(path)))
        for path in ("/", "/stats")
    )
    for path in STATIC.rglob("*.*"):
        name = path.relative_to(STATIC).as_posix()
        if path.suffix != ".html":
            last_line = path.read_text().rstrip().splitlines()[-2 if path.suffix == ".js" else -1]
            is_served = f'modules["{name}"] =' in served or last_line in served
            assert is_served, f"{path} exists, but is never served"


def test_the_client_for_javascript_is_revalidated_and_may_be_read_by_any_page(web: Web) -> None:
    http = web.connect()
    first = http.get("/wschat.js", Origin="https://app.example")
    assert (first.status, first.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert (first.headers["cache-control"], first.headers["access-control-allow-origin"]) == ("no-cache", "*")
    assert "access-control-allow-credentials" not in first.headers
    again = http.get("/wschat.js", Origin="https://other.example", If_None_Match=first.headers["etag"])
    assert (again.status, again.headers["access-control-allow-origin"]) == (304, "*")
    assert http.get("/", Origin="https://app.example").status == 403
    with pytest.raises(wschat.OpeningFailed, match="403"):
        wschat.connect(f"ws://127.0.0.1:{web.server.port}/wschat.js", origin="https://app.example")


@pytest.mark.parametrize("path", ["/", "/stats"])
def test_the_security_policy_allows_only_this_server(web: Web, path: str) -> None:
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


def test_an_unchanged_file_gets_304(web: Web) -> None:
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
def test_a_client_that_accepts_gzip_gets_it(web: Web, accepts: str, is_compressed: bool) -> None:
    answer = web.connect().get("/", Accept_Encoding=accepts)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (answer.headers.get("content-encoding") == "gzip") == is_compressed
    body = gzip.decompress(answer.body) if is_compressed else answer.body
    assert body == web.get("/").body
    assert len(answer.body) < len(body) or not is_compressed


def test_head_gets_the_headers_of_the_file(web: Web) -> None:
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
def test_other_paths_get_404(web: Web, target: str) -> None:
    answer = web.connect().get(target)
    assert (answer.status, answer.code) == (404, "not-found")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_allow_get_and_head_only(web: Web) -> None:
    for path in ("/", f"/{files_of(web.get('/'))[0]}"):
        answer = web.ask("POST", path, b"x")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_favicon_ico_gets_the_icon(web: Web) -> None:
    answer = web.get("/favicon.ico")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.body == (STATIC / "icon.svg").read_bytes()
