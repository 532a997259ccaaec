"""Words, hits and false accepts of several recordings, by label."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.detector import Event
from bnn_exit.streams.labelled import Word
from bnn_exit.streams.matching import TOLERANCE_S, match
from bnn_exit.streams.transcripts import Utterance, spoken_hits, spoken_words, transcribed_s


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is known of a recording.

    Attributes:
        seconds: its length.
        words: its labelled events, in order of time.
        utterances: who speaks when, and what; empty if that is not known.
    """

    seconds: float
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()


@dataclasses.dataclass
class Counts:
    """Events that were counted, each in one of hits, spoken hits and false accepts.

    Attributes:
        words: label -> labelled events.
        hits: label -> of these, found.
        spoken: label -> how often it is spoken in transcripts.
        spoken_hits: label -> events of it while an utterance with it in its transcript is spoken.
        false_accepts: label -> all other events.
        false_accepts_transcribed: of all false accepts, those while an utterance with a transcript is spoken.
        delays_s: of the hits, from the end of the word to the event, in seconds; below 0 if the event came before.
        false_times: (number of the recording, middle of the event in seconds) of each false accept.
    """

    words: Counter[str] = dataclasses.field(default_factory=Counter)
    hits: Counter[str] = dataclasses.field(default_factory=Counter)
    spoken: Counter[str] = dataclasses.field(default_factory=Counter)
    spoken_hits: Counter[str] = dataclasses.field(default_factory=Counter)
    false_accepts: Counter[str] = dataclasses.field(default_factory=Counter)
    false_accepts_transcribed: int = 0
    delays_s: list[float] = dataclasses.field(default_factory=list)
    false_times: list[tuple[int, float]] = dataclasses.field(default_factory=list)

    @property
    def recall(self) -> float | None:
        """Share of the labelled events that were found; None without any."""
        words = sum(self.words.values())
        return sum(self.hits.values()) / words if words else None

    @property
    def false(self) -> int:
        """False accepts of all labels."""
        return sum(self.false_accepts.values())


def count(
    events: Sequence[Sequence[Event]],
    truths: Sequence[Truth],
    *,
    labels: Sequence[str],
    tolerance_s: float = TOLERANCE_S,
) -> Counts:
    """Count the events of recordings.

    First events find labelled words (`matching.match`); of the others, those whose label is spoken in a transcript
    (`transcripts.spoken_hits`) are spoken hits; all the rest are false accepts.

    Args:
        events: of each recording, in order of time.
        truths: of each recording.
        labels: that can make an event.
        tolerance_s: how long after a word, or an utterance, its event may come.
    """
    counts = Counts()
    for number, (found, truth) in enumerate(zip_strict(events, truths)):
        matched = match(found, truth.words, tolerance_s=tolerance_s)
        counts.words.update(word.label for word in truth.words)
        for event, word in matched.hits:
            counts.hits[found[event].label] += 1
            counts.delays_s.append(found[event].time_s - truth.words[word].end_s)
        left = [found[event] for event in matched.false_accepts]
        spoken = set(spoken_hits(left, truth.utterances, tolerance_s=tolerance_s))
        counts.spoken.update(spoken_words(truth.utterances, labels))
        for place, event in enumerate(left):
            if place in spoken:
                counts.spoken_hits[event.label] += 1
                continue
            counts.false_accepts[event.label] += 1
            counts.false_accepts_transcribed += _is_transcribed(event, truth.utterances)
            counts.false_times.append((number, (event.start_s + event.end_s) / 2))
    return counts


def hours(truths: Sequence[Truth]) -> tuple[float, float]:
    """Hours of all recordings, and of these, hours with a transcript."""
    whole = sum(truth.seconds for truth in truths)
    known = sum(transcribed_s(truth.utterances, seconds=truth.seconds) for truth in truths)
    return whole / 3600, known / 3600


def _is_transcribed(event: Event, utterances: Sequence[Utterance]) -> bool:
    middle = (event.start_s + event.end_s) / 2
    return any(each.words is not None and each.start_s <= middle <= each.end_s for each in utterances)
