"""The steps of a script: `--send` and `--expect`, in the order of the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from wschat.errors import UsageError


@dataclass(frozen=True)
class Send:
    """Send a message."""

    text: str
    """The message."""

    @property
    def data(self) -> bytes:
        """The message as it was given."""
        return os.fsencode(self.text)

    def __str__(self) -> str:
        return f"--send {self.text!r}"


@dataclass(frozen=True)
class Expect:
    """Wait for a message in which a regular expression is found."""

    pattern: re.Pattern[str]
    """The regular expression."""

    def __str__(self) -> str:
        return f"--expect {self.pattern.pattern!r}"


Step = Send | Expect

STEP_OPTIONS = [
    click.Option(["--send", "sends"], multiple=True, metavar="TEXT", help="Script: send this message."),
    click.Option(["--expect", "expects"], multiple=True, metavar="REGEX", help="Script: wait for a message in which this is found."),
]
"""The options of a script."""


class ScriptCommand(click.Command):
    """A command that knows in which order the options of its script were given. Click keeps the order only for each option by itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and keep the order of the options."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[__name__] = [parameter.name for parameter in given]
        return super().parse_args(ctx, args)


def steps_of(context: click.Context) -> Sequence[Step]:
    """Return the steps that were given to a `ScriptCommand`. Raises UsageError for an invalid regular expression."""
    sends = map(Send, context.params["sends"])
    expects = map(_expect, context.params["expects"])
    steps: Mapping[str, Iterator[Step]] = {"sends": sends, "expects": expects}
    return [next(steps[name]) for name in context.meta[__name__] if name in steps]


def _expect(text: str) -> Expect:
    try:
        return Expect(re.compile(text))
    except re.error as error:
        raise UsageError(f"--expect must be a regular expression, and {text!r} is not one: {error}") from None
