"""What voices say that is not the phrase: near misses, parts of it, and other words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from audio_tasks.common_words import COMMON_WORDS
from audio_tasks.near_misses import (
    Sounds,
    Word,
    changed,
    inventory_of,
    nearest_words,
    parsed,
    parts_of_sounds,
    parts_of_words,
    plain,
    text_of,
)
from audio_tasks.speech_synthesis import phonemes
from bnn_exit.pairs import zip_strict

NOISE = "noise"
"""The kind of a saying without a text: nothing is said."""
# Of twenty sayings so many are of each kind.
_KINDS = ("changed",) * 6 + ("replaced",) * 5 + ("part",) * 4 + ("other",) * 4 + (NOISE,)
_STRIDE = 7  # coprime to twenty, so that the first few sayings are of different kinds already
_NEAR_WORDS = 12
_TRIES = 8


class Saying(NamedTuple):
    """What is said: its kind, and its text, which is phonemes or words."""

    kind: str
    text: str
    phonemes: bool = False


class Sayings:
    """Draws sayings that sound like no phrase, for the voices of one accent.

    Args:
        phrases: to be told from what is drawn.
        accent: a voice of espeak-ng.

    Example:
        >>> Sayings(("hey lamp",), accent="en-us").draw(0, 1, np.random.default_rng(0))
        Saying(kind='replaced', text='hey ramp', phonemes=False)
    """

    def __init__(self, phrases: Sequence[str], *, accent: str) -> None:
        self._words = [phrase.split() for phrase in phrases]
        own = sorted({word for words in self._words for word in words} - set(COMMON_WORDS))
        texts = (*phrases, *COMMON_WORDS, *own)
        sounds = [parsed(text) for text in phonemes(accent, texts)]
        self._phrases = sounds[: len(phrases)]
        spoken = zip_strict(texts[len(phrases) :], sounds[len(phrases) :])
        # As one word each: "okay" may be two to espeak-ng, and a number several.
        self._vocabulary: dict[str, Word] = {
            word: tuple(phoneme for part in found for phoneme in part) for word, found in spoken if found
        }
        known = [word for word in COMMON_WORDS if word in self._vocabulary]
        inventory_words = [self._vocabulary[word] for word in known]
        # A language of another script reads them all as English, of which it has no phonemes.
        self._common = known or list(COMMON_WORDS)
        self._inventory = inventory_of([*inventory_words, *(word for found in self._phrases for word in found or ())])
        self._near: dict[str, list[str]] = {}
        self._refused = {plain(found) for found in self._phrases if found}
        # In whatever spelling: espeak-ng reads some phrases otherwise than their words.
        self._refused |= {self._plain_of(words) for words in self._words}

    def draw(self, phrase: int, number: int, generator: np.random.Generator) -> Saying:
        """Saying `number` against the phrase of this index; the kinds take turns."""
        kind = _KINDS[number * _STRIDE % len(_KINDS)]
        if kind == NOISE:
            return Saying(NOISE, "")
        for _ in range(_TRIES):
            saying = getattr(self, f"_{kind}")(phrase, generator)
            if saying is not None:
                return saying
        return self._other(phrase, generator)

    def _changed(self, phrase: int, generator: np.random.Generator) -> Saying | None:
        sounds = self._phrases[phrase]
        if not sounds:
            return None
        found = changed(sounds, self._inventory, generator)
        if sum(map(len, sounds)) > 4 and generator.random() < 0.5:
            found = changed(found, self._inventory, generator)
        return self._of_sounds("changed", found)

    def _replaced(self, phrase: int, generator: np.random.Generator) -> Saying | None:
        words = list(self._words[phrase])
        place = int(generator.integers(len(words)))
        near = self._nearest(words[place])
        if not near:
            return None
        # The nearest ones most often.
        words[place] = near[int(len(near) * generator.random() ** 2)]
        return self._of_words("replaced", words)

    def _part(self, phrase: int, generator: np.random.Generator) -> Saying | None:
        texts = parts_of_words(self._words[phrase])
        pieces = parts_of_sounds(self._phrases[phrase] or ())
        if texts and (not pieces or generator.random() < 0.6):
            return self._of_words("part", texts[int(generator.integers(len(texts)))].split())
        return self._of_sounds("part", pieces[int(generator.integers(len(pieces)))]) if pieces else None

    def _other(self, phrase: int, generator: np.random.Generator) -> Saying:
        count = len(self._words[phrase]) + int(generator.integers(2))
        words: list[str] = []
        for _ in range(_TRIES):
            words = [self._common[index] for index in generator.integers(len(self._common), size=count)]
            if self._plain_of(words) not in self._refused:
                break
        return Saying("other", " ".join(words))

    def _nearest(self, word: str) -> list[str]:
        if word not in self._near:
            sounds = self._vocabulary.get(word)
            others = {other: self._vocabulary[other] for other in self._common if other in self._vocabulary}
            self._near[word] = nearest_words(sounds, others, count=_NEAR_WORDS) if sounds else []
        return self._near[word]

    def _plain_of(self, words: Sequence[str]) -> Word:
        return plain(self._vocabulary.get(word, (word,)) for word in words)

    def _of_words(self, kind: str, words: Sequence[str]) -> Saying | None:
        return None if self._plain_of(words) in self._refused else Saying(kind, " ".join(words))

    def _of_sounds(self, kind: str, sounds: Sounds) -> Saying | None:
        found = plain(sounds)
        return Saying(kind, text_of(sounds), phonemes=True) if found and found not in self._refused else None
