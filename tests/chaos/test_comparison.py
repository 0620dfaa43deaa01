"""What the comparison with the log finds."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.comparison import errors_in_answers, errors_in_heard, errors_in_log, without_answers
from tests.chaos.notes import Notes

LOG = [(1, "a 1"), (2, "!ping a 2"), (3, "pong a 2"), (4, "b 1")]


def test_a_complete_log_has_no_errors() -> None:
    assert errors_in_log(LOG, [(1, "a 1"), (2, "!ping a 2"), (4, "b 1")]) == []
    assert errors_in_answers(LOG) == []
    assert errors_in_heard(LOG, {"it": LOG}) == []


def test_texts_that_are_lost_doubled_or_have_another_number() -> None:
    assert errors_in_log(LOG, [(5, "c 1")]) == ["'c 1' was said as 5, and is in the log 0 times, as None"]
    assert errors_in_log(LOG, [(2, "a 1")]) == ["'a 1' was said as 2, and is in the log 1 times, as 1"]
    assert errors_in_log([*LOG, (5, "b 1")], []) == ["'b 1' is in the log 2 times"]


def test_commands_without_one_answer_after_them() -> None:
    assert errors_in_answers([(1, "!ping a 1")]) == ["'!ping a 1', number 1 of the log, was answered 0 times: []"]
    assert errors_in_answers([(1, "pong a 1"), (2, "!ping a 1")]) == ["'!ping a 1', number 2 of the log, was answered 1 times: [1]"]
    assert errors_in_answers([*LOG, (5, "pong a 2")]) == ["'!ping a 2', number 2 of the log, was answered 2 times: [3, 5]"]
    assert errors_in_answers([(1, "pong a 1")]) == ["the answer 'a 1' has no command"]


def test_messages_that_were_missed_doubled_or_heard_in_another_order() -> None:
    for heard in (LOG[:-1], LOG[1:], [*LOG, LOG[-1]], [LOG[1], LOG[0], *LOG[2:]]):
        (error,) = errors_in_heard(LOG, {"it": heard})
        assert error.startswith(f"it has heard {len(heard)} of 4 messages")
    assert errors_in_heard(without_answers(LOG), {"the bot": [LOG[0], LOG[1], LOG[3]]}) == []


def test_notes_are_read_as_they_were_added(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    for seq, text in LOG:
        notes.add(seq, text)
    assert (notes.read(), notes.count) == (LOG, 4)
    notes.close()
