"""The option `--version` of each command that has one."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from click.testing import CliRunner

import wschat
from wschat.cli.main import main


@pytest.mark.parametrize("command", [[], ["serve"], ["connect"]])
def test_the_version_says_if_the_engine_is_compiled(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--version"])
    assert result.exit_code == 0
    assert result.output == f"wschat {version('wschat')}, {'compiled' if wschat.IS_COMPILED else 'not compiled'}\n"
