"""What sounds nearly like a phrase: one phoneme changed, a word replaced by one that is close, or a part of it.

Phonemes are espeak-ng's names, as `speech_synthesis.phonemes` gives them: "'" and "," before a name are stress, and
digits, ":" and "#" behind it distinguish lengths and allophones, which hearers do not tell apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

Word = tuple[str, ...]
"""The phonemes of one word."""
Sounds = tuple[Word, ...]
"""The phonemes of a phrase, word by word."""

_STRESS = "',=%"
_VOWELS = set("aeiouyAEIOUVYWQ@&")
# Consonants that differ in voice or place alone.
_ALIKE = [set(pair) for pair in ("pb", "td", "kg", "fv", "sz", "TD", "SZ", "mn", "nN", "lr", "vw", "fT", "vD", "bv")]
_SUBSTITUTIONS, _DELETIONS = 0.6, 0.8  # of changes: these, then deletions up to this share, then swaps


def parsed(phonemes: str) -> Sounds | None:
    """The words of a text of phonemes; None if it changes the language within, which no list of phonemes can say.

    Example:
        >>> parsed("h|'eI l|'a|m|p")
        (('h', "'eI"), ('l', "'a", 'm', 'p'))
    """
    if "(" in phonemes:
        return None
    # "_" with what follows is a pause or a glottal stop between words.
    words = (re.sub(r"_[|:!]*", "", word).split("|") for word in phonemes.split())
    return tuple(tuple(filter(None, word)) for word in words if any(word))


def text_of(sounds: Sounds) -> str:
    """The text that an Utterance with `phonemes` speaks: the reverse of `parsed`."""
    return " ".join("|".join(word) for word in sounds)


def plain(sounds: Iterable[Word]) -> Word:
    """Phonemes without the borders of words, stress, length and allophones: equal for phrases that sound the same."""
    return tuple(_plain(phoneme) for word in sounds for phoneme in word)


def distance(first: Word, second: Word) -> float:
    """Levenshtein distance of `plain` phonemes: 1 for one more or one fewer, less for one that is alike."""
    row = [float(column) for column in range(len(second) + 1)]
    for number, phoneme in enumerate(first, start=1):
        diagonal, row[0] = row[0], float(number)
        for column, other in enumerate(second, start=1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + _replacement_cost(phoneme, other))
            diagonal, row[column] = row[column], best
    return row[-1]


def nearest_words(word: Word, others: Mapping[str, Word], *, count: int) -> list[str]:
    """The `count` words among `others` (word -> its phonemes) that sound most like `word`, the nearest first.

    Words that sound the same are left out.
    """
    wanted = plain([word])
    ranked = sorted((distance(wanted, plain([sounds])), other) for other, sounds in others.items())
    return [other for cost, other in ranked if cost > 0][:count]


def inventory_of(words: Iterable[Word]) -> tuple[str, ...]:
    """Every phoneme of `words` without stress, one for all that sound alike, in a fixed order."""
    found: dict[str, str] = {}
    for phoneme in sorted({phoneme.lstrip(_STRESS) for word in words for phoneme in word}):
        found.setdefault(_plain(phoneme), phoneme)
    return tuple(phoneme for key, phoneme in found.items() if re.search(r"[A-Za-z@]", key))


def changed(sounds: Sounds, inventory: Sequence[str], generator: np.random.Generator) -> Sounds:
    """A phrase with one phoneme replaced by another of its class, left out, or swapped with the next.

    What no hearer would notice, least of all in noise, is left alone: vowels without stress (unless there are no
    others), the voice of a consonant (b for p), and the consonant at the end of a word, which many voices drop.

    Args:
        sounds: of the phrase, one phoneme or more.
        inventory: phonemes of the voice, of `inventory_of`.
        generator: chooses.
    """
    places = [(w, p) for w, word in enumerate(sounds) for p, phoneme in enumerate(word) if _is_heard(phoneme)]
    places = places or [(w, p) for w, word in enumerate(sounds) for p in range(len(word))]
    kind = generator.random()
    if kind >= _DELETIONS:
        swaps = [
            (w, p) for w, p in places if p + 1 < len(sounds[w]) and _plain(sounds[w][p]) != _plain(sounds[w][p + 1])
        ]
        if swaps:
            w, p = swaps[generator.integers(len(swaps))]
            word = sounds[w]
            return _with_word(sounds, w, (*word[:p], word[p + 1], word[p], *word[p + 2 :]))
    elif kind >= _SUBSTITUTIONS:
        consonants = [(w, p) for w, p in places if not _is_vowel(sounds[w][p]) and p + 1 < len(sounds[w])]
        if consonants:
            w, p = consonants[generator.integers(len(consonants))]
            return _with_word(sounds, w, sounds[w][:p] + sounds[w][p + 1 :])
    w, p = places[generator.integers(len(places))]
    phoneme = sounds[w][p]
    choices = [other for other in inventory if _is_other(other, phoneme)]
    stress = phoneme[: len(phoneme) - len(phoneme.lstrip(_STRESS))]
    other = choices[generator.integers(len(choices))] if choices else phoneme
    return _with_word(sounds, w, (*sounds[w][:p], stress + other, *sounds[w][p + 1 :]))


def parts_of_words(words: Sequence[str]) -> list[str]:
    """Beginnings and ends of a phrase, each word alone, and its words in other orders; nothing for a single word.

    Example:
        >>> parts_of_words(["turn", "it", "off"])[:5]
        ['turn', 'turn it', 'it off', 'off', 'it']
    """
    if len(words) < 2:
        return []
    found = [" ".join(words[:count]) for count in range(1, len(words))]
    found += [" ".join(words[start:]) for start in range(1, len(words))]
    found += words[1:-1]
    orders = itertools.islice(itertools.permutations(words), 1, 7)
    found += (" ".join(order) for order in (*orders, tuple(reversed(words))))
    whole = " ".join(words)
    return [text for text in dict.fromkeys(found) if text != whole]


def parts_of_sounds(sounds: Sounds) -> list[Sounds]:
    """The beginnings and ends of a phrase that hold a third to two thirds of its phonemes, at least two."""
    flat = [(number, phoneme) for number, word in enumerate(sounds) for phoneme in word]
    size = len(flat)
    sizes = range(max(2, -(-size // 3)), size * 2 // 3 + 1)
    return list(dict.fromkeys(_grouped(part) for count in sizes for part in (flat[:count], flat[size - count :])))


def _grouped(flat: Sequence[tuple[int, str]]) -> Sounds:
    return tuple(tuple(phoneme for _, phoneme in word) for _, word in itertools.groupby(flat, key=lambda item: item[0]))


def _with_word(sounds: Sounds, number: int, word: Word) -> Sounds:
    return (*sounds[:number], word, *sounds[number + 1 :])


def _plain(phoneme: str) -> str:
    bare = phoneme.lstrip(_STRESS)
    # Two names that are digits: 0 is the vowel of "lot", 3 that of "nurse".
    first = {"0": "o", "3": "@"}.get(bare[:1], bare[:1])
    rest = re.sub(r"[^A-Za-z@~]", "", bare[1:])
    return first + ("" if rest == first else rest)


def _is_vowel(phoneme: str) -> bool:
    return _plain(phoneme)[:1] in _VOWELS


def _is_other(other: str, phoneme: str) -> bool:
    """Whether both are vowels or both consonants, and hearers tell them apart."""
    first, second = _plain(other), _plain(phoneme)
    return _is_vowel(other) == _is_vowel(phoneme) and first != second and not _are_alike(first, second)


def _are_alike(first: str, second: str) -> bool:
    return {first[:1], second[:1]} in _ALIKE


def _is_heard(phoneme: str) -> bool:
    return not _is_vowel(phoneme) or phoneme[0] == "'"


def _replacement_cost(first: str, second: str) -> float:
    if first == second:
        return 0.0
    vowels = _is_vowel(first) + _is_vowel(second)
    if vowels == 1:
        return 1.2
    return 0.4 if _are_alike(first, second) else 0.7
