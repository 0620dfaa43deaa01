"""Opening brokers by URLs, in this process and by the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import wschat
from tests.brokers.toy import ToyBroker
from tests.brokers.wiring import log_of, numbers, say, upto
from tests.chat.wiring import Client
from tests.documents import ROOT
from tests.server.command import Command, run, running
from wschat.brokers.base import Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.opening import open_broker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.errors import HistoryUnavailable, UsageError
from wschat.v1 import SUBPROTOCOL

TOY = "tests.brokers.toy:ToyBroker"

BROKEN = """
import sys
from tests.brokers.toy import ToyBroker
from wschat.brokers.base import Broker
from wschat.brokers.memory import MemoryBroker
from wschat.errors import HistoryUnavailable

class Partial(Broker):
    pass

class Failing(ToyBroker):
    def __init__(self):
        raise ValueError("one line\\nand another")

class Unavailable(ToyBroker):
    def __init__(self):
        raise HistoryUnavailable("the other server does not answer")

class Bounded(MemoryBroker):
    def __init__(self, *, retention):
        super().__init__(retention)

def function():
    return ToyBroker()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module with brokers. Next to it are modules that fail: `exits`, `raises` and `needs`."""
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "exits.py").write_text("raise SystemExit(7)")
    (tmp_path / "raises.py").write_text("1 / 0")
    (tmp_path / "needs.py").write_text("import another_module_that_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    yield "broken"
    for name in ("broken", "exits", "raises", "needs"):
        sys.modules.pop(name, None)


def test_memory_and_off() -> None:
    with closing(open_broker("memory", Retention(messages=2))) as memory, closing(open_broker("off")) as off:
        assert (type(memory), type(off)) == (MemoryBroker, MemoryBroker)
        assert say(memory, "lobby", "one", "two", "three") == say(off, "lobby", "one", "two", "three") == upto(3)
        assert (numbers(log_of(memory, "lobby")), log_of(off, "lobby")) == ([2, 3], [])


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("history", "history"),
        ("history.sqlite", "history.sqlite"),
        ("sqlite:history", "history"),
        ("sqlite:memory", "memory"),
        ("sqlite:module:Class", "module:Class"),
        ("./module:Class", "module:Class"),
        ("2026:11:29", "2026:11:29"),
        (":memory:", ":memory:"),
        ("file:history?mode=memory", "file:history?mode=memory"),
        ("back-up:today", "back-up:today"),
        ("a.b:", "a.b:"),
        ("class:with space", "class:with space"),
    ],
)
def test_anything_but_two_python_names_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, file: str) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_broker(url)) as broker:
        assert isinstance(broker, SqliteBroker)
        assert broker.path == tmp_path / file


def test_an_absolute_path_with_a_colon_is_a_path(tmp_path: Path) -> None:
    for prefix in ("", "sqlite:"):
        with closing(open_broker(f"{prefix}{tmp_path}/module:Class")) as broker:
            assert isinstance(broker, SqliteBroker)
            assert broker.path == tmp_path / "module:Class"


@pytest.mark.parametrize("url", ["", "sqlite:"])
def test_an_empty_path_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=f"a broker must be memory, off, MODULE:CLASS, redis://HOST, sqlite:PATH or a path, not '{url}'"):
        open_broker(url)


def test_a_class_is_imported_and_called_without_arguments() -> None:
    with closing(open_broker(TOY, Retention(messages=1))) as broker:
        assert type(broker) is ToyBroker


def test_a_class_with_a_parameter_for_it_gets_the_retention(module: str) -> None:
    with closing(open_broker(f"{module}:Bounded", Retention(messages=2))) as broker:
        say(broker, "lobby", "one", "two", "three")
        assert numbers(log_of(broker, "lobby")) == [2, 3]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("missing.module:Broker", "No module named 'missing' (for a file of this name, give sqlite:missing.module:Broker)"),
        ("needs:Broker", "No module named 'another_module_that_is_missing'"),
        ("raises:Broker", "ZeroDivisionError: division by zero"),
        ("exits:Broker", "SystemExit: 7"),
        ("broken:Missing", "AttributeError: module 'broken' has no attribute 'Missing'"),
        ("broken:function", "function must be a subclass of wschat.brokers.base.Broker, not <function function"),
        ("broken:sys", "sys must be a subclass of wschat.brokers.base.Broker, not <module 'sys'"),
        ("broken:HistoryUnavailable", "HistoryUnavailable must be a subclass of wschat.brokers.base.Broker, not <class"),
        ("broken:Partial", "TypeError: Can't instantiate abstract class Partial"),
        ("broken:Failing", "ValueError: one line and another"),
    ],
)
def test_a_class_that_cannot_be_loaded_is_an_error_that_names_it(module: str, url: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_broker(url)
    assert f"the broker {url}: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broker_may_be_unavailable(module: str) -> None:
    with pytest.raises(HistoryUnavailable, match="the other server does not answer"):
        open_broker(f"{module}:Unavailable")


# The command


def client_in_room(command: Command, stack: ExitStack, name: str) -> Client:
    client = Client(stack.enter_context(wschat.connect(f"{command.url}?name={name}", subprotocols=[SUBPROTOCOL])))
    client.join("tea")
    return client


def test_the_command_serves_a_broker_of_another_package() -> None:
    with running("--port", "0", "--history", TOY, cwd=ROOT) as command, ExitStack() as stack:
        assert f"(history: {TOY})" in command.start_line
        assert client_in_room(command, stack, "alice").say("hello") == 1
        bob = client_in_room(command, stack, "bob")
        assert [message["text"] for message in bob.ask(type="history", room="tea")["messages"]] == ["hello"]
        assert command.stop() == 0


def test_the_command_refuses_a_broker_that_cannot_be_loaded_in_one_line() -> None:
    refused = run("--port", "0", "--history", "missing:Broker")
    assert refused.returncode == 2
    assert refused.stderr == (
        "wschat: cannot load the broker missing:Broker: No module named 'missing' (for a file of this name, give sqlite:missing:Broker)\n"
    )
