"""Recordings of sensors: samples of some channels with a label each, from .npz and CSV files."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnn_exit.errors import ArgumentError, DataError, nearest
from bnn_exit.files import expanded

MOST_BYTES = 1 << 31
"""Of one file, and of what its arrays take once they are read."""

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Name of a unit -> seconds."""


@dataclasses.dataclass(frozen=True)
class Names:
    """What arrays of an .npz file, or columns of CSV files, are called.

    Attributes:
        values: the array of samples; in CSV files, every column without another meaning is a channel.
        label: of each sample, or of each window.
        group: who or what a sample is of, such as a subject: no group is in two splits. "" for none: every recording is
            a group of its own.
        recording: samples of one recording follow each other. "" for none: an .npz file is one recording for each
            group, a CSV file is one.
        time: time stamps. "" for none: samples are evenly spaced.
        time_unit: a name in TIME_UNITS.
    """

    values: str = "values"
    label: str = "label"
    group: str = "group"
    recording: str = "recording"
    time: str = "time"
    time_unit: str = "s"


class Recording(NamedTuple):
    """Samples in their order.

    Attributes:
        name: unique among the recordings.
        group: of all its samples.
        values: float32 `[samples, channels]`; NaN where a sample is missing.
        labels: `[samples]`, text.
        time_s: float64 `[samples]`, seconds, never falling; None if samples are evenly spaced.
    """

    name: str
    group: str
    values: np.ndarray
    labels: np.ndarray
    time_s: np.ndarray | None


class Windows(NamedTuple):
    """Windows that somebody cut.

    Attributes:
        values: float32 `[windows, length, channels]`.
        labels, groups: `[windows]`, text.
    """

    values: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


class Samples(NamedTuple):
    """What was read.

    Attributes:
        channels: their names.
        recordings: of samples; empty if the data are windows.
        windows: None if the data are recordings.
    """

    channels: tuple[str, ...]
    recordings: tuple[Recording, ...]
    windows: Windows | None = None


def read_samples(place: str | os.PathLike[str], names: Names) -> Samples:
    """Read an .npz file, a CSV file, or all CSV files of a folder.

    Args:
        place: the file or folder.
        names: of arrays or columns.

    Raises:
        ArgumentError: a unit of time that is none.
        DataError: files that are missing, damaged, too large, or of other channels than the first; time that runs
            backwards; arrays of different lengths.
    """
    if names.time_unit not in TIME_UNITS:
        raise ArgumentError(
            f"time_unit is {names.time_unit!r}, but must be one of {', '.join(TIME_UNITS)}"
            f"{nearest(names.time_unit, TIME_UNITS)}"
        )
    path = expanded(place)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() == ".csv" and each.is_file())
        if not files:
            raise DataError(f"{path} holds no .csv file: give a folder of them, a .csv file or an .npz file")
        return _of_tables(files, path, names)
    if not path.is_file():
        raise DataError(f"{path} does not exist: give an .npz file, a .csv file or a folder of .csv files")
    if path.suffix.lower() == ".csv":
        return _of_tables([path], path.parent, names)
    if path.suffix.lower() == ".npz":
        return _of_arrays(path, names)
    raise DataError(f"{path} ends in {path.suffix or 'nothing'!r}, but must end in .npz or .csv")


# ---------------------------------------------------------------------------------------------------------------- .npz


