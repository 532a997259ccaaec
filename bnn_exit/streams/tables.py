"""Tab-separated tables that come from elsewhere: read with limits, and every fault named by its line."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence

from bnn_exit.errors import DataError, describe_os_error
from bnn_exit.files import open_regular
from bnn_exit.text import counted

MAX_BYTES = 1 << 26
MAX_LINE = 1 << 14


def rows(
    path: str | os.PathLike[str], columns: Sequence[str], *, optional: Sequence[str] = ()
) -> Iterator[tuple[str, list[str]]]:
    """Each row of a table as the place ("NAME line 3") and the texts of `columns`, then of those that are `optional`.

    The first line has the names of the columns, in any order; others are ignored, and a missing optional column is "".
    Empty lines are left out.

    Raises:
        DataError: no such file, not UTF-8, too large, a missing column or one that is there twice, or a row with
            another number of cells.
    """
    name = os.fspath(path)
    lines = _lines(name)
    if not lines:
        raise DataError(f"{name} is empty: its first line must be {' TAB '.join(columns)}")
    head = [cell.strip() for cell in lines[0].split("\t")]
    missing = [column for column in columns if column not in head]
    twice = next((column for column in (*columns, *optional) if head.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{name} line 1 has the column {twice} twice: leave one out")
    if missing:
        raise DataError(
            f"{name} line 1 has no column {', '.join(missing)}: it must hold {' TAB '.join(columns)}, with tabs between"
        )
    places = [head.index(column) if column in head else -1 for column in (*columns, *optional)]
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(head):
            has = counted(len(cells), "cell")
            raise DataError(f"{name} line {number} has {has}, but line 1 has {len(head)}: tabs part cells")
        yield f"{name} line {number}", ["" if place < 0 else cells[place].strip() for place in places]


def number(place: str, column: str, text: str, *, rule: str = "a finite number") -> float:
    """The number in a cell; DataError if it is none, or infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place}: {column} is {text!r}, but must be {rule}")
    return value


def _lines(name: str) -> list[str]:
    try:
        with open_regular(name) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such file; check the path") from error
    except OSError as error:
        raise DataError(f"{name}: {describe_os_error(error)}") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{name} has more than {MAX_BYTES >> 20} MiB, too much for a table of events: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is no text in UTF-8 (byte {error.start}): is it a table?") from (error)
    lines = [line.rstrip("\r") for line in text.split("\n")]
    for number_, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE:
            raise DataError(f"{name} line {number_} has more than {MAX_LINE} characters: is it a table?")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
