"""The page of examples names each program, and each has a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.documents import EXAMPLES, ROOT, code_in

FOLDER = ROOT / "docs/examples"


def test_the_table_names_each_program() -> None:
    named = [code_in(row[0])[0] for row in EXAMPLES.table("program")]
    assert sorted(name for name in named if name.endswith(".py")) == sorted(path.name for path in FOLDER.glob("*.py"))


def test_each_program_has_a_test() -> None:
    for path in FOLDER.glob("*.py"):
        assert Path(__file__).with_name(f"test_{path.name}").exists()


def test_each_program_is_short_and_begins_with_how_to_run_it() -> None:
    for path in FOLDER.glob("*.py"):
        text = path.read_text()
        assert text.startswith('"""'), path
        assert re.search(r"^    (pip install .*\n    python .*|.* python ).*\b" + re.escape(path.name), text, re.MULTILINE), path
        assert len(text.splitlines()) <= 120, path
