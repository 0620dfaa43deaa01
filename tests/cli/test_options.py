"""Options and environment variables are made from settings."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import Field, dataclass
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from wschat.cli.chat import ChatConfig
from wschat.cli.options import configured, is_given, options_of, report_ignored_variables
from wschat.cli.serve import CommandConfig, main
from wschat.errors import UsageError
from wschat.limits import Limits
from wschat.server.config import ServerConfig
from wschat.settings import Option, setting, settings_of


def check_even(number: int) -> None:
    if number % 2:
        raise UsageError(f"an even number is needed, not {number}")


@dataclass(frozen=True)
class Tea:
    """A configuration of one declaration for each kind of option."""

    cups: int = setting(2, option=Option("--cups", "Cups to make.", maximum=9), check=check_even)
    minutes: float = setting(3.0, option=Option("--minutes", "Minutes to brew."))
    kind: str = setting("black", option=Option("--kind", "Kind of tea."))
    sugar: int | None = setting(1, option=Option("--sugar", "Sugar.", choices={"none": None, "one": 1}))
    guests: Collection[str] = setting((), option=Option("--guest", "Guest.", default="nobody"))
    words: list[str] | None = setting(None, option=Option("--words", "Words.", parse=str.split))
    is_hot: bool = setting(True, option=Option("--hot/--cold", "Serve it hot."))
    pot: object = setting(None)


def call(*arguments: str, env: dict[str, str] | None = None, base: Tea = Tea(), **defaults: str) -> tuple[Result, Tea | None]:
    made: list[Tea] = []

    @click.command(params=options_of(Tea, defaults=defaults))
    @click.pass_context
    def command(context: click.Context, /, **_: object) -> None:
        made.append(configured(base, context))

    result = CliRunner().invoke(command, arguments, env=env)
    return result, made[0] if made else None


def test_without_options_it_is_the_base() -> None:
    assert call()[1] == Tea()
    assert call(base=Tea(kind="green", cups=4))[1] == Tea(kind="green", cups=4)


def test_each_kind_of_option_sets_its_field() -> None:
    options = ["--cups", "4", "--minutes", "2.5", "--kind", "green", "--sugar", "NONE", "--guest", "a", "--guest", "b"]
    result, tea = call(*options, "--words", "well met", "--cold")
    assert result.exit_code == 0, result.output
    assert tea == Tea(4, 2.5, "green", None, ("a", "b"), ["well", "met"], False)


def test_a_default_that_is_given_replaces_the_one_of_the_base() -> None:
    assert call("--kind", "black", base=Tea(kind="green"))[1] == Tea()


def test_each_option_has_an_environment_variable() -> None:
    env = {"WSCHAT_CUPS": "4", "WSCHAT_SUGAR": "none", "WSCHAT_GUEST": "a b", "WSCHAT_HOT": "0"}
    assert call(env=env)[1] == Tea(cups=4, sugar=None, guests=("a", "b"), is_hot=False)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--cups", "3"], "(env var: 'WSCHAT_CUPS'): an even number is needed, not 3"),
        (["--cups", "10"], "(env var: 'WSCHAT_CUPS'): 10 is not in the range"),
        (["--minutes", "nan"], "(env var: 'WSCHAT_MINUTES'): nan is not a number from 0 to 2e+06"),
        (["--kind", " "], "(env var: 'WSCHAT_KIND'): the value is empty"),
        (["--sugar", "two"], "(env var: 'WSCHAT_SUGAR'): 'two' is not one of 'none', 'one'"),
    ],
)
def test_an_error_names_the_option_and_the_value(options: list[str], error: str) -> None:
    result, tea = call(*options)
    assert (result.exit_code, tea) == (2, None)
    assert f"Error: Invalid value for '{options[0]}' {error}" in result.output


def test_help_shows_variables_and_defaults() -> None:
    text = " ".join(call("--help", kind="green at noon, else black")[0].stdout.split())
    assert "--cups INTEGER RANGE Cups to make. [env var: WSCHAT_CUPS; default: 2; 0<=x<=9]" in text
    assert "[env var: WSCHAT_KIND; default: (green at noon, else black)]" in text
    assert "[none|one] Sugar. [env var: WSCHAT_SUGAR; default: one]" in text
    assert "Guest. [env var: WSCHAT_GUEST; default: (nobody)]" in text
    assert "pot" not in text


def test_is_given_tells_options_from_defaults() -> None:
    @click.command(params=options_of(Tea))
    @click.pass_context
    def command(context: click.Context, /, **_: object) -> None:
        click.echo([is_given(name, context) for name in ("cups", "kind", "pot")])

    assert CliRunner().invoke(command, ["--cups", "2"]).output == "[True, False, False]\n"


def test_the_address_of_a_service_is_ignored(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "tcp://10.0.0.11:8080"
    assert call(env={"WSCHAT_CUPS": address})[1] == Tea()
    caplog.set_level(logging.INFO, "wschat.server")
    monkeypatch.setenv("WSCHAT_CUPS", address)
    monkeypatch.setenv("WSCHAT_CAPS", "1")
    monkeypatch.setenv("WSCHAT_COMPILE", "1")
    report_ignored_variables(options_of(Tea))
    assert f"WSCHAT_CUPS={address} is ignored: it is the address of a service called wschat, not an option" in caplog.messages
    assert "WSCHAT_CAPS is ignored: there is no such option" in caplog.messages
    assert not [message for message in caplog.messages if "WSCHAT_COMPILE" in message]  # for the build


def test_every_option_of_the_command_is_a_setting() -> None:
    declared = [field.metadata["option"] for config in (CommandConfig, Limits, ServerConfig, ChatConfig) for field in options_in(config)]
    parameters = [parameter for parameter in main.params if parameter.name not in ("version", "config", "show_config")]
    assert [option.flag.partition("/")[0] for option in declared] == [parameter.opts[0] for parameter in parameters]
    assert [option.variable("WSCHAT_") for option in declared] == [parameter.envvar for parameter in parameters]


def options_in(config: type) -> list[Field[Any]]:
    return [field for field in settings_of(config).values() if field.metadata.get("option")]
