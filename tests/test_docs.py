"""Every example in docs/ works, every table agrees with the code, and every link leads to a file or a heading."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import MISSING, fields
from graphlib import TopologicalSorter
from pathlib import Path

import click
import pytest

import wschat
from tests.conftest import ServerFactory, echo
from tests.documents import (
    ARCHITECTURE,
    CLIENTS,
    CONNECT,
    DOCUMENTS,
    HTTP_API,
    OPERATING,
    ROOT,
    SERVING,
    WIRE_PROTOCOL,
    Document,
    Example,
    code_in,
)
from tests.programs import free_port, run_program, running_program
from tests.server.command import running
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.actions import ACTIONS
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.cli.connect import main as connect
from wschat.counters import Load
from wschat.events import OF_CLIENTS, Event, Gap
from wschat.server.__main__ import main
from wschat.web.api import CALLS
from wschat.web.metrics import Metrics

# Each Python example runs in one of the tests here, in test_readme.py, or in testing/test_example_project.py.
PYTHON_EXAMPLES = {
    "README.md": 6,
    "docs/bots.md": 2,
    "docs/clients.md": 4,
    "docs/serving.md": 6,
    "docs/testing.md": 4,
    "docs/wire-protocol.md": 1,
    "docs/wsgi.md": 5,
}
# The handler is the first argument of `serve`, the second of `WebSocketServer`.
HANDLER = re.compile(r"wschat\.(?:serve\(|WebSocketServer\(\([^)]*\), )(\w+)")
SERVERS = [
    pytest.param(example, match[1], id=match[1] if match[1] != "echo" else f"echo-{document.path}-{number}")
    for document in DOCUMENTS
    for number, example in enumerate(document.examples)
    if example.language == "python" and (match := HANDLER.search(example.code))
]
HEADING = re.compile(r"^#+ (.*)", re.MULTILINE)


def test_every_python_example_runs_in_a_test() -> None:
    numbers = {document.path: sum(example.language == "python" for example in document.examples) for document in DOCUMENTS}
    assert {path: number for path, number in numbers.items() if number} == PYTHON_EXAMPLES


@pytest.mark.parametrize(("example", "handler"), SERVERS)
def test_the_command_serves_an_example_from_its_file(tmp_path: Path, example: Example, handler: str) -> None:
    assert '\nif __name__ == "__main__":\n' in example.code
    (tmp_path / "example.py").write_text(example.code)
    path = "clock" if handler == "paths" else "greet"
    with running("--port", "0", "--app", f"example.py:{handler}", cwd=tmp_path) as server, wschat.connect(f"{server.url}{path}"):
        assert server.port != 8080


@pytest.mark.parametrize("containing", ["http=answer", "request_shutdown"])
def test_the_programs_of_the_serving_page(containing: str) -> None:
    program = SERVING.example("python", containing)
    assert run_program(program.code) == program.output


def test_the_program_that_uses_json() -> None:
    port = free_port()
    program = WIRE_PROTOCOL.example("python", "wschat.v1")
    with running_program("-m", "wschat.server", "--port", str(port), "--history", "memory", port=port):
        assert run_program(program.code.replace("8080", str(port))) == program.output


def test_the_programs_of_the_clients_page() -> None:
    port = free_port()
    with running_program("-m", "wschat.server", "--port", str(port), "--history", "memory", port=port):
        for program in (example for example in CLIENTS.examples if example.language == "python"):
            assert run_program(program.code.replace("8080", str(port))) == program.output.replace("8080", str(port))


def test_creating_a_token(tmp_path: Path) -> None:
    (tmp_path / "FILE").write_text("a secret that is long enough for HS256")
    command = re.search(r"    python (-m wschat\.chat\.mint .*)", OPERATING.text)
    assert command
    done = subprocess.run([sys.executable, *shlex.split(command[1])], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    identity = Access((tmp_path / "FILE").read_bytes()).identify(
        wschat.Request("GET", "/", {"authorization": f"Bearer {done.stdout.strip()}"})
    )
    assert (identity.name, identity.rooms) == ("alice", ("tea*",))


def without_variables(transcript: str) -> str:
    """Return a transcript without the values that differ in each run: times, the epoch of a log, and the seconds of `retry`."""
    return re.sub(r"\b[0-9a-f]{16}:", "EPOCH:", re.sub(r'("time":|retry: )[0-9.]+', r"\1...", transcript))


def test_the_transcripts_of_curl() -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    port = free_port()
    with running_program("-m", "wschat.server", "--port", str(port), "--history", "memory", port=port):
        for example in [*HTTP_API.examples, *OPERATING.examples]:  # in this order: the metrics count the messages of the API
            if example.language == "console":
                for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example.code, re.MULTILINE):
                    shell = subprocess.run(["bash", "-c", command.replace("8080", str(port))], capture_output=True, text=True, timeout=20)
                    assert without_variables(shell.stdout) == without_variables(output), command


def test_the_transcripts_of_wschat_connect(serve: ServerFactory, tmp_path: Path) -> None:
    with closing(Chat(MemoryBroker())) as chat:
        chat_server = serve(chat.handle, check_request=chat.check_request, subprotocols=SUBPROTOCOLS)
        ports = {"8080": str(chat_server.port), "8081": str(serve(echo).port)}
        for example in CONNECT.examples:
            code = re.sub("|".join(ports), lambda port: ports[port[0]], example.code)
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", code, re.MULTILINE):
                script = f'wschat() {{ {shlex.quote(sys.executable)} -m wschat.cli "$@"; }}; {command}'
                shell = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=20)
                printed = shell.stdout.replace("exit code", f"{shell.stderr}exit code")
                assert without_times(printed) == without_times(output), command
        chat_server.stop()


def without_times(text: str) -> str:
    """Return a text without the times of JSON lines."""
    return re.sub(r'"(time|at)": [^,]*', r'"\1": ...', text)


def test_the_table_of_the_options_of_wschat_connect_is_complete() -> None:
    shown = {name: row[1].strip("`") for row in CONNECT.table("option") for name in code_in(row[0])}
    options = [parameter for parameter in connect.params if isinstance(parameter, click.Option)]
    assert shown.keys() - {"--help"} == {name for option in options for name in (*option.opts, *option.secondary_opts)}
    for option in options:
        default = shown[option.opts[0]]
        if isinstance(option.default, (int, float)) and not option.is_flag:
            assert default == f"{option.default:g}", option.opts


def test_every_call_of_the_api_has_a_transcript() -> None:
    for what, method in CALLS:
        data = " -d" if method == "POST" else ""
        path = f"/tea/{what}" if what else ""
        assert re.search(rf"^\$ curl .*/api/rooms{path}\b(?!/).*{data}", HTTP_API.text, re.MULTILINE), (what, method)


def test_the_table_of_calls_is_complete() -> None:
    shown = [code for row in HTTP_API.table("request") for code in code_in(row[0])]
    expected = [f"{method} /api/rooms{f'/NAME/{what}' if what else ''}" for what, method in CALLS]
    assert sorted(code for code in shown if "/api/" in code) == sorted(expected)


def test_the_table_of_commands_is_complete() -> None:
    shown = {code for row in WIRE_PROTOCOL.table("command") for code in code_in(row[0])}
    assert shown == {command.usage for command, _ in ACTIONS.commands.values()} | {"//TEXT"}


def test_the_table_of_requests_is_complete() -> None:
    shown: dict[str, set[str]] = {}
    for row in WIRE_PROTOCOL.table("request"):
        *names, last = code_in(row[0])
        parameters = set(last.strip("{}").split(", ")) if last.startswith("{") else set()
        shown |= dict.fromkeys(names if last.startswith("{") else [*names, last], parameters)
    assert sorted(shown) == sorted(ACTIONS.schemas)
    for kind in (schema.kind for schema in ACTIONS.schemas.values()):
        own = {field.name + ("?" if field.default is not MISSING else "") for field in fields(kind) if field.name != "id"}
        assert own == shown[kind.type], kind.type


def test_the_table_of_events_is_complete() -> None:
    shown = [code for row in WIRE_PROTOCOL.table("event") for code in code_in(row[0])]
    of_websockets = [event for event in Event.__subclasses__() if event not in (Gap, *OF_CLIENTS)]  # a gap is for event streams
    assert sorted(shown) == sorted(event.type for event in of_websockets)


def test_the_table_of_errors_is_complete() -> None:
    shown = {code for row in WIRE_PROTOCOL.table("code") for code in code_in(row[0])}
    sources = [path.read_text() for path in (ROOT / "wschat/chat").rglob("*.py")]
    assert {code for source in sources for code in re.findall(r'Rejected\(\s*"([a-z-]+)"', source)} <= shown


def test_the_table_of_options_is_complete() -> None:
    rows = [row for row in OPERATING.text.partition("\n## Options\n")[2].partition("\n## ")[0].splitlines() if row.startswith("| `--")]
    shown = [code for row in rows for code in code_in(row.split(" | ")[0])]
    assert sorted(shown) == sorted(name for parameter in main.params for name in (*parameter.opts, *parameter.secondary_opts))


def test_the_table_of_limits_is_complete() -> None:
    shown: dict[str, str] = {}
    for names, defaults, _ in OPERATING.table("limit"):
        shown |= dict(zip(code_in(names), defaults.split(", "), strict=True))
    expected = {field.name: field.default for field in fields(wschat.Limits)}
    assert shown == {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in expected.items()}


def test_the_table_of_metrics_is_complete() -> None:
    _, text = Metrics(lambda: Load({"websocket": 1}, 0)).render()
    expected = {tuple(line.split()[2:]) for line in text.decode().splitlines() if line.startswith("# TYPE wschat_")}
    shown = {(f"{name}_total" if row[1] == "counter" else name, row[1]) for row in OPERATING.table("metric") for name in code_in(row[0])}
    assert shown == expected


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.path)
def test_every_link_has_a_target(document: Document) -> None:
    links = re.findall(r"\]\(([^)]+)\)", document.text) + re.findall(r'src(?:set)?="([^"]+)"', document.text)
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document.path).parent / path if path else ROOT / document.path
        assert target.exists(), link
        if anchor:
            anchors = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in HEADING.findall(target.read_text())]
            assert anchor in anchors, link


def test_the_table_of_threads_is_complete() -> None:
    shown = {code for row in ARCHITECTURE.table("thread") for code in code_in(row[0])}
    sources = [path.read_text() for path in (ROOT / "wschat").rglob("*.py")]
    started = {name for source in sources for name in re.findall(r'(?:start_daemon\(.*, |name=)"(wschat-[\w-]+)"', source)}
    assert started == {name for name in shown if name.startswith("wschat-")}


def test_the_lock_order_has_no_cycle() -> None:
    diagram = ARCHITECTURE.example("mermaid", "flowchart").code
    order: TopologicalSorter[str] = TopologicalSorter()
    for before, after in re.findall(r"^ +(\w+)(?:\[.*\])? (?:-->|-\.->) (\w+)", diagram, re.MULTILINE):
        order.add(after, before)
    assert "outbox" in [*order.static_order()]  # raises CycleError


def test_the_methods_that_the_architecture_names_exist() -> None:
    named = set(re.findall(r"`([A-Z]\w+\.\w+)`", ARCHITECTURE.text))
    trees = [ast.parse(path.read_text()) for path in (ROOT / "wschat").rglob("*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    existing = {f"{cls.name}.{node.name}" for cls in classes for node in cls.body if isinstance(node, ast.FunctionDef)}
    assert named - existing == set()
