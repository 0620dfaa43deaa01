"""Settings: dataclass fields that declare their option and their check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from wschat.errors import UsageError
from wschat.settings import Option, check_settings, setting, settings_of


def check_positive(number: int) -> None:
    if number <= 0:
        raise UsageError(f"must be positive, not {number}")


@dataclass(frozen=True)
class Config:
    number: int = setting(1, check=check_positive)
    names: Sequence[str] = setting((), option=Option("--name", "A name."))

    def __post_init__(self) -> None:
        check_settings(self)


def test_a_setting_is_a_field_with_a_default() -> None:
    assert Config() == Config(1, ())
    assert Config(number=2).number == 2
    assert list(settings_of(Config)) == list(settings_of(Config())) == ["number", "names"]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"number": 0}, "must be positive, not 0"),
        ({"names": "alice"}, "names must be a list of strings, not the string 'alice'"),
        ({"names": [b"alice"]}, "names must be a list of strings, and b'alice' is not a string"),
    ],
)
def test_an_invalid_value_is_refused(values: dict[str, object], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        Config(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flag", "variable"), [("--name", "WSCHAT_NAME"), ("--max-rooms", "WSCHAT_MAX_ROOMS"), ("--one/--all", "WSCHAT_ONE")]
)
def test_a_variable_is_named_after_the_flag(flag: str, variable: str) -> None:
    assert Option(flag, "Help.").variable("WSCHAT_") == variable
