"""Labelled events of recordings: the tsv that says what is spoken where."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bnn_exit import files as own_files
from bnn_exit.errors import DataError, nearest
from bnn_exit.streams import tables
from bnn_exit.text import counted

COLUMNS = ("file", "start_s", "end_s", "label")
MAX_EVENTS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Word:
    """One labelled event of a recording.

    Attributes:
        label: one of the model's.
        start_s, end_s: in seconds from the start of the recording; 0 <= start_s < end_s.
    """

    label: str
    start_s: float
    end_s: float


def read_events(
    path: str | os.PathLike[str],
    *,
    files: Sequence[str | os.PathLike[str]],
    labels: Iterable[str],
    background: Iterable[str] = (),
    what: str = "--stream",
) -> list[tuple[Word, ...]]:
    """The labelled events of each recording, in order of time.

    Args:
        path: a table of tab-separated values, whose first line is `file start_s end_s label`. A file is given by its
            path from the folder of the table, or by its name alone.
        files: the recordings. One that the table does not mention has no events.
        labels: of the model.
        background: of these, labels that never make an event.
        what: where the recordings were given, for messages.

    Raises:
        DataError: naming the line: no table; a file that is not among `files`, or two of that name; a label that the
            model lacks, with the nearest, or that is background; a time that is no number, or negative; an end that is
            not after its start; events that overlap.
    """
    known, silent, names = list(labels), set(background), Names(files, what=what)
    found: list[list[tuple[Word, str]]] = [[] for _ in files]
    folder = Path(path).parent
    for count, (place, (file, start, end, label)) in enumerate(tables.rows(path, COLUMNS)):
        if count >= MAX_EVENTS:
            raise DataError(f"{place}: more than {MAX_EVENTS} events: split the table")
        begin, stop = span(place, start, end)
        if label not in known:
            raise DataError(f"{place}: the model has no label {label!r}{nearest(label, known)}")
        if label in silent:
            raise DataError(f"{place}: {label!r} is background, of which no event can be found: leave the line out")
        found[names.find(place, file, folder=folder)].append((Word(label, begin, stop), place))
    return [_in_order(events) for events in found]


def span(place: str, start: str, end: str) -> tuple[float, float]:
    """Start and end of an event, in seconds; DataError unless 0 <= start < end."""
    begin = tables.number(place, "start_s", start, rule="a time in seconds")
    stop = tables.number(place, "end_s", end, rule="a time in seconds")
    if begin < 0:
        raise DataError(f"{place}: start_s is {begin:g}, but a time must be at least 0")
    if stop <= begin:
        raise DataError(f"{place}: end_s is {stop:g}, but must be after start_s, {begin:g}")
    return begin, stop


class Names:
    """Finds recordings by what a table calls them: a path from the folder of the table, or a name alone.

    Args:
        files: the recordings.
        what: where they were given, for messages.
    """

    def __init__(self, files: Sequence[str | os.PathLike[str]], *, what: str) -> None:
        self._what = what
        self._paths: dict[str, int] = {}
        self._names: dict[str, list[int]] = {}
        for index, file in enumerate(files):
            whole = own_files.expanded(file)
            self._paths.setdefault(os.path.realpath(whole), index)
            self._names.setdefault(whole.name, []).append(index)

    def find(self, place: str, file: str, *, folder: Path) -> int:
        """The number of a recording; DataError if there is none of that name, or more than one."""
        index = self.get(file, folder=folder)
        if index is not None:
            return index
        same = self._names.get(Path(file).name, [])
        if len(same) > 1:
            raise DataError(
                f"{place}: {counted(len(same), 'recording')} of {self._what} are called {Path(file).name!r}: give "
                "the path from the folder of the table"
            )
        raise DataError(f"{place}: {file!r} is none of the recordings of {self._what}{nearest(file, self._names)}")

    def get(self, file: str, *, folder: Path) -> int | None:
        """The number of a recording, or None."""
        if "\0" in file:
            return None
        path = self._paths.get(os.path.realpath(own_files.expanded(folder) / file))
        if path is not None:
            return path
        same = self._names.get(Path(file).name, [])
        return same[0] if len(same) == 1 and file == Path(file).name else None


def _in_order(events: list[tuple[Word, str]]) -> tuple[Word, ...]:
    events.sort(key=lambda event: (event[0].start_s, event[0].end_s))
    for (word, place), (after, other) in zip(events, events[1:]):
        if after.start_s < word.end_s:
            line = place.rpartition(" ")[2]
            raise DataError(
                f"{other}: the event {after.label!r} from {after.start_s:g} s overlaps {word.label!r} of "
                f"line {line}, which ends at {word.end_s:g} s: events of one recording must follow one another"
            )
    return tuple(word for word, _ in events)
