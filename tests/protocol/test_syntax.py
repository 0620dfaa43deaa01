"""Tokens: the names of headers, subprotocols and extensions."""

from __future__ import annotations

import re
import string

import pytest

from wschat.protocol.syntax import TOKEN, is_token


@pytest.mark.parametrize("text", ["chat", "wschat.v1", "X-Custom_Header", "!#$%&'*+-.^_`|~", string.ascii_letters + string.digits])
def test_tokens_are_recognized(text: str) -> None:
    assert is_token(text)
    assert re.fullmatch(TOKEN, text)


@pytest.mark.parametrize("text", ["", " ", "two words", "a,b", "a;b", 'quoted"', "a/b", "a:b", "ü", "line\n", "a=b", "(a)"])
def test_other_texts_are_no_tokens(text: str) -> None:
    assert not is_token(text)
