"""Queries and cookies of requests."""

from __future__ import annotations

import pytest

from wschat.protocol.request_target import cookies_of, query_of


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("/", {}),
        ("/?", {}),
        ("/?a=1&b=%C3%A4+x", {"a": "1", "b": "ä x"}),
        ("/?a=1&a=2", {"a": "2"}),
        ("/?a", {"a": ""}),
        ("/?a=b?c", {"a": "b?c"}),
    ],
)
def test_a_query_is_parsed_to_parameters(target: str, query: dict[str, str]) -> None:
    assert query_of(target) == query


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2;c=3", {"a": "1", "b": "2", "c": "3"}),
        ('a="quoted"', {"a": "quoted"}),
        ('a="', {"a": '"'}),
        ("a=x=y", {"a": "x=y"}),
        ("a=1; a=2", {"a": "1"}),
        ("session=eyJ.{}/@:; bad name=x; =y; z", {"session": "eyJ.{}/@:", "bad name": "x"}),
    ],
)
def test_a_header_is_parsed_to_cookies(header: str, cookies: dict[str, str]) -> None:
    assert cookies_of({"cookie": header}) == cookies


def test_without_a_header_there_are_no_cookies() -> None:
    assert cookies_of({}) == {}
