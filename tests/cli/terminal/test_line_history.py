"""The history of typed lines."""

from __future__ import annotations

from pathlib import Path

from prompt_toolkit.history import InMemoryHistory

from wschat.cli.terminal.line_history import MAX_BYTES, open_history


def test_lines_are_available_in_the_next_run(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    for line in ("first", "of two\nlines", "last"):
        open_history("chat", folder).store_string(line)
    assert list(open_history("chat", folder).load_history_strings()) == ["last", "of two\nlines", "first"]
    assert list(open_history("other", folder).load_history_strings()) == []


def test_only_the_user_can_read_the_file(tmp_path: Path) -> None:
    open_history("chat", tmp_path)
    assert (tmp_path / "chat-history").stat().st_mode & 0o777 == 0o600


def test_a_large_file_loses_its_older_half(tmp_path: Path) -> None:
    history = open_history("chat", tmp_path)
    for number in range(MAX_BYTES // 1000 + 10):
        history.store_string(f"{number} {'x' * 1000}")
    kept = list(open_history("chat", tmp_path).load_history_strings())
    assert kept[0].startswith(f"{MAX_BYTES // 1000 + 9} x")
    assert all(line.endswith("x" * 1000) for line in kept)
    assert (tmp_path / "chat-history").stat().st_size < MAX_BYTES


def test_without_a_folder_lines_are_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert isinstance(open_history("chat", tmp_path / "file"), InMemoryHistory)


def test_a_file_that_is_deleted_meanwhile_is_no_error(tmp_path: Path) -> None:
    history = open_history("chat", tmp_path / "folder")
    (tmp_path / "folder/chat-history").unlink()
    (tmp_path / "folder").rmdir()
    history.store_string("line")
    assert list(history.load_history_strings()) == []
