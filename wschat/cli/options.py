"""Command-line options and environment variables, made from the settings of a configuration."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import Field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.types import StringParamType

from wschat.errors import UsageError
from wschat.limits import MAX_BYTES, MAX_SECONDS
from wschat.settings import Option, settings_of

logger = logging.getLogger("wschat.server")

_Config = TypeVar("_Config")

# Kubernetes sets NAME_PORT=tcp://10.0.0.11:8080 and such for each service, as Docker does for a link. For a service called wschat,
# WSCHAT_PORT looks like an option.
_SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")
_SERVICE_VARIABLE = re.compile(r"WSCHAT_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_\w+|NAME)")


class Number(click.FloatRange):
    """A number from 0 to a maximum. NaN, which no range refuses, is an error."""

    def __init__(self, maximum: float = MAX_SECONDS) -> None:
        super().__init__(0, maximum)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert a text. Calls `fail` if the number is not in the range."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number from 0 to {self.max:g}", param, ctx)
        return number


class Text(StringParamType):
    """A text that is not empty: an empty one is usually a shell variable that is not set."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return a text unchanged. Calls `fail` if it is empty."""
        if not (text := str(value)).strip():
            self.fail("the value is empty", param, ctx)
        return text


class SettingOption(click.Option):
    """The option of a setting."""

    setting: Field[Any]
    """The setting."""

    def __init__(self, setting: Field[Any], option: Option, variables: str, *, show_variable: bool) -> None:
        self.setting = setting
        self._option = option
        is_list = isinstance(setting.default, tuple)
        default = option.default if option.parse else setting.default
        if option.choices is not None:
            default = next(word for word, value in option.choices.items() if value == setting.default)
        super().__init__(
            [option.flag, *([option.alias] if option.alias else []), setting.name],
            type=_type_of(setting.default, option),
            is_flag=isinstance(setting.default, bool),
            default=() if is_list else default,
            multiple=is_list,
            metavar=option.metavar,
            envvar=option.variable(variables),
            show_envvar=show_variable,
            show_default=option.default if option.default and not option.parse else True,
            help=option.help,
            callback=self._value_of,
        )

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the value of the variable, or None if that is the address of a service."""
        value = super().resolve_envvar_value(ctx)
        return None if value and _SERVICE_ADDRESS.match(value) else value

    def _value_of(self, context: click.Context, _option: click.Parameter, given: Any) -> Any:
        """Return the value of the setting. Raises click.BadParameter."""
        given_values(context)[self.setting.name] = given
        option, check = self._option, self.setting.metadata["check"]
        if option.choices is not None:
            return option.choices[given]
        try:
            value = option.parse(given) if option.parse and given is not None else given
            if check:
                check(value)
        except UsageError as error:
            raise click.BadParameter(str(error)) from None
        return value


def _type_of(default: object, option: Option) -> click.ParamType[Any] | None:
    """Return the type of what can be given for an option."""
    if option.choices is not None:
        return click.Choice(list(option.choices), case_sensitive=False)
    if isinstance(default, bool):
        return None
    if isinstance(default, int):
        return click.IntRange(0, int(option.maximum or MAX_BYTES))
    if isinstance(default, float):
        return Number(option.maximum or MAX_SECONDS)
    return click.STRING if option.parse or isinstance(default, tuple) else Text()


def options_of(
    config: type, *, variables: str = "WSCHAT_", show_variables: bool = True, defaults: Mapping[str, str] = MappingProxyType({})
) -> list[click.Parameter]:
    """Return the options of all settings that have one.

    The names of their environment variables begin with `variables`, and `--help` has them with `show_variables`. `defaults` are texts
    for `--help` where the command's default is another one.
    """
    options: list[click.Parameter] = []
    for name, setting in settings_of(config).items():
        option = setting.metadata.get("option")
        if option is not None:
            options.append(
                SettingOption(setting, replace(option, default=defaults.get(name, option.default)), variables, show_variable=show_variables)
            )
    return options


def given_values(context: click.Context) -> dict[str, Any]:
    """Return the values of all options, given or default, as they were before they were parsed, by the names of settings."""
    values: dict[str, Any] = context.meta.setdefault(f"{__name__}.given", {})
    return values


def configured(base: _Config, context: click.Context) -> _Config:
    """Return a configuration with the settings that were given on the command line, in the environment or in a file. Raises UsageError."""
    return replace(base, **{name: context.params[name] for name in settings_of(base) if is_given(name, context)})  # type: ignore[type-var]


def is_given(name: str, context: click.Context) -> bool:
    """Return True if a setting was given on the command line, in the environment or in a file."""
    return context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)


def report_ignored_variables(options: Collection[click.Parameter]) -> None:
    """Log the variables that look like options and are ignored: those of services, and unknown ones, which may be misspelt."""
    known = {option.envvar for option in options}
    for name, value in sorted(os.environ.items()):
        if _SERVICE_ADDRESS.match(value) and name in known:
            logger.info("%s=%s is ignored: it is the address of a service called wschat, not an option", name, value)
        elif name.startswith("WSCHAT_") and name not in known and not _is_for_others(name, value):
            logger.warning("%s is ignored: there is no such option", name)


def _is_for_others(name: str, value: str) -> bool:
    return (
        name.startswith("WSCHAT_CLIENT_")
        or name == "WSCHAT_COMPILE"
        or bool(_SERVICE_ADDRESS.match(value) or _SERVICE_VARIABLE.fullmatch(name))
    )
