"""The page and who somebody is: tokens, names that are taken, and other names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.server.command import Command, running
from tests.web.page.wiring import Guest, Windows, http
from wschat.chat.access import mint

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Command]:
    """A chat for those who have a token."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    with running("--port", "0", "--history", "memory", "--rate", "off", "--auth-secret-file", str(path)) as server:
        yield server


def test_a_token_that_is_cut_off_is_said_to_be_wrong(guarded: Command, windows: Windows) -> None:
    page = windows.open(f"{http(guarded)}#token=%E0%A4%A")
    expect(page.get_by_role("status")).to_contain_text("The token is not valid")
    assert "token" not in page.url
    assert all("401" in complaint for complaint in windows.complaints)  # a browser logs that
    windows.complaints.clear()
    page.goto(f"{http(guarded)}stats#token=%E0%A4%A")  # which need none on this machine
    expect(page.get_by_role("status")).to_have_text("Live")
    assert "token" not in page.url


def test_who_has_a_token_has_its_name(guarded: Command, windows: Windows) -> None:
    alice = Guest(windows.open(f"{http(guarded)}#token={mint(SECRET, 'alice')}"))
    expect(alice.members).to_contain_text("alice (you)")
    assert "token" not in alice.page.url
