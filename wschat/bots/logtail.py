"""A bot that sends the new lines of a log file to a room: `python -m wschat.bots.logtail URL FILE`."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import click

from wschat.bots.command import bot_command
from wschat.client.bot.bot import Bot
from wschat.errors import Rejected, UsageError

logger = logging.getLogger("wschat.bot")

_READ_BYTES = 1 << 20  # in one step
_COMPARED_BYTES = 4096
_MAX_LINE = 500  # characters that are sent of a line
_MAX_UNFINISHED = 64 * 1024  # bytes without a newline that are taken for a line
_MAX_WAITING = 1000  # lines
_MAX_BATCH = 10_000  # characters: as JSON at most 60,000 bytes, which a server takes by default


class LogTail:
    """Reads what is appended to a file, also after it was truncated, or renamed and created again. For one thread at a time.

    A file that exists already is read from its end; one that is created later, from its beginning. A file was truncated if the last bytes
    that were read are not in their place any more. Its size does not tell that: it may have grown again since.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._unfinished = b""
        self._last_bytes = b""
        self._file: BinaryIO | None = self._open()
        if self._file is not None:
            end = self._file.seek(0, os.SEEK_END)
            self._file.seek(max(0, end - _COMPARED_BYTES))
            self._last_bytes = self._file.read(_COMPARED_BYTES)

    def read(self) -> list[str]:
        """Return the lines that were completed since the last call, up to one MiB. Raises OSError."""
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            return []
        is_truncated = self._is_truncated(self._file)
        if is_truncated:
            self._file.seek(0)
            self._last_bytes = b""
        data = self._file.read(_READ_BYTES)
        self._last_bytes = (self._last_bytes + data)[-_COMPARED_BYTES:]
        is_replaced = not data and self._is_replaced()
        if is_replaced:
            self.close()
        if self._unfinished and (is_truncated or is_replaced):
            data = b"\n" + data
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _MAX_UNFINISHED:
            lines.append(self._unfinished)
            self._unfinished = b""
        # A program that does not append, but writes where it was, leaves zeros before that in a file that was truncated.
        return [line.lstrip(b"\0").decode(errors="backslashreplace").rstrip("\r") for line in lines]

    def close(self) -> None:
        """Close the file. The next `read` opens the one that has its name then."""
        if self._file is not None:
            self._file.close()
        self._file, self._last_bytes = None, b""

    def _open(self) -> BinaryIO | None:
        try:
            return open(self._path, "rb", buffering=0)
        except FileNotFoundError:
            return None

    def _is_truncated(self, file: BinaryIO) -> bool:
        """Return True if the bytes before the position are not those that were read there."""
        file.seek(-len(self._last_bytes), os.SEEK_CUR)
        return file.read(len(self._last_bytes)) != self._last_bytes

    def _is_replaced(self) -> bool:
        assert self._file is not None
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False  # the file goes on to be read until there is another one


class Batches:
    """Lines that wait to be sent, and the batch that is being sent. For one thread at a time."""

    def __init__(self, max_lines: int) -> None:
        self._max_lines = max_lines
        self._waiting: deque[str] = deque()
        self._left_out = 0
        self._batch: tuple[str, str] | None = None

    def add(self, lines: Iterable[str]) -> None:
        """Add lines. Above 1,000 that wait, the oldest are left out, and counted in the next batch."""
        for line in lines:
            self._waiting.append(line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]} …")
            if len(self._waiting) > _MAX_WAITING:
                self._waiting.popleft()
                self._left_out += 1

    def next(self) -> tuple[str, str] | None:
        """Return the text of the next batch and its id, the same ones until `sent` is called; None if no lines wait."""
        if self._batch is None and self._waiting:
            lines = [f"({self._left_out:,} lines are left out)"] if self._left_out else []
            self._left_out = 0
            lines += self._take()
            self._batch = "\n".join(lines), f"log-{uuid.uuid4()}"
        return self._batch

    def _take(self) -> list[str]:
        """Remove the first lines that wait, one at least, and return them."""
        lines = [self._waiting.popleft()]
        size = len(lines[0])
        while self._waiting and len(lines) < self._max_lines and (size := size + len(self._waiting[0])) <= _MAX_BATCH:
            lines.append(self._waiting.popleft())
        return lines

    def sent(self) -> None:
        """Go on to the next batch."""
        self._batch = None


def make_bot(url: str, tail: LogTail, *, match: str = "", lines: int = 20, seconds: float = 2.0, **options: Any) -> Bot:
    """Return a bot that sends what `tail` reads, `lines` lines every `seconds` seconds at most. `options` are those of `Bot`."""
    bot = Bot(url, **options)
    try:
        pattern = re.compile(match)
    except re.error as error:
        raise UsageError(f"--match must be a regular expression, not {match!r}: {error}") from None
    batches = Batches(lines)

    @bot.every(seconds)
    def follow() -> None:
        batches.add(line for line in tail.read() if line.strip() and pattern.search(line))
        if (batch := batches.next()) is None:
            return
        text, batch_id = batch
        for number, room in enumerate(bot.rooms):
            try:
                # A batch that fails is sent again, and is kept once because of its id.
                bot.say(room, text, id=f"{batch_id}-{number}")
            except Rejected as error:
                if error.code == "unavailable":
                    raise
                logger.warning("%d lines cannot be sent to %s: %s", text.count("\n") + 1, room, error)
        batches.sent()

    return bot


@bot_command("logtail")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--match", default="", metavar="REGEX", help="Send only the lines in which this is found.")
@click.option("--lines", default=20, show_default=True, type=click.IntRange(1, 100), help="Lines of one message.")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.1, 86_400), help="Seconds between two messages.")
def main(url: str, file: str, **options: Any) -> Bot:
    """Send the new lines of FILE to the rooms of the chat at URL, also after the file was rotated or truncated."""
    tail = click.get_current_context().with_resource(closing(LogTail(file)))
    return make_bot(url, tail, **options)


if __name__ == "__main__":
    main()
