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


class ChatCompleter(Completer):
    """Completes commands, the rooms and names that they take, and the names of members in texts."""

    def __init__(
        self, commands: Callable[[], Mapping[str, tuple[str, str]]], rooms: Callable[[], Iterable[str]], names: Callable[[], Iterable[str]]
    ) -> None:
        """`commands` returns the usage and the help of each command, `rooms` the rooms, and `names` the members of the room in front."""
        self._commands = commands
        self._command_names = CommandCompleter(commands)
        self._rooms = rooms
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield the commands, names or rooms that begin with the word before the cursor."""
        text = document.text_before_cursor
        if text.startswith("/") and " " not in text:
            yield from self._command_names.get_completions(document, complete_event)
            return
        word = text.rpartition(" ")[2]
        kind = self._kind_of_word(text)
        if kind == "ROOM":
            yield from _beginning_with(word, self._rooms(), "")
        elif kind == "NAME":
            yield from _beginning_with(word, self._names(), " ")
        elif word:
            mention = "@" if word.startswith("@") else ""
            end = ": " if word == text and not mention else " "
            yield from _beginning_with(word.removeprefix("@"), self._names(), end)

    def _kind_of_word(self, text: str) -> str:
        """Return which kind of word is being typed: ROOM or NAME in a command that takes one, else another word."""
        name, *words = text.split(" ")
        if not name.startswith("/"):
            return ""
        placeholders = self._commands().get(name[1:], ("", ""))[0].split()[1:]
        placeholder = placeholders[min(len(words), len(placeholders)) - 1] if placeholders else ""
        kind = placeholder.strip("[]").partition("|")[0]
        return "ROOM" if name == "/room" else kind


def _beginning_with(word: str, choices: Iterable[str], end: str) -> Iterator[Completion]:
    """Yield the choices that begin with a word, in whatever case, in the order of the alphabet."""
    for choice in sorted(set(choices), key=str.casefold):
        if choice.casefold().startswith(word.casefold()):
            yield Completion(f"{choice}{end}", -len(word), display=one_row(choice))
