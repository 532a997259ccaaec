"""Recordings that are there twice: their hours and events would count twice, and no bound would hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import BinaryIO

from bnn_exit.errors import DataError, describe_os_error
from bnn_exit.files import open_regular

_PIECE = 1 << 20


def check_distinct(paths: Sequence[str | os.PathLike[str]]) -> None:
    """DataError if two recordings hold the same bytes: one file given twice, by another path, or a copy of it."""
    by_size: dict[int, list[str]] = {}
    for path in paths:
        name = os.fspath(path)
        by_size.setdefault(_size(name), []).append(name)
    for names in by_size.values():
        known: dict[bytes, str] = {}
        for name in names if len(names) > 1 else ():
            digest = _digest(name)
            if digest in known:
                what = "is given twice" if known[digest] == name else f"is the same recording as {known[digest]}"
                raise DataError(f"{name} {what}: give it once, or what is in it counts twice")
            known[digest] = name


def _size(name: str) -> int:
    with _opened(name) as file:
        return os.fstat(file.fileno()).st_size


def _digest(name: str) -> bytes:
    state = hashlib.sha1()
    with _opened(name) as file:
        while piece := file.read(_PIECE):
            state.update(piece)
    return state.digest()


def _opened(name: str) -> BinaryIO:
    try:
        return open_regular(name)
    except OSError as error:
        raise DataError(f"{name}: {describe_os_error(error)}") from error
