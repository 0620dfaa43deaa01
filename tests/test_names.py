"""Names: which are valid, how they are normalized, and which are equal."""

from __future__ import annotations

import unicodedata
from time import thread_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wschat.names import MAX_LENGTH, key_of, normalize_name

# Any text, with more characters of names than chance would bring.
TYPED = st.text(st.characters() | st.sampled_from("aZ09-_.ßẞİıſςΣÅKéﬁ①ａＡ가\u0301\u0307\u0345\u200c\u200dبراक्षी്ന"), max_size=40)
NAMES = TYPED.map(normalize_name).filter(lambda name: name is not None).map(str)


@pytest.mark.parametrize(
    "name", ["alice", "Bob-2", "a.b_c", "Zoë", "Ольга", "名前", "김철수", "محمد", "Việt", "٣", "_", "-", "...", "7", "x" * 32, "名" * 32]
)
def test_letters_of_any_script_digits_and_three_marks_are_valid_in_names(name: str) -> None:
    assert normalize_name(name) == name


@pytest.mark.parametrize("name", ["हिन्दी", "தமிழ்", "বাংলা", "ชื่อ", "မြန်မာ", "שָׁלוֹם"])
def test_vowel_marks_are_valid_in_names(name: str) -> None:
    normal = normalize_name(name)
    assert normal is not None
    assert normalize_name(key_of(normal)) == key_of(normal)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 33,
        "名" * 33,
        "two words",
        " alice",
        "alice ",
        "tab\t",
        "line\n",
        "a\r\nb",
        "nul\0",
        "no\u00a0break",
        "ideographic\u3000blank",
        "<script>",
        "a/b",
        "a:b",
        "a@b",
        "a#b",
        "a,b",
        "it's",
        "a*",
        "💬",
        "€",
        "½",  # becomes three characters, one of them not a letter
        "\ud800",
    ],
)
def test_other_characters_are_invalid_in_names(name: str) -> None:
    assert normalize_name(name) is None


ZWNJ, ZWJ = "\u200c", "\u200d"


@pytest.mark.parametrize(
    "name",
    [
        f"علی{ZWNJ}رضا",  # Persian: Ali-Reza
        f"می{ZWNJ}خواهم",
        f"نیم{ZWNJ}فاصله",
        f"خانه{ZWNJ}ها",
        f"بَ{ZWNJ}ُب",  # with marks between the letters and the joiner
        f"پښ{ZWNJ}تو",  # Pashto
        f"क्{ZWNJ}ष",  # Devanagari
        f"क्{ZWJ}ष",
        f"क्{ZWJ}",  # a half letter
        f"र्{ZWJ}य",
        f"ശ്രീ{'ന്' + ZWJ}",  # Malayalam, as before Unicode 5.1
        f"ශ්{ZWJ}රී",  # Sinhala
        f"ক্{ZWNJ}ষ",  # Bengali
        f"a-क्{ZWJ}ष-1",
    ],
)
def test_a_joiner_is_valid_where_a_script_needs_it(name: str) -> None:
    assert normalize_name(name) == name
    without = name.replace(ZWNJ, "").replace(ZWJ, "")
    assert key_of(name) == key_of(without)  # the same name without the joiner
    assert normalize_name(key_of(name)) == key_of(name)


@pytest.mark.parametrize(
    "name",
    [
        ZWNJ,
        ZWJ,
        f"ali{ZWNJ}ce",
        f"ali{ZWJ}ce",
        f"{ZWNJ}علی",
        f"علی{ZWNJ}",
        f"علی{ZWNJ}{ZWNJ}رضا",
        f"علی{ZWNJ}{ZWJ}رضا",
        f"علی{ZWJ}رضا",
        f"علی{ZWNJ}-رضا",
        f"علی{ZWNJ}1",
        f"رضا{ZWNJ}علی",  # alef does not join the next letter anyway
        f"ء{ZWNJ}علی",
        f"a{ZWNJ}علی",
        f"علی{ZWNJ}a",
        f"क{ZWNJ}ष",  # no virama
        f"क{ZWJ}ष",
        f"क्{ZWNJ}",
        f"क्{ZWNJ}1",
        f"क्{ZWJ}ी",  # a vowel sign
        f"क्{ZWJ}{ZWJ}ष",
        f"Ольга{ZWNJ}а",
        f"名{ZWJ}前",
        f"👨{ZWJ}👩",
    ],
)
def test_a_joiner_without_effect_is_invalid(name: str) -> None:
    assert normalize_name(name) is None


