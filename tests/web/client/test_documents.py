"""The program of docs/javascript.md runs, and its tables are complete. Its page runs in page/test_other_origin.py."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.documents import JAVASCRIPT, ROOT, code_in
from tests.programs import NODE_MODULES
from tests.web.client.wiring import Node
from wschat.testing.live_server import LiveServer

SOURCES = ROOT / "wschat/web/static/client"


def test_the_program_for_node(node: Node, chat: LiveServer, client_file: Path, tmp_path: Path) -> None:
    del node  # without Node, it skips this test
    example = JAVASCRIPT.example("javascript", 'import WebSocket from "ws"')
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    shutil.copy(client_file, tmp_path / "wschat.mjs")
    (tmp_path / "example.mjs").write_text(example.code.replace("ws://127.0.0.1:8080", chat.url))
    done = subprocess.run(["node", "example.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == example.output


def interface(name: str) -> str:
    """The body of an interface in the types of the client."""
    match = re.search(rf"^  interface {name} \{{\n(.*?)^  \}}", (SOURCES / "client.d.ts").read_text(), re.MULTILINE | re.DOTALL)
    assert match
    return match[1]


def test_the_tables_of_options_methods_and_events_are_complete() -> None:
    options = {code for row in JAVASCRIPT.table("option") for code in code_in(row[0])}
    assert options == set(re.findall(r"^    (\w+)\?:", interface("Options"), re.MULTILINE))
    methods = {code.partition("(")[0] for row in JAVASCRIPT.table("method") for code in code_in(row[0])}
    assert methods == set(re.findall(r"^  (?:async )?([a-z]\w+)\(.*\{$", (SOURCES / "chat-client.js").read_text(), re.MULTILINE)) - {
        "constructor"
    }
    events = {code for row in JAVASCRIPT.table("event") for code in code_in(row[0])}
    own = set(re.findall(r"^    (\w+): \{ type", interface("Events"), re.MULTILINE)) | {"joined", "gap", "error"}
    assert events == own
