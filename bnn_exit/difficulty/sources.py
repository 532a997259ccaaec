"""From what a command is given (files, folders, lists, standard input) to paths of clips, and to their labels."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bnn_exit.audio import file_names as suffixes
from bnn_exit.difficulty.table import UNKNOWN
from bnn_exit.display import from_cell
from bnn_exit.errors import DataError, describe_os_error, nearest

AUDIO_SUFFIXES = suffixes.READ
_PASSED_OVER = (suffixes.NOISE_FOLDER, *suffixes.OF_SYSTEM)
LIST_SUFFIX = ".txt"
STDIN = "-"


def clips(sources: Iterable[str]) -> Iterator[str | DataError]:
    """The path of each clip, and in place of a source without clips what is wrong with it.

    Args:
        sources: each a folder (its audio files and those of folders in it, by name; `_background_noise_` and names
            that start with a dot are passed over), a .txt file with one path a line, "-" for such lines on standard
            input, or an audio file. Lists are read line by line, folders one at a time.
    """
    for source in sources:
        if source == STDIN:
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")
            yield from _lines(sys.stdin, "standard input")
        elif os.path.isdir(source):
            yield from _in_folder(source)
        elif source.lower().endswith(LIST_SUFFIX):
            try:
                # Paths on Unix are bytes: one that is no UTF-8 must come out as it went in.
                with open(source, encoding="utf-8-sig", errors="surrogateescape") as file:
                    yield from _lines(file, source)
            except OSError as error:
                yield DataError(f"list of clips: {describe_os_error(error)}")
        else:
            yield source


def count(sources: Sequence[str]) -> int | None:
    """How many clips there are, for a progress bar; None if that cannot be known before they are read."""
    if any(source == STDIN or (os.path.exists(source) and not _lasts(source)) for source in sources):
        return None
    return sum(1 for _ in clips(sources))


def _lasts(source: str) -> bool:
    """Whether it can be read twice: a pipe cannot."""
    return os.path.isfile(source) or os.path.isdir(source)


def _lines(lines: Iterable[str], name: str) -> Iterator[str | DataError]:
    empty = True
    for line in lines:
        path = line.rstrip("\r\n")
        if path.strip():
            empty = False
            yield path
    if empty:
        yield DataError(f"{name}: no path of a clip in it; give one path a line")


def _in_folder(folder: str) -> Iterator[str | DataError]:
    empty = True
    problems: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in (suffixes.NOISE_FOLDER, *suffixes.OF_SYSTEM)
        )
        for name in sorted(names):
            path = os.path.join(place, name)
            if name.startswith("."):
                continue
            if name.lower().endswith(AUDIO_SUFFIXES):
                empty = False
                yield path
            elif name.lower().endswith(suffixes.OTHER):
                empty = False
                yield DataError(f"{path}: not a {', '.join(AUDIO_SUFFIXES)} file; convert it to 16-bit PCM wav")
    yield from (DataError(describe_os_error(problem)) for problem in problems)
    if empty and not problems:
        yield DataError(f"{folder}: no {', '.join(AUDIO_SUFFIXES)} file in this folder or those in it")


FOLDERS = "folders"
"""Of `--labels`: a clip's label is the name of the folder that it lies in."""


class Labels:
    """The class of each clip, by its name.

    Args:
        source: FOLDERS, or a CSV file with the columns path and label (others are passed over), whose paths are kept
            in memory. An empty label is none.
        class_names: of the network.
        log: gets one line for each label that is none of them.

    Attributes:
        without: clips asked for that have no label, or none that the network knows.
        strange: labels that the network does not know -> how many clips had them.

    Raises:
        DataError: the CSV file is missing, lacks a column or holds a path twice with two labels.
    """

    def __init__(self, source: str, *, class_names: Sequence[str], log: Callable[[str], None]) -> None:
        self._index = {name: index for index, name in enumerate(class_names)}
        self._log = log
        self._by_path = None if source == FOLDERS else _read_csv(source)
        self.without = 0
        self.strange: dict[str, int] = {}

    def __call__(self, name: str) -> int:
        """The class, or -1."""
        path = os.path.abspath(name)
        label = os.path.basename(os.path.dirname(path)) if self._by_path is None else self._by_path.get(path, "")
        found = self._index.get(label, UNKNOWN)
        if found == UNKNOWN:
            self.without += 1
            if label:
                if label not in self.strange:
                    known = list(self._index)
                    self._log(
                        f"error: {name}: its label {label!r} is none of the model's {len(known)}"
                        f"{nearest(label, known)}; such clips are scored without one"
                    )
                self.strange[label] = self.strange.get(label, 0) + 1
        return found


def _read_csv(path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            for wanted in ("path", "label"):
                if wanted not in columns:
                    raise DataError(
                        f"{path}: no column {wanted!r} in its first line ({', '.join(columns) or 'empty'}): "
                        f"--labels takes a CSV file with the columns path and label{nearest(wanted, columns)}"
                    )
            for row in reader:
                clip, label = from_cell(row["path"] or ""), from_cell(row["label"] or "")
                if not clip:
                    continue
                place = os.path.abspath(clip)
                if found.setdefault(place, names.setdefault(label, label)) != label:
                    raise DataError(
                        f"{path}, line {reader.line_num}: {clip} has the label {label!r}, but {found[place]!r} before"
                    )
    except OSError as error:
        raise DataError(f"--labels: {describe_os_error(error)}") from error
    except csv.Error as error:
        raise DataError(f"{Path(path)}: not a CSV file: {error}") from error
    return found
