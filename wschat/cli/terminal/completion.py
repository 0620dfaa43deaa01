"""Completion of what the user types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from wschat.cli.terminal.safe_text import one_row


class CommandCompleter(Completer):
    """Completes the names of commands, after a slash at the beginning of the line."""

    def __init__(self, commands: Callable[[], Mapping[str, tuple[str, str]]]) -> None:
        """`commands` returns the usage and the help of each name."""
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield the commands that begin with what stands before the cursor."""
        text = document.text_before_cursor
        if text.startswith("/") and " " not in text:
            yield from self._matching(text[1:])

    def _matching(self, prefix: str) -> Iterator[Completion]:
        for name, (usage, help_text) in self._commands().items():
            if name.startswith(prefix.lower()):
                end = " " if " " in usage else ""
                yield Completion(f"{name}{end}", -len(prefix), display=one_row(usage), display_meta=one_row(help_text))
