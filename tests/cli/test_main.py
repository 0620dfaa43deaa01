"""The command `wschat`, whose subcommands do what `python -m` does with three modules."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.server.command import environment, run, running

COMMAND = [sys.executable, "-m", "wschat.cli"]


def call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command], env=environment(), capture_output=True, text=True, timeout=TIMEOUT * 3, check=False)


@pytest.mark.parametrize(
    ("name", "module", "option"),
    [
        ("serve", "wschat.server", "--app"),
        ("connect", "wschat.client", "--subprotocol"),
        ("token", "wschat.chat.mint", "--auth-secret-file"),
    ],
)
def test_a_subcommand_has_the_options_of_its_module(name: str, module: str, option: str) -> None:
    by_name, by_module = call(*COMMAND, name, "--help"), call(sys.executable, "-m", module, "--help")
    assert (by_name.returncode, by_module.returncode) == (0, 0)
    assert by_name.stdout.startswith(f"Usage: python -m wschat.cli {name} [OPTIONS]")
    assert by_module.stdout.startswith(f"Usage: python -m {module} [OPTIONS]")
    assert option in by_name.stdout
    assert by_name.stdout.partition("\n")[2] == by_module.stdout.partition("\n")[2]


def test_help_lists_the_subcommands() -> None:
    done = call(*COMMAND, "--help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()] == [
        "backup",
        "connect",
        "say",
        "serve",
        "token",
    ]


def test_serve_and_connect_work_together() -> None:
    with running("--port", "0", "--app", "wschat.apps:echo", command=[*COMMAND, "serve"]) as server:
        with wschat.connect(server.url) as ws:
            ws.send("hello")
            assert ws.recv(TIMEOUT) == "hello"
        done = subprocess.run(
            [*COMMAND, "connect", server.url], input="one\ntwo\n", env=environment(), capture_output=True, text=True, timeout=TIMEOUT
        )
        assert (done.stdout, done.stderr, done.returncode) == ("one\ntwo\n", "", 0)


def test_the_variables_of_serve_are_the_same() -> None:
    done = subprocess.run([*COMMAND, "serve"], env=environment({"WSCHAT_PORT": "eighty"}), capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == run(env={"WSCHAT_PORT": "eighty"}).stderr.splitlines()[-1]


# Modules that neither `--help` nor `import wschat` may import, since their import is slow.
SLOW = {"asyncio", "h11", "prompt_toolkit", "prometheus_client", "redis", "rich", "simple_websocket", "sqlite3", "ssl", "websocket"}
HELP = "from wschat.cli.main import main; main(['connect', '--help'], standalone_mode=False)"


def unmeasured() -> dict[str, str]:
    """Return an environment without coverage, which imports modules of its own and takes longer than the processes."""
    return {name: value for name, value in environment().items() if not name.startswith("COVERAGE")}


@pytest.mark.parametrize("program", ["import wschat", HELP])
def test_slow_imports_wait_until_they_are_needed(program: str) -> None:
    command = [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"]
    done = subprocess.run(command, env=unmeasured(), capture_output=True, text=True, timeout=TIMEOUT, check=True)
    assert done.stderr == ""
    assert SLOW & set(done.stdout.splitlines()[-1].split()) == set()


@pytest.mark.parametrize(("arguments", "seconds"), [(["-c", "import wschat"], 0.15), (["-m", "wschat.cli", "connect", "--help"], 0.3)])
def test_starting_takes_little_processor_time(arguments: list[str], seconds: float) -> None:
    env = unmeasured()

    def processor_time() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(processor_time() for _ in range(3)) < seconds
