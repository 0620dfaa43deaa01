"""Runs `wschat connect` in the process of the tests, with files as its standard streams."""

from __future__ import annotations

import io
import tempfile
from contextlib import ExitStack
from typing import NamedTuple
from unittest.mock import patch

from wschat.cli.connect import main


class Done(NamedTuple):
    """The result of a command."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.decode().splitlines()


def run(*arguments: str, given: str | bytes = "") -> Done:
    """Run the command with a text as its standard input, until it ends."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(given if isinstance(given, bytes) else given.encode())
        files[0].seek(0)
        streams = [stack.enter_context(io.TextIOWrapper(file, encoding="utf-8", write_through=True)) for file in files]
        with patch.multiple("sys", stdin=streams[0], stdout=streams[1], stderr=streams[2]):
            code = main([*arguments], standalone_mode=False, prog_name="wschat connect")
        for file in files:
            file.seek(0)
        return Done(code or 0, files[1].read(), files[2].read().decode())
