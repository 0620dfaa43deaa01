"""`wschat serve --config FILE` and `--show-config`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.documents import OPERATING
from tests.server.command import running
from wschat.cli.serve import main


def call(*options: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Call the command with options that make it print the configuration or fail. Return its exit code and what it printed."""
    result = CliRunner().invoke(main, options, env={**dict.fromkeys(os.environ, None), **(env or {})})
    return result.exit_code, result.output


def written(folder: Path, text: str) -> str:
    path = folder / "wschat.toml"
    path.write_text(text, "utf-8")
    return str(path)


def shown(*options: str, env: dict[str, str] | None = None) -> list[str]:
    code, output = call("--show-config", *options, env=env)
    assert code == 0, output
    return output.splitlines()


def test_the_server_does_what_the_file_says(tmp_path: Path) -> None:
    config = written(tmp_path, 'port = 0\napp = "wschat.apps:echo"\npath-prefix = "/tea"')
    with running("--config", config) as command:
        assert re.fullmatch(r"wschat serves wschat\.apps:echo on ws://127\.0\.0\.1:\d+/tea/", command.start_line)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = written(tmp_path, "port = 1\nbacklog = 1\ndrain = 1")
    lines = shown("--port", "3", env={"WSCHAT_CONFIG": config, "WSCHAT_PORT": "2", "WSCHAT_BACKLOG": "2"})
    expected = {"port = 3  # --port", "backlog = 2  # WSCHAT_BACKLOG", f"drain = 1.0  # {config}", '# host = "127.0.0.1"  # default'}
    assert expected <= set(lines)


def test_an_option_has_each_of_its_names(tmp_path: Path) -> None:
    config = written(tmp_path, 'broker = "memory"')
    assert f'history = "memory"  # {config}' in shown("--config", config)


def test_what_is_shown_is_a_file_with_the_same_options(tmp_path: Path) -> None:
    options = (
        "--origin",
        "https://a.example",
        "--origin",
        'https://"ü".example',
        "--rate",
        "off",
        "--all-cores",
        "--app",
        "wschat.apps:echo",
    )
    lines = shown(*options)
    again = shown("--config", written(tmp_path, "\n".join(lines)))
    assert [line.partition("  # ")[0] for line in again] == [line.partition("  # ")[0] for line in lines]
    assert 'origin = ["https://a.example", "https://\\"ü\\".example"]' in {line.partition("  # ")[0] for line in lines}


def test_what_is_shown_can_be_served(tmp_path: Path) -> None:
    config = written(tmp_path, "\n".join(shown("--port", "0", "--wsgi", "wsgiref.simple_server:demo_app")))
    with running("--config", config) as command:
        assert re.fullmatch(r"wschat serves wsgiref\.simple_server:demo_app on http://127\.0\.0\.1:\d+/", command.start_line)


def test_a_default_that_depends_on_the_application_is_shown() -> None:
    assert "# max-message-bytes = 65536  # default" in shown()
    assert "# max-message-bytes = 1048576  # default" in shown("--app", "wschat.apps:echo")


@pytest.mark.parametrize(
    ("url", "without_password"),
    [
        ("redis://ann:secret@h:1/2?prefix=a:", "redis://ann:***@h:1/2?prefix=a:"),
        ("rediss://:se@cret@h", "rediss://:***@h"),
        ("redis://h?username=ann&password=secret&prefix=a", "redis://h?username=ann&password=***&prefix=a"),
        ("redis+unix://ann:secret@/run/redis.sock", "redis+unix://ann:***@/run/redis.sock"),
        ("redis://ann@h/1", "redis://ann@h/1"),
    ],
)
def test_the_password_of_a_broker_is_not_shown(url: str, without_password: str) -> None:
    assert f'history = "{without_password}"  # --history' in shown("--broker", url)


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    config = written(tmp_path, OPERATING.example("toml", "broker").code)
    assert [line.removesuffix(f"  # {config}") for line in shown("--config", config) if line.endswith(config)] == [
        'host = "0.0.0.0"',
        "one-core = false",
        'trusted-proxy = ["10.0.0.0/8"]',
        'history = "redis://127.0.0.1"',
        'rate = "20/1"',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prt = 1", "unknown option prt: did you mean port?"),
        ('Trusted_Proxy = "x"', "unknown option Trusted_Proxy: did you mean trusted-proxy?"),
        ("[chat]\nport = 1", "unknown option chat"),
        ("reload = true", "reload can be given on the command line only"),
        ('history = "a"\nbroker = "b"', "history and broker are the same option: give one of them"),
        ('port = "x"', 'port must be a whole number, not "x"'),
        ("port = true", "port must be a whole number, not true"),
        ("port = 99999", "port: 99999 is not in the range"),
        ("drain = nan", "drain: nan is not a number from 0"),
        ("drain = 2020-01-01", 'drain must be a number, not "2020-01-01"'),
        ('one-core = "yes"', 'one-core must be true or false, not "yes"'),
        ('origin = "https://a"', 'origin must be a list of strings, not "https://a"'),
        ("trusted-proxy = [1]", "trusted-proxy must be a list of strings, not [1]"),
        ("rate = 10", "rate must be a string, not 10"),
        ('rate = "x"', "rate: a rate must be N/SECONDS"),
        ('host = ""', "host: the value is empty"),
        ("port = [", "is not a TOML file: Invalid value"),
    ],
)
def test_an_error_of_a_file_names_the_file_and_the_option(tmp_path: Path, text: str, message: str) -> None:
    config = written(tmp_path, text)
    code, output = call("--config", config)
    assert code == 2
    assert config in output
    assert message in output


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing.toml", tmp_path / "binary.toml"
    binary.write_bytes(b"\xff")
    assert f"cannot read {missing}: No such file or directory" in call("--config", str(missing))[1]
    assert f"{binary} is not a TOML file: 'utf-8' codec" in call("--config", str(binary))[1]
    assert call("--config", str(tmp_path))[0] == 2