@pytest.mark.parametrize("name", [".", "..", "\u2024", "\u2025", "．．"])
def test_names_with_a_meaning_in_paths_are_invalid(name: str) -> None:
    """Browsers and curl turn /api/rooms/tea/.. into /api/rooms, so such a room would have no URL."""
    assert normalize_name(name) is None


@pytest.mark.parametrize(
    "unseen", ["\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e", "\u2066", "\u115f", "\u1160", "\u3164", "\uffa0"]
)
def test_invisible_characters_are_invalid_in_names(unseen: str) -> None:
    """A name with them would look like another name, or empty."""
    assert normalize_name(f"alice{unseen}") is None
    assert normalize_name(unseen) is None


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("ａｌｉｃｅ", "alice"),
        ("Ｂｏｂ－２", "Bob-2"),
        ("ｶﾞ", "ガ"),
        ("ﬁ", "fi"),
        ("①", "1"),
        ("ℌ", "H"),
        ("\u212a", "K"),  # the sign of Kelvin
        ("e\u0301", "é"),
        ("㍿", "株式会社"),
    ],
)
def test_names_are_normalized_to_nfkc(typed: str, shown: str) -> None:
    assert normalize_name(typed) == shown


def test_the_length_limit_applies_to_the_normalized_name() -> None:
    assert normalize_name("e\u0301" * 32) == "é" * 32
    assert normalize_name("㍿" * 8) == "株式会社" * 8
    assert normalize_name("㍿" * 9) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "ALICE"),
        ("ａｌｉｃｅ", "alice"),
        ("ÉCOLE", "école"),
        ("Straße", "STRASSE"),
        ("STRAẞE", "straße"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ОЛЬГА", "ольга"),
        ("\u212aelvin", "kelvin"),
        ("\u212bngström", "ÅNGSTRÖM"),
        ("ﬁn", "FIN"),
        ("ⅷ", "VIII"),
        ("ſam", "Sam"),
        ("Zoe\u0308", "zoë"),
    ],
)
def test_names_that_differ_in_case_width_or_encoding_are_equal(one: str, other: str) -> None:
    first, second = normalize_name(one), normalize_name(other)
    assert first is not None
    assert second is not None
    assert key_of(first) == key_of(second)


@pytest.mark.parametrize(("one", "other"), [("zoe", "zoë"), ("a.b", "a_b"), ("a-b", "ab"), ("alice", "alice1"), ("o", "0"), ("l", "1")])
def test_names_that_differ_otherwise_are_not_equal(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


@given(TYPED)
def test_normalizing_twice_changes_nothing(typed: str) -> None:
    name = normalize_name(typed)
    if name is not None:
        assert 1 <= len(name) <= MAX_LENGTH
        assert unicodedata.is_normalized("NFKC", name)
        assert normalize_name(name) == name


@given(NAMES)
@example("ß" * 32)
@example("İ")
@example("ΐ")
@example("ᾳ")
def test_a_key_is_its_own_key(name: str) -> None:
    assert key_of(key_of(name)) == key_of(name)


@given(NAMES)
def test_all_normalization_forms_of_a_name_are_equal(name: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normalize_name(unicodedata.normalize(form, name)) == name


@given(NAMES)
def test_keys_ignore_case(name: str) -> None:
    # A letter without an upper case of its own becomes that of another letter, which makes another name.
    for variant in (name.upper(), name.lower(), name.title(), name.swapcase()):
        if variant.casefold() == name.casefold():
            assert key_of(unicodedata.normalize("NFKC", variant)) == key_of(name)


@pytest.mark.parametrize("name", ["Alice", "STRASSE", "ΣΊΣΥΦΟΣ", "ŉ", "ǰ", "ΐ", "ᾳ", "ﬃ", "İstanbul", "ß" * 17, "ᾳ" * 32])
def test_a_key_is_a_valid_name(name: str) -> None:
    """A room is shown by its key, so clients use the key as its name."""
    normal = normalize_name(name)
    if normal is not None:  # otherwise the name itself is invalid
        assert normalize_name(key_of(normal)) == key_of(normal)


def test_a_text_that_is_far_too_long_is_rejected_without_normalizing_it() -> None:
    """Normalizing marks in the wrong order takes time that grows with the square of their number."""
    text = "a" + "\u0301" * 16_000 + "\u0316" * 16_000  # 64 KiB as UTF-8: one message
    begun = thread_time()
    assert normalize_name(text) is None
    assert thread_time() - begun < 0.1
