"""Arrays on disk that are what was written, or are not there: each has a record with shape, type and a checksum.

Disks fill up, lose bytes and are copied in part. Whoever opens an array that is damaged in any way gets None, as for
one that was never written, and makes it again.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit.files import read_json_object, replacing, write_bytes

_CHUNK = 1 << 24


def write(path: Path, rows: Iterable[np.ndarray], *, facts: dict[str, Any]) -> None:
    """Write an array, row by row, and then its record.

    Written in sequence and not through a memory map, where a full disk would end the process without a message.

    Args:
        path: of the array; that of its record ends in `.json` instead.
        rows: at least one; all of one shape and type.
        facts: JSON values that are kept with it. They are read once all rows are written, so these may add to them.
    """
    checksum, count = 0, 0
    with replacing(path) as file:
        for row in rows:
            data = row.tobytes()
            file.write(data)
            checksum, count = zlib.crc32(data, checksum), count + 1
    record = {
        "name": path.name,
        "dtype": row.dtype.str,
        "shape": [count, *row.shape],
        "crc32": checksum,
        "facts": facts,
    }
    # As ASCII: a name of a file need not be UTF-8.
    write_bytes(_record(path), json.dumps({**record, "record_crc32": _crc32(record)}, indent=1).encode())


def read(path: Path) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The array, memory-mapped and read-only, and its facts; None if it is not there as `write` left it."""
    try:
        record = read_json_object(_record(path))
        if record.pop("record_crc32") != _crc32(record) or record["name"] != path.name:
            return None
        dtype, shape = np.dtype(record["dtype"]), tuple(record["shape"])
        if path.stat().st_size != math.prod(shape) * dtype.itemsize:
            return None
        array = np.memmap(path, dtype=dtype, mode="r", shape=shape)
        return (array, record["facts"]) if record["crc32"] == _crc32_of(array) else None
    except Exception:  # whatever damage runs into: all of it is mended by writing the array again
        return None


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _crc32(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def _crc32_of(array: np.ndarray) -> int:
    data, checksum = array.data.cast("B"), 0
    for start in range(0, len(data), _CHUNK):
        checksum = zlib.crc32(data[start : start + _CHUNK], checksum)
    return checksum
