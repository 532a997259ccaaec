"""Which detected events are hits, which are false accepts, and which words were missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from bnn_exit.errors import ArgumentError
from bnn_exit.streams.labelled import Word

TOLERANCE_S = 1.0
"""How long after the end of a word its event may come. A window of a second that ends after the word still holds it."""


MAX_TOLERANCE_S = 60.0


def check_tolerance(tolerance_s: float) -> float:
    """The tolerance; ArgumentError unless it is from 0 to MAX_TOLERANCE_S."""
    if not 0 <= tolerance_s <= MAX_TOLERANCE_S:
        rule = f"a number of seconds from 0 to {MAX_TOLERANCE_S:g}"
        raise ArgumentError(f"tolerance_s is {tolerance_s!r}, but must be {rule}")
    return tolerance_s


class Detected(Protocol):
    """What is matched of an event; `bnn_exit.Event` has more."""

    @property
    def label(self) -> str:
        """Of the event."""

    @property
    def time_s(self) -> float:
        """When it was made, in seconds from the start of the recording."""


@dataclasses.dataclass(frozen=True)
class Match:
    """What became of the events and words of one recording.

    Attributes:
        hits: (number of the event, number of the word) of each word that was found, in order of time.
        false_accepts: numbers of the events that found no word.
        missed: numbers of the words that no event found.
    """

    hits: tuple[tuple[int, int], ...]
    false_accepts: tuple[int, ...]
    missed: tuple[int, ...]


def match(events: Sequence[Detected], words: Sequence[Word], *, tolerance_s: float = TOLERANCE_S) -> Match:
    """Match detected events with labelled ones.

    An event may be a hit of a word of its own label if its `time_s` lies between the word's start and its end +
    tolerance, both included. A word is found by one event, and an event finds one word: events are taken in order of
    time, and each finds, of the words that it may and that are not found yet, the one that ends first. No other
    matching has more hits, since every word's time is an interval. Every other event is a false accept: one of another
    label, one beside a word, and a further one of a word that is found already.

    Args:
        events: of one recording, in order of time.
        words: of the same recording.
        tolerance_s: seconds, from 0 to 60.

    Raises:
        ArgumentError: as of `check_tolerance`.
    """
    check_tolerance(tolerance_s)
    open_words = sorted(range(len(words)), key=lambda number: (words[number].end_s, words[number].start_s))
    hits, false_accepts = [], []
    for number, event in enumerate(events):
        # Words that ended before stay in nobody's reach: events come in order of time.
        open_words = [place for place in open_words if event.time_s <= words[place].end_s + tolerance_s]
        found = next(
            (
                place
                for place in open_words
                if words[place].label == event.label and words[place].start_s <= event.time_s
            ),
            None,
        )
        if found is None:
            false_accepts.append(number)
        else:
            open_words.remove(found)
            hits.append((number, found))
    matched = {word for _, word in hits}
    missed = tuple(number for number in range(len(words)) if number not in matched)
    return Match(tuple(hits), tuple(false_accepts), missed)