def _of_arrays(path: Path, names: Names) -> Samples:
    arrays = _arrays(path)

    def named(name: str, what: str) -> np.ndarray:
        if name not in arrays:
            raise DataError(
                f"{path} has no array {name!r} ({what}), but {', '.join(sorted(arrays)) or 'none'}"
                f"{nearest(name, arrays)}"
            )
        return arrays[name]

    values = named(names.values, "samples or windows")
    if values.dtype.kind not in "fiu":
        raise DataError(f"{path}: {names.values} is of type {values.dtype}, but must be of numbers")
    if values.ndim not in (2, 3) or not values.size:
        raise DataError(
            f"{path}: {names.values} has shape {values.shape}, but must be [samples, channels] or [windows, length, "
            "channels], and not empty"
        )
    values = values.astype(np.float32)
    channels = _channel_names(arrays.get("channels"), values.shape[-1])
    labels = _text(named(names.label, "a label of each"), names.label, len(values), path)
    groups = _text(named(names.group, "a group of each"), names.group, len(values), path) if names.group else None
    if values.ndim == 3:
        numbers = np.array([f"window_{index}" for index in range(len(values))])
        return Samples(channels, (), Windows(values, labels, numbers if groups is None else groups))
    recordings = (
        _text(named(names.recording, "of each sample"), names.recording, len(values), path)
        if names.recording
        else (groups if groups is not None else np.full(len(values), path.stem))
    )
    time = _seconds(named(names.time, "time stamps"), names, len(values), path) if names.time else None
    return Samples(channels, tuple(_recordings(path, values, labels, groups, recordings, time)))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, whose sizes are looked at before any is read."""
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
            size = sum(_bytes_of(archive, name) for name in archive.namelist())
            if size > MOST_BYTES:
                raise DataError(f"{path} holds {size} bytes, but {MOST_BYTES} are the most")
        # NumPy leaves a damaged file open, so it is opened here.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DataError:
        raise
    except Exception as error:  # a damaged archive raises whatever its reader stumbles over
        raise DataError(f"{path} cannot be read as an .npz file ({type(error).__name__}: {error})") from error


def _bytes_of(archive: zipfile.ZipFile, name: str) -> int:
    """What an array takes by its header, for which NumPy makes room before it reads."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(member)
    return math.prod(shape) * kind.itemsize


def _channel_names(given: np.ndarray | None, count: int) -> tuple[str, ...]:
    if given is not None and given.shape == (count,):
        return tuple(map(str, given))
    return tuple(f"channel_{index + 1}" for index in range(count))


def _text(array: np.ndarray, name: str, count: int, path: Path) -> np.ndarray:
    if array.shape != (count,):
        raise DataError(f"{path}: {name} has shape {array.shape}, but must be ({count},), one for each of the values")
    if array.dtype.kind not in "USiub":
        raise DataError(f"{path}: {name} is of type {array.dtype}, but must be of text or whole numbers")
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array.astype(str)


def _seconds(array: np.ndarray, names: Names, count: int, path: Path) -> np.ndarray:
    if array.shape != (count,):
        raise DataError(f"{path}: {names.time} has shape {array.shape}, but must be ({count},), one for each sample")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise DataError(f"{path}: {names.time} holds something that is no time: it must be of finite numbers")
    # Whole numbers first: milliseconds since 1970 have more digits than a float32.
    return (array - array[0] if array.dtype.kind == "f" else array.astype(np.int64) - int(array[0])) * float(
        TIME_UNITS[names.time_unit]
    )


def _recordings(
    path: Path,
    values: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None,
    recordings: np.ndarray,
    time: np.ndarray | None,
) -> Iterator[Recording]:
    """Each recording, in the order of their first samples."""
    names, first, numbers = np.unique(recordings, return_index=True, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(len(names) + 1))
    for number in np.argsort(first):
        chosen = order[bounds[number] : bounds[number + 1]]
        name = str(names[number])
        own = np.unique(groups[chosen]) if groups is not None else np.array([name])
        if len(own) > 1:
            raise DataError(f"{path}: recording {name} is of the groups {own[0]} and {own[1]}, but must be of one")
        stamps = None if time is None else time[chosen]
        yield _checked(Recording(name, str(own[0]), values[chosen], labels[chosen], stamps), path)


