"""Types of the command's options beyond click's own: what is checked before anything is opened."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Collection
from typing import Any

import click
from click.types import StringParamType

from wschat.errors import UsageError
from wschat.limits import MAX_BYTES, MAX_SECONDS

logger = logging.getLogger("wschat.server")

COUNT = click.IntRange(0, MAX_BYTES)

# Kubernetes sets NAME_PORT=tcp://10.0.0.11:8080 and such for each service, as Docker does for a link. Of one called wschat,
# WSCHAT_PORT looks like an option.
_SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")
_SERVICE_VARIABLE = re.compile(r"WSCHAT_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_\w+|NAME)")


class Number(click.FloatRange):
    """A number from 0 to a greatest one. NaN, which no range refuses, is none."""

    def __init__(self, greatest: float = MAX_SECONDS) -> None:
        super().__init__(0, greatest)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert a text. Calls `fail` for what is not in the range."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number from 0 to {self.max:g}", param, ctx)
        return number


class Text(StringParamType):
    """A text that is not empty: an empty one is mostly a shell's variable that is not set."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Pass a text on. Calls `fail` for an empty one."""
        if not (text := str(value)).strip():
            self.fail("the value is empty", param, ctx)
        return text


class PortOption(click.Option):
    """An option that ignores its variable where that is the address of a service."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the variable's value."""
        value = super().resolve_envvar_value(ctx)
        return None if value and _SERVICE_ADDRESS.match(value) else value


def report_ignored_variables(options: Collection[click.Parameter]) -> None:
    """Log which variables look like ours and are not used: those of services, and unknown ones, which may be misspelt."""
    known = {f"WSCHAT_{name.removeprefix('--').replace('-', '_').upper()}" for option in options for name in option.opts}
    for name, value in sorted(os.environ.items()):
        if _SERVICE_ADDRESS.match(value) and name in known:
            logger.info("%s=%s is ignored: it is the address of a service called wschat, not an option", name, value)
        elif name.startswith("WSCHAT_") and name not in known and not _is_for_others(name, value):
            logger.warning("%s is ignored: there is no such option", name)


def _is_for_others(name: str, value: str) -> bool:
    return name.startswith("WSCHAT_CLIENT_") or bool(_SERVICE_ADDRESS.match(value) or _SERVICE_VARIABLE.fullmatch(name))


def read_by(read: Callable[[Any], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a callback for an option whose value is what `read` returns for it. Turns a UsageError into click.BadParameter."""

    def callback(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
        try:
            return read(value)
        except UsageError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def checked_by(check: Callable[[Any], object]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a callback for an option that keeps its value, as long as `check` does not raise UsageError for it."""

    def read(value: Any) -> Any:
        check(value)
        return value

    return read_by(read)
