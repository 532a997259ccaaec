"""The phrases that a device is to listen for: checked before anything is made of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from audio_tasks.near_misses import parsed, plain
from audio_tasks.speech_synthesis import Utterance, phonemes, speak
from audio_tasks.spoken import audible_part
from audio_tasks.voices import ENGLISH
from bnn_exit.errors import ArgumentError
from bnn_exit.pairs import zip_strict
from bnn_exit.task import BACKGROUND_LABELS
from bnn_exit.text import counted, text_fault

LONGEST_S = 3.0
"""Of a phrase at the usual speed. A longer one makes the window, and with it every inference, longer."""
FEW_PHONEMES = 5
"""A phrase with fewer is part of many words, so a note warns of it."""
UNSPEAKABLE = "phrase is {!r}, which espeak-ng cannot speak: take other words"
_LONGEST_TEXT = 80
_MOST_PHRASES = 20
_USUAL_SPEED = 160


def checked_phrases(given: Any, *, language: str) -> tuple[str, ...]:
    """The phrases as labels: one text or several, different ones, with letters, none called as background is.

    White space is made single spaces. Nothing is spoken yet.

    Raises:
        ArgumentError: a phrase breaks a rule.
    """
    texts = [given] if isinstance(given, str) else given
    are_texts = isinstance(texts, Sequence) and all(isinstance(text, str) for text in texts)
    if not are_texts or not any(text.strip() for text in texts):
        raise ArgumentError(f"phrase is {given!r}, but must be what the device listens for: --phrase 'hey lamp'")
    if len(texts) > _MOST_PHRASES:
        raise ArgumentError(f"phrase is given {len(texts)} times, but at most {_MOST_PHRASES} are learned at once")
    phrases = tuple(" ".join(text.split()) for text in texts)
    for phrase in phrases:
        fault = _fault_of(phrase, language)
        if fault:
            raise ArgumentError(f"phrase is {phrase[: _LONGEST_TEXT + 20]!r}, {fault}")
    folded = [phrase.casefold() for phrase in phrases]
    twice = next((phrase for phrase in folded if folded.count(phrase) > 1), None)
    if twice is not None:
        raise ArgumentError(f"phrase {twice!r} is given twice: leave one out")
    return phrases


def _fault_of(phrase: str, language: str) -> str | None:
    fault = text_fault(phrase)
    if fault:
        return f"which {fault}: use characters that can be seen"
    if not any(character.isalnum() for character in phrase):
        return "which has no letters, so it cannot be spoken: give words, such as 'hey lamp'"
    if len(phrase) > _LONGEST_TEXT:
        return f"which has {len(phrase)} characters, but may have {_LONGEST_TEXT}: take a shorter phrase"
    if phrase.casefold() in BACKGROUND_LABELS:
        return "but this is a label of sound that makes no event: take another phrase"
    if language == ENGLISH:
        # espeak-ng would spell them: "Cyrillic letter ...".
        foreign = next((c for c in phrase if c.isalpha() and "LATIN" not in unicodedata.name(c, "")), None)
        if foreign:
            return f"but {foreign!r} is no letter of English: give its language, such as --option language=ru"
    return None


def check_spoken(phrases: Sequence[str], *, accent: str) -> list[str]:
    """Notes on phrases that a voice can speak, a sentence each.

    Raises:
        ArgumentError: a phrase is silent or takes longer than LONGEST_S, or two sound the same.
    """
    spoken, rate = speak(accent, [Utterance(phrase, _USUAL_SPEED, 50, 50) for phrase in phrases])
    notes: list[str] = []
    known: dict[tuple[str, ...], str] = {}
    for phrase, samples, text in zip_strict(phrases, spoken, phonemes(accent, phrases)):
        seconds = len(audible_part(samples, sample_rate_hz=rate)) / rate
        sounds = plain(parsed(text) or ())
        if not seconds or not text:
            raise ArgumentError(UNSPEAKABLE.format(phrase))
        if seconds > LONGEST_S:
            raise ArgumentError(
                f"phrase is {phrase!r}, which takes {seconds:.1f} s to speak, but may take {LONGEST_S:g} s: "
                "take a shorter phrase"
            )
        if sounds and sounds in known:
            raise ArgumentError(f"phrase {phrase!r} sounds like {known[sounds]!r}: leave one out")
        known[sounds] = phrase
        if 0 < len(sounds) < FEW_PHONEMES:
            notes.append(
                f"phrase {phrase!r} has only {counted(len(sounds), 'phoneme')}, so much of what people say sounds like "
                "it: one of two words, such as 'hey lamp', gives fewer false accepts"
            )
    return notes
