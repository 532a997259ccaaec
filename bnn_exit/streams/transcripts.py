"""Utterances of long recordings: who speaks when, and which words, if that is known."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bnn_exit.errors import DataError
from bnn_exit.streams import tables
from bnn_exit.streams.labelled import Names
from bnn_exit.streams.matching import TOLERANCE_S, Detected

COLUMNS = ("stream", "start", "samples")
OPTIONAL = ("speaker", "transcript")
MAX_UTTERANCES = 1_000_000
_LETTERS = re.compile(r"[^\W_]+", re.UNICODE)


@dataclasses.dataclass(frozen=True)
class Utterance:
    """Who speaks from when to when in a recording.

    Attributes:
        start_s, end_s: in seconds from the start of the recording.
        speaker: a name; "" if it is not known.
        words: of the transcript, in lower case; None if there is no transcript.
    """

    start_s: float
    end_s: float
    speaker: str = ""
    words: tuple[str, ...] | None = None

    def count(self, label: str) -> int:
        """How often a label is spoken: its words one after another, whatever their case; 0 without a transcript."""
        wanted, said = spelled(label), self.words or ()
        if not wanted:
            return 0
        return sum(said[place : place + len(wanted)] == wanted for place in range(len(said) - len(wanted) + 1))


def spelled(text: str) -> tuple[str, ...]:
    """The words of a label or a transcript: letters and digits, in lower case, an apostrophe within a word left out."""
    return tuple(_LETTERS.findall(re.sub(r"(?<=\w)['\u2019](?=\w)", "", text.casefold())))


def read_utterances(
    path: str | os.PathLike[str],
    *,
    files: Sequence[str | os.PathLike[str]],
    rates_hz: Sequence[int],
    needs: str | None = None,
) -> list[tuple[Utterance, ...]]:
    """The utterances of each recording, in order of time.

    Args:
        path: a table of tab-separated values with the columns `stream` (a path from the folder of the table, or a name
            alone), `start` and `samples` (in samples of that file), and, if known, `speaker` and `transcript`. Rows of
            other streams are left out.
        files: the recordings.
        rates_hz: sample rate of each file.
        needs: "speaker" or "transcript", which the table is read for: a column that must be there.

    Raises:
        DataError: naming the line: no table, a start or a length that is no whole number, no row of these recordings,
            or none with what is needed.
    """
    names, folder, count = Names(files, what="--stream"), Path(path).parent, 0
    found: list[list[Utterance]] = [[] for _ in files]
    for place, (stream, start, samples, speaker, transcript) in tables.rows(path, COLUMNS, optional=OPTIONAL):
        first, length = _whole(place, "start", start, at_least=0), _whole(place, "samples", samples, at_least=1)
        count += 1
        if count > MAX_UTTERANCES:
            raise DataError(f"{place}: more than {MAX_UTTERANCES} utterances: split the table")
        index = names.get(stream, folder=folder)
        if index is None:
            continue
        rate = rates_hz[index]
        words = spelled(transcript) or None
        found[index].append(Utterance(first / rate, (first + length) / rate, speaker, words))
    if not any(found):
        raise DataError(f"{os.fspath(path)} has no row of these recordings: its column stream must hold their names")
    said = [each for every in found for each in every]
    if needs is not None and not any(each.speaker if needs == "speaker" else each.words for each in said):
        raise DataError(f"{os.fspath(path)} has no {needs} of these recordings: it needs a column {needs}")
    return [tuple(sorted(each, key=lambda utterance: utterance.start_s)) for each in found]


def spoken_hits(
    events: Sequence[Detected], utterances: Sequence[Utterance], *, tolerance_s: float = TOLERANCE_S
) -> list[int]:
    """Numbers of the events whose label is spoken in an utterance while, or at most the tolerance after, it lasts.

    The transcript does not say when a word is spoken in its utterance. A word is found by one event: if a label is
    there once, one event of it is a hit, and further ones are not.

    Args:
        events: of one recording, in order of time, that found no labelled word.
        utterances: of the same recording.
        tolerance_s: seconds, at least 0.
    """
    left: dict[tuple[int, str], int] = {}
    hits = []
    for number, event in enumerate(events):
        for place, utterance in enumerate(utterances):
            if utterance.start_s > event.time_s or event.time_s > utterance.end_s + tolerance_s:
                continue
            key = place, event.label
            if left.setdefault(key, utterance.count(event.label)):
                left[key] -= 1
                hits.append(number)
                break
    return hits


def spoken_words(utterances: Iterable[Utterance], labels: Iterable[str]) -> dict[str, int]:
    """How often each label is spoken in transcripts; labels that are not are left out."""
    listed = list(utterances)
    counts = {label: sum(utterance.count(label) for utterance in listed) for label in labels}
    return {label: count for label, count in counts.items() if count}


def spans(utterances: Iterable[Utterance], *, seconds: float) -> list[tuple[float, float, Utterance]]:
    """Start and end of each utterance, without what lies in one before it or beyond the recording: no second is in two.

    People talk at once, and tables have rows twice. An utterance of which nothing is left is left out.

    Args:
        utterances: of a recording, in order of time.
        seconds: its length.
    """
    found, covered = [], 0.0
    for utterance in utterances:
        start, end = max(utterance.start_s, covered), min(utterance.end_s, seconds)
        if start < end:
            found.append((start, end, utterance))
            covered = end
    return found


def transcribed_s(utterances: Iterable[Utterance], *, seconds: float) -> float:
    """Seconds of a recording in which an utterance with a transcript is spoken."""
    known = (utterance for utterance in utterances if utterance.words is not None)
    return sum(end - start for start, end, _ in spans(known, seconds=seconds))


def _whole(place: str, column: str, text: str, *, at_least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not at_least <= value < 1 << 62:
        raise DataError(f"{place}: {column} is {text!r}, but must be a whole number of samples of at least {at_least}")
    return value
