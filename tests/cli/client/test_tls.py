"""Unusable certificate files."""

from __future__ import annotations

from pathlib import Path

import pytest

from wschat.cli.client.options import ConnectOptions
from wschat.errors import UsageError


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"cafile": "missing"}, "--cafile missing: No such file or directory"),
        ({"cafile": "text"}, "--cafile text: PEM certificates are needed"),
        ({"cert": "missing"}, "--cert missing: No such file or directory"),
        ({"cert": "text"}, "--cert text: a PEM certificate and its private key are needed"),
        ({"cert": "text", "key": "text"}, "--cert text and --key text: a PEM certificate"),
    ],
)
def test_the_error_names_an_unusable_file(files: dict[str, str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("This is no certificate.")
    with pytest.raises(UsageError, match=error):
        ConnectOptions(url="wss://127.0.0.1:1/", **files).open()  # type: ignore[arg-type]
