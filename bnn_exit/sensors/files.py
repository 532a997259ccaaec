"""Files with one window of values each: .npy, and .csv with a header."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnn_exit.errors import ArgumentError, DataError, describe_os_error, nearest
from bnn_exit.sensors.window import check

SUFFIXES = (".npy", ".csv")
MAX_BYTES = 1 << 28


def read(path: str | os.PathLike[str], channels: Sequence[str], *, data: bytes | None = None) -> NDArray[np.float32]:
    """The values in a file, float32 [samples, channels].

    Args:
        path: .npy with an array [samples, channels] in the order of `channels`, or .csv whose header has them all, in
            any order; other columns are ignored.
        channels: names, as the model file has them.
        data: the bytes of the file, where they have been read already.

    Raises:
        DataError: a file that is missing, too large, damaged, or without one of the channels.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if kind not in SUFFIXES:
        raise DataError(
            f"{place} ends in {place.suffix or 'nothing'!r}, but values are in {' or '.join(SUFFIXES)} files"
        )
    if data is None:
        data = _bytes(place)
    try:
        return check(_array(data) if kind == ".npy" else _columns(data, channels), channels)
    except ArgumentError as error:
        raise DataError(f"{place}: {error}") from error


def _bytes(place: Path) -> bytes:
    try:
        size = place.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{place} has {size} bytes, but {MAX_BYTES} are the most")
        return place.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read values: {describe_os_error(error)}") from error


def _array(data: bytes) -> NDArray[np.generic]:
    # The array is made of the bytes that are there, so a header cannot ask for more memory than the file takes.
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, kind = header(file)
        if kind.hasobject:
            raise ValueError("it holds objects")
        flat = np.frombuffer(data, kind, offset=file.tell())
        return flat.reshape(shape, order="F" if by_column else "C")
    except (ValueError, TypeError, EOFError, MemoryError, OverflowError, SyntaxError) as error:
        raise ArgumentError(f"it is no array of NumPy that can be read ({error})") from error


def _columns(data: bytes, channels: Sequence[str]) -> NDArray[np.float64]:
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArgumentError(f"it cannot be read as CSV ({error})") from error
    header = [name.strip() for name in rows[0]] if rows else []
    for name in channels:
        if name not in header:
            raise ArgumentError(
                f"it has no column {name!r}, but {', '.join(header[:8]) or 'none'}{nearest(name, header)}"
            )
    places = [header.index(name) for name in channels]
    found = np.zeros((len(rows) - 1, len(channels)))
    for number, row in enumerate(rows[1:]):
        for column, place in enumerate(places):
            try:
                found[number, column] = float(row[place])
            except (ValueError, IndexError):
                cell = row[place] if place < len(row) else ""
                raise ArgumentError(f"{channels[column]} is {cell!r} in row {number + 2}, which is no number") from None
    return found
