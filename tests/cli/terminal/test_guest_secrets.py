"""The secrets of guests, kept for the next run."""

from __future__ import annotations

from pathlib import Path

import pytest

from wschat.cli.terminal.guest_secrets import GuestSecrets

FILE = "guest-secrets.json"


def test_a_secret_is_found_in_the_next_run(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    GuestSecrets(folder).store("ws://one", "secret 1")
    GuestSecrets(folder).store("ws://two", "secret 2")
    GuestSecrets(folder).store("ws://one", "secret 3")
    assert [GuestSecrets(folder).find(server) for server in ("ws://one", "ws://two", "ws://other")] == ["secret 3", "secret 2", None]
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"ws://one": 1}'])
def test_a_damaged_file_is_no_error(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert GuestSecrets(tmp_path).find("ws://one") is None
    GuestSecrets(tmp_path).store("ws://one", "secret")
    assert GuestSecrets(tmp_path).find("ws://one") == "secret"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    GuestSecrets(tmp_path / "file").store("ws://one", "secret")
    assert GuestSecrets(tmp_path / "file").find("ws://one") is None
