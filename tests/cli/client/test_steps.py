"""The steps of a script are in the order of the command line."""

from __future__ import annotations

from collections.abc import Sequence

import click
import pytest

from wschat.cli.client.steps import STEP_OPTIONS, Expect, ScriptCommand, Step, steps_of
from wschat.errors import UsageError


def steps(*arguments: str) -> Sequence[Step]:
    @click.command(cls=ScriptCommand, params=[click.Argument(["url"]), *STEP_OPTIONS, click.Option(["--name"])])
    @click.pass_context
    def command(context: click.Context, /, **_: object) -> Sequence[Step]:
        return steps_of(context)

    return command.main([*arguments], standalone_mode=False)  # type: ignore[no-any-return]


def texts(*arguments: str) -> list[str]:
    return [f"? {step.pattern.pattern}" if isinstance(step, Expect) else f"> {step.text}" for step in steps(*arguments)]


def test_the_order_of_the_command_line_is_kept() -> None:
    given = ["--expect", "a", "--send", "b", "--name", "n", "url", "--send=c", "--expect=d", "--send", "e"]
    assert texts(*given) == ["? a", "> b", "> c", "? d", "> e"]


def test_a_text_may_look_like_an_option() -> None:
    assert texts("url", "--send", "--expect", "--expect", "--send", "--send=") == ["> --expect", "? --send", "> "]
    assert texts("--send", "a", "--", "--expect") == ["> a"]


def test_without_steps_there_are_none() -> None:
    assert steps("url") == []


def test_an_invalid_regular_expression_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--expect must be a regular expression, and '\(' is not one: missing \)"):
        steps("url", "--expect", "(")
