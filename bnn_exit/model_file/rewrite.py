"""Replace the metadata of a model file, without TensorFlow or a flatbuffer library.

The metadata is one buffer of a flatbuffer. The new bytes go to the end of the file, and the one offset that points to
them is changed, so no other byte moves.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bnn_exit.errors import BnnExitError, ModelFileError
from bnn_exit.model_file import reader
from bnn_exit.model_file.metadata import METADATA_NAME
from bnn_exit.model_file.operating_points import OperatingPoint

if TYPE_CHECKING:
    from bnn_exit.model_file.listening_points import ListeningPoint

_ALIGNMENT = 16
"""Of the bytes of a buffer, in the public schema of TensorFlow Lite."""


def with_points(
    path: Path, points: Mapping[str, OperatingPoint], *, listening_points: Mapping[str, ListeningPoint] | None = None
) -> bytes:
    """A model file with operating points and listening points added, or replaced where the name exists.

    Raises:
        ModelFileError: they do not fit the file.
    """
    file = reader.read(path)
    _ = file.model  # nothing is added to a damaged file
    try:
        metadata = dataclasses.replace(
            file.metadata,
            operating_points={**file.metadata.operating_points, **points},
            listening_points={**file.metadata.listening_points, **(listening_points or {})},
        ).to_json()
    except BnnExitError as error:
        kinds = "operating points" if listening_points is None else "operating points and listening points"
        raise ModelFileError(f"{path} cannot take the {kinds}: {error}") from error
    return with_metadata(file.data, METADATA_NAME, metadata)


def with_metadata(data: bytes, name: str, value: bytes) -> bytes:
    """A valid TFLite file with another value of its metadata entry `name`."""
    offset = _data_offset(data, name)
    start = offset + _uint32(data, offset)
    size = _uint32(data, start)
    # An earlier call appended its value at the end of the file: drop it.
    body = bytearray(data[:start] if start + 4 + size == len(data) and start > offset else data)
    while (len(body) + 4) % _ALIGNMENT:
        body.append(0)
    struct.pack_into("<I", body, offset, len(body) - offset)
    return bytes(body) + struct.pack("<I", len(value)) + value


def _data_offset(data: bytes, name: str) -> int:
    """Where the offset to the bytes of a metadata entry lies.

    Slots in the schema: metadata of a model 6, name and buffer of an entry 0 and 1, buffers of a model 4, data 0.
    """
    model = _uint32(data, 0)
    for entry in _list(data, _field(data, model, 6)):
        text = _followed(data, _field(data, entry, 0))
        if data[text + 4 : text + 4 + _uint32(data, text)] == name.encode():
            number = _field(data, entry, 1)
            buffer = _list(data, _field(data, model, 4))[_uint32(data, number) if number else 0]
            if place := _field(data, buffer, 0):
                return place
    raise ModelFileError(f"the file has no metadata {name}: export it again")


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