def _checked(recording: Recording, path: Path) -> Recording:
    if recording.time_s is not None:
        back = np.flatnonzero(np.diff(recording.time_s) < 0)
        if len(back):
            row = int(back[0])
            raise DataError(
                f"{path}: time runs backwards in recording {recording.name}, from {recording.time_s[row]:g} to "
                f"{recording.time_s[row + 1]:g} s after the first sample of the file, at sample {row + 2} of the "
                "recording: sort the samples, or give the later part another recording"
            )
    return recording


# ----------------------------------------------------------------------------------------------------------------- CSV


def _of_tables(files: list[Path], root: Path, names: Names) -> Samples:
    """One recording a file, or several where a column names them."""
    channels: tuple[str, ...] = ()
    found: list[Recording] = []
    for path in files:
        own, recordings = _table(path, path.relative_to(root).as_posix(), names)
        if channels and own != channels:
            other = sorted(set(own) ^ set(channels))
            raise DataError(
                f"{path} has the channels {', '.join(own)}, but {files[0]} has {', '.join(channels)}: look at "
                f"{', '.join(other[:3]) or 'their order'}"
            )
        channels = own
        found += recordings
    taken: dict[str, int] = {}
    for recording in found:
        taken[recording.name] = taken.get(recording.name, 0) + 1
    twice = [name for name, count in taken.items() if count > 1]
    if twice:
        raise DataError(f"recording {twice[0]} is in two files: names of recordings must differ, or be left out")
    return Samples(channels, tuple(found))


def _table(path: Path, name: str, names: Names) -> tuple[tuple[str, ...], list[Recording]]:
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} holds {path.stat().st_size} bytes, but {MOST_BYTES} are the most")
    columns, rows = _rows(path)
    for wanted, what in ((names.label, "label"), (names.group, "group"), (names.time, "time")):
        if wanted and wanted not in columns:
            raise DataError(
                f"{path} has no column {wanted!r} ({what}), but {', '.join(columns)}{nearest(wanted, columns)}"
            )
    meaning = {names.label, names.group, names.recording, names.time}
    channels = tuple(column for column in columns if column not in meaning)
    if not channels:
        raise DataError(f"{path} has no column beside {', '.join(columns)}: none is a channel")
    place = {column: index for index, column in enumerate(columns)}
    values = np.stack([_numbers(rows[:, place[channel]], channel, path) for channel in channels], axis=1)
    labels = rows[:, place[names.label]]
    groups = rows[:, place[names.group]] if names.group else None
    recordings = rows[:, place[names.recording]] if names.recording in place else np.full(len(rows), name)
    time = None
    if names.time:
        time = _seconds(_numbers(rows[:, place[names.time]], names.time, path, np.float64), names, len(rows), path)
    return channels, list(_recordings(path, values, labels, groups, recordings, time))


def _rows(path: Path) -> tuple[list[str], np.ndarray]:
    """The header, and all other rows as text `[rows, columns]`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV ({error})") from error
    if len(table) < 2:
        raise DataError(f"{path} has no row below its header")
    columns = [column.strip() for column in table[0]]
    if len(set(columns)) != len(columns):
        raise DataError(f"{path}: a column is there twice in {', '.join(columns)}")
    for number, row in enumerate(table[1:], start=2):
        if len(row) != len(columns):
            raise DataError(f"{path}: row {number} has {len(row)} cells, but the header has {len(columns)}")
    return columns, np.array(table[1:], dtype=str)


def _numbers(cells: np.ndarray, column: str, path: Path, kind: type = np.float32) -> np.ndarray:
    """The cells as numbers; an empty one is NaN."""
    try:
        return np.where(np.char.strip(cells) == "", "nan", cells).astype(kind)
    except ValueError:
        bad = next(index for index, cell in enumerate(cells) if not _is_number(cell))
        raise DataError(
            f"{path}: {column} is {str(cells[bad])!r} in row {bad + 2}, which is no number: a column that is no "
            "channel must be named as label, group, recording or time, or be left out of the file"
        ) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip() or "nan")
    except ValueError:
        return False
    return True
