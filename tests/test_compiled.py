"""The compiled engine: what is compiled, and what users may do with the classes in either build."""

from __future__ import annotations

import ast
import traceback
import weakref
from importlib import import_module
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.connection.wiring import Wiring
from tests.documents import ROOT


def compiled_modules() -> list[str]:
    """Return the names of the modules that setup.py lists."""
    (listed,) = (
        node.value
        for node in ast.parse((ROOT / "setup.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED"
    )
    return [path.removesuffix(".py").replace("/", ".") for path in ast.literal_eval(listed)]


def test_the_listed_modules_are_compiled_and_no_others() -> None:
    extensions = {path.with_suffix("").with_suffix("").relative_to(ROOT) for path in (ROOT / "wschat").rglob("*.so")}
    compiled = [".".join(path.parts) for path in extensions]
    assert all(str(import_module(name).__file__).endswith(".so") for name in compiled)
    assert sorted(compiled) == (sorted(compiled_modules()) if wschat.IS_COMPILED else [])


def test_a_connection_is_an_ordinary_object(wire: Wiring) -> None:
    ours, theirs = wire.pair()

    class Counting(wschat.Hub):
        broadcasts = 0

        def broadcast(self, *arguments: object, **options: object) -> None:
            self.broadcasts += 1
            super().broadcast(*arguments, **options)  # type: ignore[arg-type]

    ours.user = "alice"  # type: ignore[attr-defined]
    assert ours.user == "alice"  # type: ignore[attr-defined]
    assert weakref.ref(ours)() is ours
    hub = Counting()
    hub.join(ours)
    hub.broadcast("hello")
    assert theirs.recv(TIMEOUT) == "hello"
    assert hub.broadcasts == 1


def test_methods_of_a_connection_can_be_patched(wire: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = wire.pair()
    sent: list[object] = []
    send = wschat.Connection.send

    def recorded(self: wschat.Connection, message: str) -> None:
        sent.append(message)
        send(self, message)

    monkeypatch.setattr(wschat.Connection, "send", recorded)
    ours.send("hello")
    assert (sent, theirs.recv(TIMEOUT)) == (["hello"], "hello")


def test_the_traceback_of_an_error_names_the_line_of_the_source(wire: Wiring) -> None:
    ours, _ = wire.pair()
    with pytest.raises(wschat.UsageError, match="a message must be str, bytes, or an iterable of either, not int") as error:
        ours.send(1)  # type: ignore[arg-type]
    last = traceback.extract_tb(error.value.__traceback__)[-1]
    assert Path(last.filename).name == "fragments.py"
    assert last.line is not None
    assert last.line.startswith("raise UsageError")
