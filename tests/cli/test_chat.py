"""The configuration of the chat, and how the chat is opened from it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from wschat.chat.rates import Rate
from wschat.cli.chat import ChatConfig, default_history, open_chat, parse_moderators
from wschat.errors import UsageError


def test_the_defaults_are_those_of_the_options() -> None:
    config = ChatConfig()
    assert (config.rate, config.work, config.rooms_per_ip) == (Rate(10, 1), Rate(5000, 1), Rate(30, 3600))
    assert config.history is None


def test_a_chat_is_opened_in_memory() -> None:
    with closing(open_chat(ChatConfig(rate=None), "memory")) as chat:
        assert chat.http is not None


def test_an_audience_without_a_secret_is_refused() -> None:
    with pytest.raises(UsageError, match="audience"):
        open_chat(ChatConfig(auth_audience="chat"), "off")


def test_an_invalid_network_is_refused_by_the_config() -> None:
    with pytest.raises(UsageError, match="'everywhere'"):
        ChatConfig(insiders=["everywhere"])


def test_moderators_are_read_from_their_files(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("sesame\n")
    assert parse_moderators((f"alice:{path}",)) == {"alice": "sesame"}
    with pytest.raises(UsageError, match="given twice"):
        parse_moderators((f"alice:{path}", f"Alice:{path}"))


def test_the_default_history_is_below_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_history() == str(tmp_path / ".local/state/wschat/history.sqlite")
