"""Puts operating points where they are used: operating_points.json of a run, and the metadata of its model file.

The metadata is one buffer of a flatbuffer. Its new bytes go to the end of the file and the one offset that leads to
them is changed, so that no other byte moves and neither TensorFlow nor a flatbuffer library is needed.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_exit import artifact, policies
from bnn_exit.answers import Answers
from bnn_exit.artifact import MODEL
from bnn_exit.calibrate.choose import Outcome
from bnn_exit.calibrate.exit_costs import ExitCosts
from bnn_exit.calibrate.operating_points import OperatingPoint, check_name, operating_points
from bnn_exit.errors import ArtifactError, BnnExitError, DataError
from bnn_exit.files import read_json_object, write_bytes, write_json
from bnn_exit.metadata import METADATA_NAME

POINTS = "operating_points.json"

_ALIGNMENT = 16
"""Of the bytes of a buffer, in the public schema of TensorFlow Lite."""


def points_of(folder: Path) -> dict[str, OperatingPoint]:
    """The operating points of a run; none if it has no file of them. DataError if that is damaged."""
    path = folder / POINTS
    try:
        return {name: OperatingPoint.from_dict(values) for name, values in read_json_object(path).items()}
    except FileNotFoundError:
        return {}
    except Exception as error:  # the folder may come from elsewhere: whatever nonsense in it runs into
        raise DataError(
            f"{path} cannot be read ({error}): python -m bnn_exit.train --resume {folder} makes it again"
        ) from error


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


def store_outcome(folder: Path, outcome: Outcome, answers: Answers, costs: ExitCosts) -> list[Path]:
    """Put a chosen operating point where it can be used; the files that were written.

    A file has one policy and one set of exits. A point of the policy and exits of RUN/model.tflite goes into it; any
    other takes a file of its own, RUN/model_NAME.tflite, with the usual operating points for its policy and exits.

    Args:
        folder: of the run.
        outcome: of `choose`.
        answers, costs: of all exits, which it was chosen from.

    Raises:
        ArgumentError: a name that a file cannot have.
        DataError, ArtifactError, ExportError: a file of the run is missing or damaged, or cannot be made.
    """
    point = outcome.point
    check_name("name", point.name)
    if len(outcome.kept) == answers.exits and outcome.policy.to_dict() == policy_of(folder):
        return store(folder, {point.name: point})
    path = folder / f"model_{point.name}.tflite"
    usual = operating_points(answers.of_exits(outcome.kept), outcome.costs, policy=outcome.policy)
    _export(folder, path, outcome, {**usual, point.name: point})
    return [path]


def policy_of(folder: Path) -> dict[str, Any]:
    """The policy of RUN/model.tflite, as `Policy.to_dict` says it; the default one if the run has no such file.

    Raises:
        ArtifactError: model.tflite is damaged.
    """
    model = folder / MODEL
    return artifact.load(model).metadata.policy_dict if model.is_file() else {"name": policies.DEFAULT}


def _export(folder: Path, path: Path, outcome: Outcome, points: Mapping[str, OperatingPoint]) -> None:
    from bnn_exit.export.to_lce import export
    from bnn_exit.training.runs import RunConfig

    config = RunConfig.load(folder)
    model = config.network(folder)
    if len(outcome.kept) < model.num_exits:
        model = model.with_exits(outcome.kept)
    export(model, path, task=config.task, operating_points=points, policy=outcome.policy)


def with_points(path: Path, points: Mapping[str, OperatingPoint]) -> bytes:
    """A model file with further operating points, those of the same names replaced.

    Raises:
        ArtifactError: they do not fit the file.
    """
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
