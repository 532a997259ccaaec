"""A clip of whatever a model file takes, from a file: sound, or values of sensors."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bnn_exit.model_file.metadata import Metadata

Floats = npt.NDArray[np.float32]


class Clip(NamedTuple):
    """A clip that was read.

    Attributes:
        values: what `Session.predict` takes: a waveform [samples] at the rate of the model, or values [samples,
            channels].
        rate_hz: sample rate that the file had.
    """

    values: Floats
    rate_hz: float


def read_clip(metadata: Metadata, path: str | os.PathLike[str], *, data: bytes | None = None) -> Clip:
    """Read a clip for a model.

    Args:
        metadata: of the model.
        path: an audio file, of which the middle is read where it is longer than a clip, or a .npy or .csv file of
            values (see `sensors.files.read`).
        data: the bytes of the file, where they have been read already.

    Raises:
        DataError: a file that cannot be used.
    """
    name = os.fspath(path)
    if metadata.takes_values:
        from bnn_exit.sensors import files

        return Clip(files.read(name, metadata.channels, data=data), metadata.features.sample_rate_hz)
    from bnn_exit.audio import wav

    wanted = {"sample_rate_hz": metadata.sound.sample_rate_hz, "max_samples": metadata.clip_samples}
    recording = wav.load(name, **wanted) if data is None else wav.decode(data, name=name, **wanted)
    return Clip(recording.waveform, recording.rate_hz)
