"""Path patterns and their handlers."""

from __future__ import annotations

from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from wschat.errors import RequestRefused, UsageError
from wschat.server.routes import Routes


def name_of(*patterns: str, path: str) -> tuple[str, dict[str, str | int]] | None:
    """Return the pattern that matches a path and its parameters, or None."""
    handlers: dict[str, Any] = {pattern: pattern for pattern in patterns}
    try:
        handler, params = Routes(handlers).find(path)
    except RequestRefused:
        return None
    return str(handler), params


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/", "/", {}),
        ("/echo", "/echo", {}),
        ("/prices/<symbol>", "/prices/ABC", {"symbol": "ABC"}),
        ("/prices/<symbol>", "/prices/caf%C3%A9%20%2F", {"symbol": "café /"}),
        ("/café", "/caf%C3%A9", {}),
        ("/<a>/x/<b>", "/1/x/2", {"a": "1", "b": "2"}),
        ("/rooms/<int:number>", "/rooms/42", {"number": 42}),
        ("/files/<path:name>", "/files/a/b%20c", {"name": "a/b c"}),
        ("/files/<path:name>", "/files/a", {"name": "a"}),
    ],
)
def test_a_pattern_matches(pattern: str, path: str, params: dict[str, str | int]) -> None:
    assert name_of(pattern, path=path) == (pattern, params)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/x"),
        ("/echo", "/echo/"),
        ("/echo/", "/echo"),
        ("/echo", "/ECHO"),
        ("/prices/<symbol>", "/prices/"),
        ("/prices/<symbol>", "/prices"),
        ("/prices/<symbol>", "/prices/a/b"),
        ("/rooms/<int:number>", "/rooms/x"),
        ("/rooms/<int:number>", "/rooms/-1"),
        ("/rooms/<int:number>", "/rooms/%D9%A3"),
        ("/rooms/<int:number>", f"/rooms/{'9' * 5000}"),
        ("/files/<path:name>", "/files/"),
        ("/files/<path:name>", "/files"),
        ("/x", "*"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, path: str) -> None:
    assert name_of(pattern, path=path) is None


def test_the_first_matching_pattern_counts() -> None:
    assert name_of("/rooms/new", "/rooms/<name>", path="/rooms/new") == ("/rooms/new", {})
    assert name_of("/rooms/<name>", "/rooms/new", path="/rooms/new") == ("/rooms/<name>", {"name": "new"})
    assert name_of("/<int:number>", "/<name>", path="/x") == ("/<name>", {"name": "x"})


@pytest.mark.parametrize("pattern", ["", "echo", "/a<b>", "/<b>c", "/<>", "/<a b>", "/<float:x>", "/<path:x>/y", "/<x>/<x>"])
def test_an_invalid_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"must|same name"):
        Routes({pattern: print})


def test_no_patterns_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        wschat.serve({}, port=0)


def test_an_invalid_handler_is_refused() -> None:
    async def handler(ws: wschat.Connection) -> None:
        """Never runs."""

    with pytest.raises(UsageError, match="async"):
        wschat.serve({"/": handler}, port=0)  # type: ignore[dict-item]


def tell(ws: wschat.Connection) -> None:
    """Send the path and the parameters of the request."""
    ws.send(f"{dict(ws.path_params)} {ws.query} {ws.cookies}")


def test_the_handler_of_a_path_gets_its_parameters(serve: ServerFactory) -> None:
    server = serve({"/prices/<symbol>": tell, "/": lambda ws: ws.send("root")})
    with wschat.connect(url_of(server, "/prices/X?a=1&a=2&b="), cookies={"id": "7"}) as ws:
        assert ws.recv(TIMEOUT) == "{'symbol': 'X'} {'a': '2', 'b': ''} {'id': '7'}"
        assert (ws.path_params, ws.cookies) == ({}, {})
    with wschat.connect(url_of(server)) as ws:
        assert ws.recv(TIMEOUT) == "root"


def test_a_handler_may_be_for_some_paths_only(serve: ServerFactory) -> None:
    server = serve(tell, websocket_paths=["/ws", "/<room>/ws"])
    with wschat.connect(url_of(server, "/tea/ws")) as ws:
        assert ws.recv(TIMEOUT) == "{'room': 'tea'} {} {}"
    with pytest.raises(wschat.OpeningFailed, match="404"):
        wschat.connect(url_of(server, "/"))


@pytest.mark.parametrize(("handler", "paths"), [({"/": tell}, ["/"]), (tell, []), (tell, "/ws")])
def test_invalid_paths_are_refused(handler: Any, paths: Any) -> None:
    with pytest.raises(UsageError, match="path"):
        wschat.serve(handler, port=0, websocket_paths=paths)


def test_an_unknown_path_gets_404_instead_of_a_websocket(serve: ServerFactory) -> None:
    server = serve({"/echo": tell})
    with pytest.raises(wschat.OpeningFailed) as failure:
        wschat.connect(url_of(server, "/other"))
    assert failure.value.status == 404


def test_a_check_of_the_request_knows_the_parameters(serve: ServerFactory) -> None:
    def check(request: wschat.Request) -> None:
        if request.path_params["room"] == "secret":
            raise RequestRefused(403, "No.")

    server = serve({"/<room>": tell}, check_request=check)
    with wschat.connect(url_of(server, "/open")) as ws:
        assert ws.recv(TIMEOUT) == "{'room': 'open'} {} {}"
    with pytest.raises(wschat.OpeningFailed, match="403"):
        wschat.connect(url_of(server, "/secret"))
