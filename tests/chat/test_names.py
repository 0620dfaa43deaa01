from __future__ import annotations

import pytest

from wschat.chat.names import Names, normalize_name


@pytest.mark.parametrize("name", ["alice", "Bob-2", "a.b_c", "Zoë", "Ольга", "名前", "x" * 32])
def test_letters_of_any_script_digits_and_three_marks_make_a_name(name: str) -> None:
    assert normalize_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 33, "two words", "a\r\nb", "<script>", "a/b", "tab\t", "nul\0", "a\u202eb", "line\n"])
def test_anything_else_does_not(name: str) -> None:
    assert normalize_name(name) is None


def test_width_is_normalized() -> None:
    assert normalize_name("ａｌｉｃｅ") == "alice"


def test_a_name_belongs_to_one_at_a_time_whatever_its_case() -> None:
    names = Names()
    assert names.take("Alice")
    assert not names.take("ALICE")
    assert names.take("bob")
    names.give_up("alice")
    assert names.take("alice")


def test_a_change_of_name_gives_the_old_one_up() -> None:
    names = Names()
    assert names.take("alice")
    assert names.take("bob", instead_of="alice")
    assert names.take("alice")


def test_one_may_change_the_case_of_ones_own_name() -> None:
    names = Names()
    assert names.take("alice")
    assert names.take("Alice", instead_of="alice")
    assert not names.take("alice")


def test_a_change_that_is_refused_leaves_the_old_name() -> None:
    names = Names()
    assert names.take("alice")
    assert names.take("bob")
    assert not names.take("bob", instead_of="alice")
    assert not names.take("alice")
