"""Checkpoints: the whole state of a training in one file, replaced atomically."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.errors import DataError
from bnn_exit.files import write_arrays


def save(path: Path, *, variables: list[tf.Variable], state: dict[str, Any]) -> None:
    """Write the values of `variables`, in order, and `state` (JSON values)."""
    arrays = {f"variable_{index}": variable.numpy() for index, variable in enumerate(variables)}
    write_arrays(path, {"state": np.frombuffer(json.dumps(state).encode(), np.uint8), **arrays})


def load(path: Path, *, variables: list[tf.Variable], advice: str = "start the training again") -> dict[str, Any]:
    """Give `variables` the values written by `save` and return its state.

    Args:
        path: of the file.
        variables: as many as were saved, in the same order.
        advice: what to do about a file that does not fit.

    Raises:
        DataError: the file is damaged or belongs to another network; no variable has then been changed.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if any(member.compress_type for member in file.zip.infolist()):
                raise ValueError("it is compressed, and may be larger than the memory")
            state = json.loads(file["state"].tobytes())
            values = [file[f"variable_{index}"] for index in range(len(file.files) - 1)]
    except Exception as error:  # whatever damage causes
        raise DataError(f"checkpoint {str(path)!r} cannot be read ({error}): {advice}") from error
    found = [(value.shape, value.dtype.name) for value in values]
    if found != [(tuple(variable.shape), variable.dtype.name.removesuffix("_ref")) for variable in variables]:
        raise DataError(f"checkpoint {str(path)!r} belongs to another network or optimizer: {advice}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state
