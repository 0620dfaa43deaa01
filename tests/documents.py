"""Reads examples and tables from the project's documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Example(NamedTuple):
    """A fenced block of code."""

    language: str
    code: str
    output: str
    """The text block that follows the code; empty if there is none."""


class Document:
    """A Markdown file of the project."""

    def __init__(self, path: str) -> None:
        self.path = path
        """Relative to the project's folder."""
        self.text = (ROOT / path).read_text()
        """The whole document."""
        blocks = re.findall(r"^```(\w+)\n(.*?)^```", self.text, re.DOTALL | re.MULTILINE)
        followers = [*blocks[1:], ("", "")]
        self.examples = [
            Example(language, code, next_code if next_language == "text" else "")
            for (language, code), (next_language, next_code) in zip(blocks, followers, strict=False)
        ]
        """The blocks of code, in order."""

    def example(self, language: str, containing: str) -> Example:
        """Return the first example in a language that contains a text."""
        for example in self.examples:
            if example.language == language and containing in example.code:
                return example
        raise AssertionError(f"{self.path} has no {language} example with {containing}")

    def table(self, first_heading: str) -> list[list[str]]:
        """Return the rows of the table whose first column has this heading, each a list of cells."""
        match = re.search(rf"^\| {re.escape(first_heading)} \|.*\n\|[ :|-]+\|\n((?:\|.*\n)+)", self.text, re.MULTILINE)
        assert match, f"{self.path} has no table of the {first_heading}s"
        rows = (re.split(r"(?<!\\)\|", row)[1:-1] for row in match[1].splitlines())
        return [[cell.strip().replace("\\|", "|") for cell in row] for row in rows]


README = Document("README.md")
OPERATING = Document("docs/operating.md")
HTTP_API = Document("docs/http-api.md")
WIRE_PROTOCOL = Document("docs/wire-protocol.md")
SERVING = Document("docs/serving.md")
TESTING = Document("docs/testing.md")
CONNECT = Document("docs/connect.md")
CLIENTS = Document("docs/clients.md")
JAVASCRIPT = Document("docs/javascript.md")
WSGI = Document("docs/wsgi.md")
COMING_FROM = Document("docs/coming-from.md")
BOTS = Document("docs/bots.md")
EXAMPLES = Document("docs/examples.md")
ARCHITECTURE = Document("ARCHITECTURE.md")
CONTRIBUTING = Document("CONTRIBUTING.md")

DOCUMENTS = [
    README,
    OPERATING,
    HTTP_API,
    WIRE_PROTOCOL,
    SERVING,
    WSGI,
    TESTING,
    CONNECT,
    CLIENTS,
    JAVASCRIPT,
    BOTS,
    COMING_FROM,
    EXAMPLES,
    ARCHITECTURE,
    CONTRIBUTING,
]
"""All documents but the changelog."""


def code_in(cell: str) -> list[str]:
    """Return the texts that are formatted as code in a table's cell."""
    return re.findall(r"`([^`]+)`", cell)
