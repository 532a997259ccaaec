"""Keras files: `.keras`, which is read as data, and `.h5`, which is a program.

A `.keras` file is a zip of a description and of weights. It is not given to Keras: its description is parsed and
checked here, the weights are copied to a private file, and Keras makes the network from these two. So the bytes that
were checked are those that are used, and nothing else of the file is: neither pickled arrays nor vocabularies.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from bnn_exit._keras import keras, tf
from bnn_exit.errors import DataError
from distill.teachers import keras_config

_DESCRIPTION, _ABOUT, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MAX_DESCRIPTION = 8 << 20
"""Bytes; the description of a network of a thousand layers has less than one million."""
_MAX_RATIO = 50
"""How much larger than the file its weights may be: Keras itself compresses nothing."""
_CHUNK = 1 << 20
_SPARE = 1 << 20
"""Numbers that a network may hold beside its weights, as counters."""
_MAX_OUTPUT = 1 << 26
"""Numbers in the result of a layer for one clip."""


def open_keras(path: Path, *, trust: bool) -> keras.Model:
    """The network in a Keras file.

    Args:
        path: of the file.
        trust: run the file, whatever it holds.

    Raises:
        DataError: an `.h5` file that is not trusted, a `.keras` file that names what may be a program, one of Keras 3,
            or a damaged one.
    """
    if path.suffix != ".keras":
        return _open_h5(path, trust=trust)
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError("is no zip, as files of this name are; if it is HDF5, name it .h5")
        with zipfile.ZipFile(file) as archive:
            _refuse_keras_3(_json(archive, _ABOUT).get("keras_version"))
            if not trust:
                return _from_data(archive, size=path.stat().st_size)
    return keras.models.load_model(path, compile=False, safe_mode=False)


def _open_h5(path: Path, *, trust: bool) -> keras.Model:
    if not trust:
        raise DataError(
            "is an HDF5 file of Keras, which may be a program: give --trust-teacher (trust=True in Python) if you know "
            "where it comes from, or save the model as .keras"
        )
    with h5py.File(path, "r") as file:
        _refuse_keras_3(file.attrs.get("keras_version"))
    return keras.models.load_model(path, compile=False)


def _refuse_keras_3(version: Any) -> None:
    text = version.decode("ascii", "replace") if isinstance(version, bytes) else version
    if isinstance(text, str) and (found := re.match(r"[0-9]{1,4}", text)) and int(found[0]) >= 3:
        raise DataError(
            f"was saved by Keras {found[0]}, but Larq needs Keras 2: save it with model.export(FOLDER) and give the "
            "SavedModel, with --trust-teacher"
        )


def _from_data(archive: zipfile.ZipFile, *, size: int) -> keras.Model:
    try:
        description = keras_config.checked(_json(archive, _DESCRIPTION))
    except keras_config.ProgramError as error:
        raise DataError(
            f"is more than data: {error}, which may be a program; give --trust-teacher (trust=True in Python) if you "
            "know where it comes from"
        ) from error
    with tempfile.TemporaryDirectory(prefix="bnn_exit-") as folder:
        weights = Path(folder, _WEIGHTS)
        with weights.open("wb") as copy:
            _copy(archive, _WEIGHTS, copy, limit=_MAX_RATIO * size)
        numbers = _check_weights(weights, limit=_MAX_RATIO * size)
        with tf.variable_creator_scope(_no_more_than(numbers + _SPARE)):
            model = keras.saving.deserialize_keras_object(description, safe_mode=True)
        _check_outputs(model)
        if not model.built:
            raise DataError("is a network without the shape of its input: call it once before it is saved")
        model.load_weights(str(weights))
    return model


def _no_more_than(limit: int) -> Callable[..., Any]:
    """What makes the variables of a network, until they hold more numbers than its weights have values for."""
    total = 0

    def made(following: Callable[..., Any], **options: Any) -> Any:
        nonlocal total
        total += math.prod(size or 0 for size in tf.TensorShape(options.get("shape") or ()))
        if total > limit:
            raise DataError("describes a network with more weights than it holds values for")
        return following(**options)

    return made


def _check_outputs(model: keras.Model) -> None:
    """DataError if one layer's result for one clip is larger than any network for audio needs."""
    for layer in model._flatten_layers():
        for node in layer.inbound_nodes:
            for result in tf.nest.flatten(node.outputs):
                if math.prod(size or 1 for size in result.shape) > _MAX_OUTPUT:
                    raise DataError(f"has a layer {layer.name[:40]!r} whose result is too large: {result.shape}")


def _json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    with _member(archive, name) as file:
        data = file.read(_MAX_DESCRIPTION + 1)
    if len(data) > _MAX_DESCRIPTION:
        raise DataError(f"has a {name} of more than {_MAX_DESCRIPTION} bytes")
    value = json.loads(data)
    if not isinstance(value, dict):
        raise DataError(f"has a {name} that holds no settings")
    return value


def _copy(archive: zipfile.ZipFile, name: str, target: BinaryIO, *, limit: int) -> None:
    with _member(archive, name) as file:
        while chunk := file.read(_CHUNK):
            target.write(chunk)
            if target.tell() > limit:
                raise DataError(f"has a {name} that comes out {_MAX_RATIO} times larger than the whole file")


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return archive.open(name)
    except KeyError as error:
        raise DataError(f"has no {name}, as Keras files have") from error


def _check_weights(path: Path, *, limit: int) -> int:
    """How many numbers there are; DataError unless the file holds arrays of them and no more, `limit` bytes in all."""
    seen, total, numbers = set(), 0, 0
    with h5py.File(path, "r") as file:
        groups: list[Any] = [file]
        while groups:
            group = groups.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise DataError("has weights in another file")
                item = group[name]
                place = h5py.h5o.get_info(item.id).addr
                if place in seen:
                    continue
                seen.add(place)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                    continue
                is_array = isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual
                if not is_array or item.dtype.kind not in "fiub":
                    raise DataError("has weights that are no numbers, or in another file")
                # A piece of an array is unpacked as a whole, however little of it the array uses.
                total += max(item.nbytes, math.prod(item.chunks or ()) * item.dtype.itemsize)
                numbers += item.size
                if total > limit:
                    raise DataError(f"has weights that come out {_MAX_RATIO} times larger than the whole file")
    return numbers
