"""`model.tflite` as it is read: checked, with the positions of its inputs and outputs."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError, ModelFileError, describe_os_error, one_of
from bnn_exit.model_file import header
from bnn_exit.model_file.metadata import METADATA_NAME, Metadata
from bnn_exit.policies import rule

if TYPE_CHECKING:
    from bnn_exit.model_file.flatbuffer import Model

SIGNATURE = "serving_default"
OUTPUTS = {"probabilities": "float32", "exit_index": "int32", "score": "float32"}
"""Name -> element type."""
SPLIT_NAME = "bnn_exit_split"
"""Metadata entry of the halves of a split file (`bnn_exit.model_file.split`)."""


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A model file that was read and checked.

    Attributes:
        path: where it was read from.
        data: the file.
        metadata: labels, features, costs and operating points.
        main: the tensors of the main subgraph.
        inputs: name ("log_mel", "waveform" or "values", and "thresholds") -> position among the inputs of the main
            subgraph.
        outputs: name ("probabilities", "exit_index", "score") -> position among its outputs.
    """

    path: Path
    data: bytes = dataclasses.field(repr=False)
    metadata: Metadata
    main: header.Values = dataclasses.field(repr=False)
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    def __reduce__(self) -> tuple[Any, ...]:
        # The other parts are views of the bytes.
        return _decode_at, (self.data, self.path)

    @functools.cached_property
    def model(self) -> Model:
        """The network with its operators. They are read when they are first asked for: the native backend reads them
        itself, and loads in less time.

        Raises:
            ModelFileError: an operator is damaged.
        """
        from bnn_exit.model_file import flatbuffer

        try:
            return flatbuffer.read(self.data)
        except ModelFileError as error:
            raise ModelFileError(f"{self.path}: {error}") from error

    def thresholds(
        self, *, operating_point: str = "balanced", thresholds: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float32]:
        """The thresholds of an operating point, or the given ones, checked: [exits - 1], or [exits] with a skip gate.

        Raises:
            ArgumentError: an unknown operating point, or thresholds of the wrong number or out of range.
        """
        points = self.metadata.operating_points
        if thresholds is None:
            if not points:
                raise ArgumentError(
                    f"{self.path} has no operating points: give {self.metadata.num_thresholds} thresholds"
                )
            thresholds = points[one_of("operating point", operating_point, points)].thresholds
        return rule.check_thresholds(thresholds, exits=len(self.metadata.exits), skips=self.metadata.skips)

    def arguments(self, clip: npt.ArrayLike, thresholds: npt.ArrayLike) -> list[npt.NDArray[np.float32]]:
        """The inputs of the network, in its order, for a log-mel [frames, mels], a waveform [samples] or values
        [samples, channels].
        """
        arrays = {self.metadata.input: clip, "thresholds": thresholds}
        main = self.main
        return [
            np.ascontiguousarray(arrays[name], np.float32).reshape(main.tensors[main.inputs[position]].shape)
            for name, position in sorted(self.inputs.items(), key=lambda item: item[1])
        ]

    def unpack(self, results: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit index and score from the network's outputs, in its order.

        Raises:
            ModelFileError: their types or sizes do not fit the metadata.
        """
        sizes = {"probabilities": len(self.metadata.labels), "exit_index": 1, "score": 1}
        found = {name: np.ravel(results[position]) for name, position in self.outputs.items()}
        for name, values in found.items():
            if (values.dtype, values.size) != (OUTPUTS[name], sizes[name]):
                raise ModelFileError(
                    f"{self.path}: the network returned {values.size} values of {values.dtype} as {name}, "
                    f"but must return {sizes[name]} of {OUTPUTS[name]}: export the model again"
                )
        exit_index = int(found["exit_index"][0])
        self.check_exit_index(exit_index)
        return np.array(found["probabilities"]), exit_index, float(found["score"][0])

    def check_exit_index(self, exit_index: int) -> None:
        """ModelFileError unless the network has such an exit."""
        last = len(self.metadata.exits) - 1
        if not 0 <= exit_index <= last:
            raise ModelFileError(
                f"{self.path}: the network returned exit_index {exit_index}, but must return 0 to {last}: export the "
                "model again"
            )


def read(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file without TensorFlow and check that it is consistent; its operators when `ModelFile.model` does.

    Args:
        path: the file, such as RUN/model.tflite, or the name of a model that comes with the package; a path that exists
            wins.

    Raises:
        ArgumentError: a name that is neither a model of the package nor a file.
        ModelFileError: missing, unreadable, truncated or damaged, not a TFLite file, not written by bnn_exit,
            of a newer format, or metadata and network do not fit together.
    """
    place = Path(path)
    if not place.is_file():
        from bnn_exit import pretrained

        place = pretrained.resolve(path)
    if place.is_dir():
        raise ModelFileError(f"{place} is a folder: give the model file, such as {place / 'model.tflite'}")
    try:
        data = place.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the model file: {describe_os_error(error)}") from error
    return decode(data, place=place)


def decode(data: bytes, *, place: Path) -> ModelFile:
    """The model file with these bytes, checked as `read` checks it; errors call it `place`, which is not read."""
    try:
        return _read(place, data)
    except ModelFileError as error:
        raise ModelFileError(f"{place}: {error}") from error


def _decode_at(data: bytes, place: Path) -> ModelFile:
    return decode(data, place=place)


def _read(place: Path, data: bytes) -> ModelFile:
    found = header.read(data)
    if METADATA_NAME not in found.metadata and SPLIT_NAME in found.metadata:
        raise ModelFileError(
            "this is the server's half of a split file, which takes no sound: python -m bnn_exit.serve_model serves it"
        )
    if METADATA_NAME not in found.metadata:
        raise ModelFileError(
            "this file was not written by bnn_exit: export it with python -m bnn_exit.export or bnn_exit.export"
        )
    metadata = Metadata.from_json(found.metadata[METADATA_NAME])
    inputs, outputs = _wiring(found, metadata)
    return ModelFile(place, data, metadata, found.main, inputs, outputs)


def _wiring(found: header.Header, metadata: Metadata) -> tuple[dict[str, int], dict[str, int]]:
    """Positions of the named inputs and outputs. By name, never by order: LCE may order outputs in any way."""
    signature = found.signatures.get(SIGNATURE)
    if signature is None or signature.subgraph != 0:
        raise ModelFileError(f"the signature {SIGNATURE} of the main subgraph is missing: export the model again")
    main = found.main
    input_shapes = {metadata.input: (1, *metadata.input_shape), "thresholds": (metadata.num_thresholds,)}
    output_shapes = {"probabilities": (1, len(metadata.labels)), "exit_index": (1,), "score": (1,)}
    inputs = {
        name: _position(main, "input", name, signature.inputs, main.inputs, shape, "float32")
        for name, shape in input_shapes.items()
    }
    outputs = {
        name: _position(main, "output", name, signature.outputs, main.outputs, shape, OUTPUTS[name])
        for name, shape in output_shapes.items()
    }
    # The device's half of a split file gives more: what travels to the server.
    more = len(main.outputs) - len(outputs) if SPLIT_NAME in found.metadata else 0
    for kind, positions, tensors, spare in (
        ("inputs", inputs, main.inputs, 0),
        ("outputs", outputs, main.outputs, max(0, more)),
    ):
        if len(set(positions.values())) != len(tensors) - spare:
            raise ModelFileError(
                f"the network has {len(tensors)} {kind}, but must have exactly {', '.join(positions)}, each once"
            )
    return inputs, outputs


def _position(
    main: header.Values,
    kind: str,
    name: str,
    named: Mapping[str, int],
    listed: tuple[int, ...],
    shape: tuple[int, ...],
    dtype: str,
) -> int:
    if named.get(name) not in listed:
        raise ModelFileError(f"the signature {SIGNATURE} has no {kind} {name}: export the model again")
    tensor = main.tensors[named[name]]
    if (tensor.shape, tensor.dtype) != (shape, dtype):
        raise ModelFileError(
            f"{kind} {name} is {tensor.dtype} {list(tensor.shape)}, but the metadata has {dtype} {list(shape)}"
        )
    return listed.index(named[name])
