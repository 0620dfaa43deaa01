"""Settings: dataclass fields that declare their command-line option and their check.

From one declaration are made the field of a configuration, the keyword argument, the command's option and its environment variable.
Knows no command: `wschat.cli.options` makes the options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from wschat.errors import UsageError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Option:
    """The command-line option of a setting. The value's type, and whether the option may be repeated, follow from the default."""

    flag: str
    """`--name`, or `--name/--opposite` for a switch. The environment variable has the same name: `WSCHAT_NAME`, for example."""
    help: str
    metavar: str | None = None
    choices: Mapping[str, object] | None = None
    """The words that can be given, with their values."""
    parse: Callable[[Any], object] | None = None
    """Makes the value from the text, or from the tuple of texts. Raises UsageError."""
    default: str | None = None
    """The default for `--help`, if the setting's own cannot be shown; with `parse`, a text that it takes."""
    maximum: float | None = None
    """The largest number that can be given; None for the type's own."""
    alias: str | None = None
    """A second name: `-v`."""

    def variable(self, prefix: str) -> str:
        """Return the name of the environment variable: a prefix, such as `WSCHAT_`, and that of the flag."""
        return f"{prefix}{self.flag.partition('/')[0].removeprefix('--').replace('-', '_').upper()}"


def setting(default: _T, *, option: Option | None = None, check: Callable[[Any], object] | None = None) -> _T:
    """Declare a dataclass field. `check` raises UsageError for an invalid value."""
    return field(default=default, metadata={"option": option, "check": check})


def settings_of(config: Any) -> Mapping[str, Field[Any]]:
    """Return the fields of a configuration, an instance or a class, by name."""
    return {field.name: field for field in fields(config)}


def check_settings(config: Any) -> None:
    """Raise UsageError unless each setting of a configuration passes its check, and each list is a list of strings."""
    for name, declared in settings_of(config).items():
        value = getattr(config, name)
        if isinstance(declared.default, tuple):
            _check_strings(name, value)
        if check := declared.metadata.get("check"):
            check(value)


def _check_strings(name: str, values: Any) -> None:
    if isinstance(values, (str, bytes)):
        raise UsageError(f"{name} must be a list of strings, not the string {values!r}")
    for value in values:
        if not isinstance(value, str):
            raise UsageError(f"{name} must be a list of strings, and {value!r} is not a string")
