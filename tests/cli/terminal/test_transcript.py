"""The rows of a transcript that a screen shows."""

from __future__ import annotations

from wschat.cli.terminal.transcript import Line, Transcript


def transcript(*texts: str, max_lines: int = 100) -> Transcript:
    made = Transcript(max_lines)
    for text in texts:
        made.append(Line([("", text)]))
    return made


def seen(shown: Transcript, width: int = 20, height: int = 3) -> list[str]:
    return ["".join(text for _, text in row) for row in shown.view(width, height)]


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_the_newest_lines_are_shown() -> None:
    shown = transcript(*numbers(10))
    assert seen(shown) == ["7", "8", "9"]
    shown.append(Line([("", "10")]))
    assert seen(shown) == ["8", "9", "10"]


def test_an_empty_transcript_has_no_rows() -> None:
    shown = transcript()
    shown.scroll_pages(-1)
    shown.to_top()
    assert seen(shown) == []
    assert shown.is_at_top


def test_the_scroll_position_is_kept_while_lines_are_added() -> None:
    shown = transcript(*numbers(10))
    seen(shown)
    shown.scroll_pages(-1)
    assert seen(shown) == ["5", "6", "7"]
    shown.append(Line([("", "10")]))
    assert seen(shown) == ["5", "6", "7"]
    assert shown.lines_below == 3
    shown.prepend([Line([("", "older")])])
    assert seen(shown) == ["5", "6", "7"]
    shown.scroll_pages(5)
    assert seen(shown) == ["8", "9", "10"]
    assert not shown.is_scrolled


def test_scrolling_ends_with_the_oldest_line_at_the_top() -> None:
    shown = transcript(*numbers(5))
    seen(shown)
    assert not shown.is_at_top
    shown.scroll_pages(-10)
    assert seen(shown) == ["0", "1", "2"]
    assert shown.is_at_top
    shown.to_bottom()
    assert seen(shown) == ["2", "3", "4"]
    shown.to_top()
    assert seen(shown) == ["0", "1", "2"]


def test_long_lines_are_scrolled_by_rows() -> None:
    shown = transcript("a", "one two three four five six seven")
    assert seen(shown, 10) == ["three four", "five six ", "seven"]
    shown.scroll(-1)
    assert seen(shown, 10) == ["one two ", "three four", "five six "]
    shown.scroll(-1)
    assert seen(shown, 10) == ["a", "one two ", "three four"]


def test_the_scroll_position_is_kept_at_a_new_width() -> None:
    shown = transcript(*numbers(9), "one two three four five six seven", *numbers(9))
    seen(shown)
    shown.scroll(-9)
    assert seen(shown, 20)[-1] == "five six seven"
    assert "seven" in seen(shown, 40)[-1]
    assert "one" in seen(shown, 10)[-2]


def test_the_oldest_lines_are_dropped() -> None:
    shown = transcript(*numbers(10), max_lines=5)
    assert [line.text() for line in shown.lines] == numbers(10)[5:]
    assert shown.is_full
    seen(shown)
    shown.to_top()
    assert seen(shown) == ["5", "6", "7"]
    for number in numbers(4):  # the lines that are shown are dropped
        shown.append(Line([("", f"new {number}")]))
    assert seen(shown) == ["9", "new 0", "new 1"]


def test_the_footer_stays_at_the_bottom() -> None:
    shown = transcript(*numbers(10))
    shown.footer = [Line([("", "waiting")])]
    assert seen(shown) == ["8", "9", "waiting"]
    shown.scroll(-1)
    assert seen(shown) == ["6", "7", "8"]


def test_clearing() -> None:
    shown = transcript(*numbers(10))
    shown.scroll(-2)
    shown.clear()
    assert seen(shown) == []
    shown.append(Line([("", "new")]))
    assert seen(shown) == ["new"]


def test_further_rows_are_indented_below_the_text() -> None:
    line = Line([("", "one two three four five six")], head=[("", "bob ")])
    assert [width for width in (12, 24) if line.rows(width)[1][0][1].startswith(" " * 4)] == [24]


def test_a_line_can_be_removed_without_moving_the_view() -> None:
    shown = transcript(*numbers(10))
    seen(shown)
    shown.scroll(-3)
    lines = shown.lines
    shown.remove(lines[1])
    shown.remove(lines[-1])
    shown.remove(Line([]))
    assert seen(shown) == ["4", "5", "6"]
    assert [line.text() for line in shown.lines] == ["0", *numbers(9)[2:]]
