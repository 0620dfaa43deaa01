"""The rules of the architecture: layers of imports, packages that only hold names, and small files."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import wschat

PACKAGE = Path(wschat.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A layer may import from itself and from the layers above it in this list.
LAYERS = [
    "dependencies",
    "stdio",
    "errors",
    "forks",
    "v1",
    "joiners",
    "names",
    "events",
    "settings",
    "limits",
    "callables",
    "counters",
    "daemons",
    "wakeup",
    "protocol",
    "compiled",
    "connection",
    "hub",
    "apps",
    "server",
    "client",
    "wsgi",
    "brokers",
    "chat",
    "web",
    "testing",
    "cli",
    "bots",
]
# Layers that a layer may not import, although they are above it in the list.
FORBIDDEN = {"client": {"server"}, "bots": {"brokers", "chat", "testing", "web", "wsgi"}}
# Modules that are run by `python -m`; each calls a command. No other module imports from a layer below it in the list.
COMMANDS = {"server.__main__": "cli.serve", "client.__main__": "cli.connect", "chat.mint": "cli.token"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.removeprefix("wschat.") for name in names if name.startswith("wschat.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_layers_above_it(path: Path) -> None:
    name = name_of(path)
    if name == "__init__":
        return
    if name in COMMANDS:
        assert imports_of(path) == {f"{COMMANDS[name]}.main"}
        return
    layer = name.partition(".")[0]
    imported = {target.partition(".")[0] for target in imports_of(path)} - {layer}
    assert imported <= set(LAYERS[: LAYERS.index(layer)]) - FORBIDDEN.get(layer, set())


def test_there_are_no_import_cycles() -> None:
    names = {*map(name_of, MODULES)}

    def module_of(target: str) -> str:
        """Return the module that an imported name belongs to: that of the longest name, since a package has names of its own."""
        return target if target in names or "." not in target else module_of(target.rpartition(".")[0])

    graph = {name_of(path): {*map(module_of, imports_of(path))} & names for path in MODULES}
    seen: dict[str, bool] = {}  # True while it is being visited

    def visit(name: str) -> None:
        assert not seen.get(name), f"{name} imports itself"
        if name not in seen:
            seen[name] = True
            for target in graph[name] - {name}:
                visit(target)
            seen[name] = False

    for name in graph:
        visit(name)


@pytest.mark.parametrize("layer", ["protocol"])
def test_the_protocol_imports_no_sockets_threads_or_clocks(layer: str) -> None:
    for path in (PACKAGE / layer).glob("*.py"):
        imported = {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"socket", "threading", "time", "select", "selectors", "ssl"}, path


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_packages_only_import_names(path: Path) -> None:
    nodes = ast.parse(path.read_text()).body
    if path == PACKAGE / "__init__.py":
        *nodes, lazy = nodes
        assert ast.unparse(lazy).startswith("if TYPE_CHECKING:")
    for node in nodes:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert is_docstring or isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign)), ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_the_public_names() -> None:
    assert sorted(wschat.__all__) == [
        "Attempt",
        "Bot",
        "ChatClient",
        "CloseCode",
        "Connection",
        "ConnectionClosed",
        "Deflate",
        "EventsResponse",
        "HistoryUnavailable",
        "Hub",
        "IS_COMPILED",
        "Limits",
        "OpeningFailed",
        "OutcomeUnknown",
        "PeerError",
        "ProtocolViolation",
        "Reconnect",
        "Rejected",
        "Request",
        "RequestRefused",
        "Response",
        "ServerConfig",
        "UsageError",
        "WSChatError",
        "WebSocketHandler",
        "WebSocketServer",
        "connect",
        "publish",
        "reconnect",
        "serve",
    ]
    assert all(hasattr(wschat, name) for name in wschat.__all__)
    assert set(wschat.__all__) <= set(dir(wschat))
    with pytest.raises(AttributeError, match="module 'wschat' has no attribute 'nonsense'"):
        wschat.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_a_public_name_comes_from_the_module_that_type_checkers_see() -> None:
    lazy = ast.parse((PACKAGE / "__init__.py").read_text()).body[-1]
    assert isinstance(lazy, ast.If)
    typed = {alias.name: node.module for node in lazy.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert vars(wschat)["_MODULES"] == typed
    assert typed.keys() == set(wschat.__all__)


def test_importing_the_package_imports_none_of_its_parts() -> None:
    program = "import sys, wschat; print(*sorted(name for name in sys.modules if name.startswith('wschat.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "wschat.dependencies\n"
