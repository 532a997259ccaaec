"""Windows of values in memory: what counts as one, and how it is brought to a fixed length."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn_exit.errors import ArgumentError


def check(values: Any, channels: Sequence[str]) -> NDArray[np.float32]:
    """The values as float32 [samples, channels]: the given array itself if it is that already.

    Args:
        values: real numbers, [samples, channels] in the order of `channels`; of one channel [samples] will do.
        channels: names, as the model file has them.

    Raises:
        ArgumentError: another shape or type, no samples, or NaN or infinity.

    Example:
        >>> check([[1, 2], [3, 4]], ("light", "heat")).shape
        (2, 2)
    """
    if isinstance(values, (str, bytes, bytearray, os.PathLike)):
        raise ArgumentError(
            f"values is {values!r}, but must be an array [samples, channels]: bnn_exit.sensors.files.read reads a file"
        )
    array = np.asarray(values)
    if array.ndim == 1 and len(channels) == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != len(channels):
        raise ArgumentError(
            f"values has shape {array.shape}, but must be [samples, channels] with {len(channels)} "
            f"channel{'' if len(channels) == 1 else 's'}: {', '.join(channels[:8])}{', ...' * (len(channels) > 8)}"
        )
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"values has the type {array.dtype}, but must hold real numbers")
    if not len(array):
        raise ArgumentError("values has 0 samples, but must have at least 1")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        found = array.astype(np.float32, copy=False)
    bad = ~np.isfinite(found)
    if bad.any():
        sample, channel = (int(number) for number in np.argwhere(bad)[0])
        raise ArgumentError(
            f"values has {int(bad.sum())} NaN or infinite numbers, the first in sample {sample + 1} of "
            f"{channels[channel]}, but all must be finite"
        )
    return found


def fit_length(values: Any, samples: int, channels: Sequence[str]) -> NDArray[np.float32]:
    """The middle `samples` samples of values: [samples, channels].

    Nothing is put around shorter ones, as silence is around sound: for values there is no such thing.

    Raises:
        ArgumentError: as `check`, or fewer samples.
    """
    checked = check(values, channels)
    surplus = len(checked) - samples
    if surplus < 0:
        raise ArgumentError(f"values has {len(checked)} samples, but a window of this file has {samples}")
    return checked[surplus // 2 : surplus // 2 + samples]
