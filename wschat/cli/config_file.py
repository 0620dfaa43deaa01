"""`--config FILE`, options from a TOML file, and `--show-config`, the options in effect as such a file.

The command line wins over the environment, the environment over the file, and the file over the defaults.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from wschat.brokers.opening import is_shared
from wschat.cli.options import SettingOption, given_values
from wschat.cli.reload import FLAG as RELOAD_FLAG

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = f"{__name__}.file"  # the path of the file, in the context's `meta`


def _read(context: click.Context, _option: click.Parameter, path: str | None) -> None:
    """Make the options of a file the defaults. Raises click.UsageError for a file that is not valid."""
    if path is None:
        return
    context.meta[_FILE] = path
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
        context.default_map = _values_of(table, context)
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}", context) from None
    except click.UsageError as error:
        raise click.UsageError(f"{path}: {error.message}", context) from None
    except ValueError as error:  # also for what is not UTF-8
        raise click.UsageError(f"{path} is not a TOML file: {error}", context) from None


def _values_of(table: Mapping[str, Any], context: click.Context) -> dict[str, Any]:
    """Return the values of a file, by the names of their settings. Raises click.UsageError."""
    options = {key: option for option in _options(context) for key in _keys(option) if f"--{key}" != RELOAD_FLAG}
    values: dict[str, Any] = {}
    for key, value in table.items():
        option = options.get(key)
        if option is None:
            raise click.UsageError(_unknown(key, list(options)))
        if option.setting.name in values:
            raise click.UsageError(f"{' and '.join(_keys(option))} are the same option: give one of them")
        _check_type(option, key, value)
        try:
            option.process_value(context, value)
        except click.BadParameter as error:
            raise click.UsageError(f"{key}: {error.message}") from None
        values[option.setting.name] = value
    return values


def _options(context: click.Context) -> list[SettingOption]:
    return [option for option in context.command.params if isinstance(option, SettingOption)]


def _keys(option: SettingOption) -> list[str]:
    """Return the keys of an option in a file: its names on the command line, without the dashes."""
    return [name.removeprefix("--") for name in option.opts]


def _unknown(key: str, keys: list[str]) -> str:
    if f"--{key}" == RELOAD_FLAG:
        return f"{key} can be given on the command line only"
    near = difflib.get_close_matches(key.replace("_", "-").lower(), keys, 1)
    return f"unknown option {key}{f': did you mean {near[0]}?' if near else ''}"


def _check_type(option: SettingOption, key: str, value: object) -> None:
    """Raise click.UsageError if the value of a file has another type than that of the option."""
    if option.multiple:
        is_valid, needed = isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of strings"
    elif option.is_flag:
        is_valid, needed = isinstance(value, bool), "true or false"
    elif isinstance(option.type, click.IntRange):
        is_valid, needed = type(value) is int, "a whole number"
    elif isinstance(option.type, click.FloatRange):
        is_valid, needed = type(value) in (int, float), "a number"
    else:
        is_valid, needed = isinstance(value, str), "a string"
    if not is_valid:
        raise click.UsageError(f"{key} must be {needed}, not {json.dumps(value, default=str, ensure_ascii=False)}")


def shown_config(context: click.Context, **values: object) -> str:
    """Return the options in effect, as a file for `--config` that tells where each comes from. Passwords of URLs are hidden.

    Defaults are comments. `values` are those of settings whose default depends on other options.
    """
    given = given_values(context)
    return "\n".join(_line(option, {**given, **values}[option.setting.name], context) for option in _options(context))


def _line(option: SettingOption, value: object, context: click.Context) -> str:
    key, flag = _keys(option)[0], option.opts[0]
    if value is None:
        return f"# {key} is not set"
    # A string of JSON is one of TOML, as are its lists, numbers, true and false.
    line = f"{key} = {json.dumps(_without_password(value), ensure_ascii=False)}"
    sources = {
        ParameterSource.COMMANDLINE: flag,
        ParameterSource.ENVIRONMENT: str(option.envvar),
        ParameterSource.DEFAULT_MAP: context.meta.get(_FILE),
    }
    source = sources.get(context.get_parameter_source(option.setting.name))  # type: ignore[arg-type]
    is_for_file = source is not None and flag != RELOAD_FLAG
    return f"{'' if is_for_file else '# '}{line}  # {source or 'default'}"


def _without_password(value: object) -> object:
    """Return a value with asterisks in place of the password, if it is the URL of a broker."""
    if not isinstance(value, str) or not is_shared(value):
        return value
    return re.sub(r"([?&]password=)[^&#]*", r"\1***", re.sub(r"//([^:/@]*):[^/]*@", r"//\1:***@", value))


CONFIG_OPTIONS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--config"],
        metavar="FILE",
        envvar="WSCHAT_CONFIG",
        show_envvar=True,
        is_eager=True,
        expose_value=False,
        callback=_read,
        help='TOML file with options, such as port = 8080 or origin = ["https://example.com"]. The command line and the environment win.',
    ),
    click.Option(["--show-config"], is_flag=True, help="Print the options in effect, as a file for --config, and do not serve."),
)
"""The options. Whoever uses them prints `shown_config` if `show_config` was given."""
