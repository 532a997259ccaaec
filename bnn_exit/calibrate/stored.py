"""Puts operating points where they are used: operating_points.json of a run, and the metadata of its model file.

The metadata is one buffer of a flatbuffer. Its new bytes go to the end of the file and the one offset that leads to them
is changed, so that no other byte moves and neither TensorFlow nor a flatbuffer library is needed.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Mapping
from pathlib import Path

from bnn_exit import artifact
from bnn_exit.calibrate.operating_points import OperatingPoint
from bnn_exit.errors import ArtifactError, BnnExitError, DataError
from bnn_exit.files import read_json, write_bytes, write_json
from bnn_exit.metadata import METADATA_NAME

POINTS = "operating_points.json"
MODEL = "model.tflite"

_ALIGNMENT = 16
"""Of the bytes of a buffer, in the public schema of TensorFlow Lite."""


def points_of(folder: Path) -> dict[str, OperatingPoint]:
    """The operating points of a run; none if it has no file of them. DataError if that is damaged."""
    path = folder / POINTS
    try:
        return {name: OperatingPoint.from_dict(values) for name, values in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, AttributeError, TypeError, KeyError, BnnExitError) as error:
        raise DataError(f"{path} cannot be read ({error}): python -m bnn_exit.calibrate {folder} makes it again") from (
            error
        )


def store(folder: Path, points: Mapping[str, OperatingPoint]) -> list[Path]:
    """Add the points to a run, replacing those of the same names; the files that were written.

    model.tflite is changed if there is one: its metadata alone, the network stays byte for byte.

    Raises:
        ArtifactError: model.tflite is damaged, or has another number of exits.
        DataError: operating_points.json is damaged.
    """
    everything = {**points_of(folder), **points}
    written, model = [folder / POINTS], folder / MODEL
    if model.is_file():
        write_bytes(model, with_points(model, points))
        written.append(model)
    write_json(folder / POINTS, {name: point.to_dict() for name, point in everything.items()})
    return written


def with_points(path: Path, points: Mapping[str, OperatingPoint]) -> bytes:
    """A model file with further operating points, those of the same names replaced; ArtifactError if they do not fit."""
    file = artifact.load(path)
    try:
        metadata = dataclasses.replace(
            file.metadata, operating_points={**file.metadata.operating_points, **points}
        ).to_json()
    except BnnExitError as error:
        raise ArtifactError(f"{path} cannot take the operating points: {error}") from error
    return with_metadata(file.data, METADATA_NAME, metadata)


def with_metadata(data: bytes, name: str, value: bytes) -> bytes:
    """A TFLite file that was read before without complaint, with another value of its metadata entry `name`."""
    offset = _data_offset(data, name)
    start = offset + _uint32(data, offset)
    size = _uint32(data, start)
    # What an earlier call appended ends the file, and gives its place back.
    body = bytearray(data[:start] if start + 4 + size == len(data) and start > offset else data)
    while (len(body) + 4) % _ALIGNMENT:
        body.append(0)
    struct.pack_into("<I", body, offset, len(body) - offset)
    return bytes(body) + struct.pack("<I", len(value)) + value


def _data_offset(data: bytes, name: str) -> int:
    """Where the offset to the bytes of a metadata entry lies: model -> metadata (6) -> buffer (1) -> buffers (4) -> 0."""
    model = _uint32(data, 0)
    for entry in _list(data, _field(data, model, 6)):
        text = _followed(data, _field(data, entry, 0))
        if data[text + 4 : text + 4 + _uint32(data, text)] == name.encode():
            number = _field(data, entry, 1)
            buffer = _list(data, _field(data, model, 4))[_uint32(data, number) if number else 0]
            return _field(data, buffer, 0)
    raise ArtifactError(f"the file has no metadata {name}: export it again")


def _field(data: bytes, table: int, slot: int) -> int:
    """Where a table's field lies, or 0 if it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    entry = 4 + 2 * slot
    if entry >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset: int = struct.unpack_from("<H", data, vtable + entry)[0]
    return table + offset if offset else 0


def _list(data: bytes, field: int) -> list[int]:
    """Where the tables of a list lie."""
    if not field:
        return []
    start = _followed(data, field)
    return [_followed(data, start + 4 + 4 * index) for index in range(_uint32(data, start))]


def _followed(data: bytes, position: int) -> int:
    return position + _uint32(data, position)


def _uint32(data: bytes, position: int) -> int:
    value: int = struct.unpack_from("<I", data, position)[0]
    return value
