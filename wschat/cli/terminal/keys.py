"""The keys of the screen, besides those of line editing, which are prompt_toolkit's (as in Emacs and readline)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.filters import is_searching
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from wschat.cli.terminal.transcript import Transcript

SCROLL_KEYS: dict[tuple[str, ...], Callable[[Transcript], None]] = {
    ("pageup",): lambda transcript: transcript.scroll_pages(-1),
    ("pagedown",): lambda transcript: transcript.scroll_pages(1),
    ("c-up",): lambda transcript: transcript.scroll(-1),
    ("c-down",): lambda transcript: transcript.scroll(1),
    ("c-home",): Transcript.to_top,
    ("c-end",): Transcript.to_bottom,
}
"""Keys that scroll the messages."""

VIEW_KEYS: dict[tuple[str, ...], str] = {
    **{("escape", str(number)): str(number) for number in range(1, 10)},
    ("escape", "left"): "previous",
    ("escape", "right"): "next",
    ("escape", "a"): "unread",
}
"""Keys whose meaning the view decides, by what they are called there."""


@dataclass(frozen=True)
class KeyActions:
    """What the keys do."""

    end: Callable[[], None]
    """Ends the screen."""
    suspend: Callable[[], None]
    """Stops the process."""
    scroll: Callable[[Callable[[Transcript], None]], None]
    """Scrolls the messages."""
    view: Callable[[str], None]
    """Does what a key of `VIEW_KEYS` means."""


def key_bindings(buffer: Buffer, actions: KeyActions) -> KeyBindings:
    """Return the bindings of a screen in which `buffer` holds what is typed."""
    bindings = KeyBindings()

    @bindings.add("c-c", filter=~is_searching)
    @bindings.add("<sigint>")
    def interrupt(event: KeyPressEvent) -> None:
        if buffer.text:
            buffer.reset()
        else:
            actions.end()

    @bindings.add("c-d")
    def end_of_input(event: KeyPressEvent) -> None:
        if buffer.text:
            buffer.delete()
        else:
            actions.end()

    @bindings.add("c-z")
    def suspend(event: KeyPressEvent) -> None:
        actions.suspend()

    @bindings.add("tab")
    def tab(event: KeyPressEvent) -> None:
        complete(buffer)

    @bindings.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        buffer.insert_text("\n")

    for keys, scroll in SCROLL_KEYS.items():
        bindings.add(*keys)(lambda event, scroll=scroll: actions.scroll(scroll))
    for keys, name in VIEW_KEYS.items():
        bindings.add(*keys)(lambda event, name=name: actions.view(name))
    return bindings


def complete(buffer: Buffer) -> None:
    """Complete as far as it is certain. If nothing is, show the choices, and then select one after the other."""
    if buffer.complete_state is not None and buffer.complete_state.complete_index is not None:
        buffer.complete_next()
        return
    completions = list(buffer.completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
    common = get_common_complete_suffix(buffer.document, completions)
    if len(completions) == 1:
        buffer.apply_completion(completions[0])
    elif common:
        buffer.insert_text(common)
    elif buffer.complete_state is not None:
        buffer.complete_next()
    elif completions:
        buffer.start_completion()
