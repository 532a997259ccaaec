"""What is said against a phrase: every kind, repeatable, and never the phrase itself or another one."""

from __future__ import annotations

import numpy as np
import pytest

from audio_tasks.near_misses import distance, parsed, plain
from audio_tasks.sayings import Sayings
from audio_tasks.speech_synthesis import phonemes

pytest.importorskip("espeakng_loader")


def draws(sayings: Sayings, count: int, phrase: int = 0) -> list:
    return [sayings.draw(phrase, number, np.random.default_rng(number)) for number in range(count)]


def sounds_of(said: list, accent: str) -> list:
    texts = iter(phonemes(accent, [saying.text for saying in said if not saying.phonemes]))
    return [plain(parsed(saying.text if saying.phonemes else next(texts))) for saying in said]


@pytest.mark.parametrize("accent", ["en-us", "en-gb-scotland"])
def test_nothing_that_is_said_sounds_like_a_phrase(accent):
    phrases = ("hey lamp", "lamp", "okay ramp")
    said = [s for number in range(3) for s in draws(Sayings(phrases, accent=accent), 100, number) if s.kind != "noise"]
    known = {plain(parsed(text)) for text in phonemes(accent, phrases)}
    assert known.isdisjoint(sounds_of(said, accent)) and len(said) == 285
    assert "lamp" not in {saying.text for saying in said}  # a part of the first phrase, but a phrase itself


def test_near_misses_are_nearer_than_other_words():
    said = draws(Sayings(("hey lamp",), accent="en-us"), 100)
    phrase = plain(parsed("h|'eI l|'a|m|p"))
    distances = {kind: [] for kind in ("changed", "replaced", "part", "other")}
    spoken = [saying for saying in said if saying.kind != "noise"]
    for saying, sounds in zip(spoken, sounds_of(spoken, "en-us"), strict=True):
        distances[saying.kind].append(distance(phrase, sounds))
    assert {kind: len(each) for kind, each in distances.items()} == {
        "changed": 30,
        "replaced": 25,
        "part": 20,
        "other": 20,
    }
    assert max(distances["changed"]) <= 4 and np.median(distances["changed"]) <= 1.5
    assert max(distances["replaced"]) <= 3 and np.median(distances["replaced"]) < np.median(distances["other"])
    assert {"hey ramp", "hey camp", "way lamp"} & {saying.text for saying in said}


def test_draws_are_repeatable():
    assert draws(Sayings(("computer",), accent="en-us"), 40) == draws(Sayings(("computer",), accent="en-us"), 40)


@pytest.mark.parametrize(
    ("phrase", "accent"),
    [
        ("a", "en-us"),
        ("hal 9000", "en-us"),
        ("ok, lamp!", "en-us"),
        ("turn on the lamp", "roa/fr"),
        ("привет", "zle/ru"),
    ],
)
def test_any_phrase_has_sayings(phrase, accent):
    """Short ones, numbers, punctuation, words of another language, and a script that common words are not in."""
    said = draws(Sayings((phrase,), accent=accent), 40)
    assert all(saying.text or saying.kind == "noise" for saying in said)
    assert len({saying.text for saying in said}) >= 10
