"""Near misses: phonemes apart, words ranked by sound, parts; and that none of what is drawn sounds like the phrase."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_tasks.common_words import COMMON_WORDS
from audio_tasks.near_misses import (
    changed,
    distance,
    inventory_of,
    nearest_words,
    parsed,
    parts_of_sounds,
    parts_of_words,
    plain,
    text_of,
)

HEY_LAMP = (("h", "'eI"), ("l", "'a", "m", "p"))
INVENTORY = ("E", "I", "b", "eI", "g", "h", "k", "l", "m", "oU", "p", "t")
SOUNDS = st.lists(
    st.lists(st.sampled_from(["h", "'eI", "l", "'a", "m", "p", "@", "t#", ",oU"]), min_size=1, max_size=5).map(tuple),
    min_size=1,
    max_size=4,
).map(tuple)


# ---- phonemes


def test_phonemes_of_espeak_are_parsed_and_written_again():
    assert parsed("h|'eI l|'a|m|p") == HEY_LAMP and text_of(HEY_LAMP) == "h|'eI l|'a|m|p"
    assert parsed("_||'E l|'A~|p") == (("'E",), ("l", "'A~", "p"))  # a pause at the start
    assert parsed("_!|'o:|k") == (("'o:", "k"),)
    assert parsed("") == () and parsed("_: _:") == ()
    assert parsed("(en)|t|'3:|n|(de)") is None


@given(SOUNDS)
def test_parsed_is_the_reverse_of_text_of(sounds):
    assert parsed(text_of(sounds)) == sounds


def test_plain_ignores_stress_length_and_allophones():
    assert plain([("t#", "'u:"), (",O2", "n")]) == ("t", "u", "O", "n")
    assert plain([("3:",)]) == plain([("@",)]) == ("@",)
    assert plain([("aI",)]) != plain([("a",)]) != plain([("eI",)])
    assert plain([("S",)]) != plain([("s",)])


# ---- distance


def test_distances_by_hand():
    lamp = ("l", "a", "m", "p")
    assert distance(lamp, lamp) == 0
    assert distance(lamp, ("l", "a", "m")) == distance(("l", "a", "m"), lamp) == 1
    assert distance(lamp, ("r", "a", "m", "p")) == pytest.approx(0.4)  # l and r are alike
    assert distance(lamp, ("k", "a", "m", "p")) == pytest.approx(0.7)
    assert distance(lamp, ("l", "I", "m", "p")) == pytest.approx(0.7)
    assert distance(("a",), ("p",)) == pytest.approx(1.2)
    assert distance((), lamp) == 4


@given(*[st.lists(st.sampled_from("lamprIt"), max_size=6).map(tuple)] * 3)
def test_distance_is_symmetric_and_bounded(first, second, third):
    assert distance(first, second) == pytest.approx(distance(second, first))
    assert (distance(first, second) == 0) == (first == second)
    assert distance(first, second) <= max(len(first), len(second)) * 1.2 + 1e-9
    assert abs(len(first) - len(second)) <= distance(first, second) + 1e-9


def test_the_nearest_words_leave_out_what_sounds_the_same():
    words = {"ramp": ("r", "'a", "m", "p"), "lampe": ("l", "'a", "m", "p"), "it": ("'I", "t"), "amp": ("'a", "m", "p")}
    assert nearest_words(("l", "'a", "m", "p"), words, count=2) == ["ramp", "amp"]


# ---- changes and parts


@settings(max_examples=200)
@given(SOUNDS, st.integers(0, 2**32 - 1))
def test_a_change_is_small(sounds, seed):
    made = changed(sounds, INVENTORY, np.random.default_rng(seed))
    assert len(made) == len(sounds) and all(made)
    assert sum(a != b for a, b in zip(made, sounds, strict=True)) <= 1
    assert distance(plain(made), plain(sounds)) <= 2.4
    assert plain(made) != plain(sounds)


def test_changes_are_of_three_kinds_and_keep_vowels_that_nobody_stresses():
    made = {changed((("k", "@", "m"), ("p", "'a")), INVENTORY, np.random.default_rng(seed)) for seed in range(300)}
    assert (("@", "m"), ("p", "'a")) in made  # left out
    assert (("@", "k", "m"), ("p", "'a")) in made  # swapped
    assert (("k", "@", "m"), ("p", "'E")) in made  # replaced, with its stress
    assert (("t", "@", "m"), ("p", "'a")) in made
    assert not made & {(("k", "@"), ("p", "'a")), (("g", "@", "m"), ("p", "'a")), (("k", "@", "m"), ("b", "'a"))}
    assert not any(word == ("k", other, "m") for word, _ in made for other in INVENTORY)


def test_parts_of_words_by_hand():
    assert parts_of_words(["lamp"]) == []
    assert parts_of_words(["hey", "lamp"]) == ["hey", "lamp", "lamp hey"]
    assert parts_of_words(["go", "go"]) == ["go"]
    assert parts_of_words(["turn", "it", "off"])[:5] == ["turn", "turn it", "it off", "off", "it"]
    assert "off it turn" in parts_of_words(["turn", "it", "off"])
    assert len(parts_of_words([str(number) for number in range(40)])) < 130


def test_parts_of_sounds_by_hand():
    assert [text_of(part) for part in parts_of_sounds(HEY_LAMP)] == [
        "h|'eI",
        "m|p",
        "h|'eI l",
        "'a|m|p",
        "h|'eI l|'a",
        "l|'a|m|p",
    ]
    assert parts_of_sounds((("h", "'eI"),)) == []


def test_an_inventory_has_each_sound_once_and_no_stress():
    assert inventory_of([("h", "'eI"), ("t#", ",eI"), ("t", ";", "?")]) == ("eI", "h", "t")


def test_the_common_words_are_different_and_in_order():
    assert list(COMMON_WORDS) == sorted(set(COMMON_WORDS)) and len(COMMON_WORDS) > 800
    assert all(word.isalpha() and word.islower() for word in COMMON_WORDS)
