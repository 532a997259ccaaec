"""An energy gate: which windows of a stream are loud enough for the network. `core/stream/gate.cpp` does the same."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bnn_exit.model_file.listening_points import GateSettings, rounded

_DECIBELS = 10 / math.log(10)


class Gate:
    """Opens where a frame is louder than the noise floor by a margin, and stays open for the hang-over.

    The level of a frame is the mean of its log-mel over the bands, in dB. The floor is the lowest level so far, plus
    what it rose since then (a minimum tracker, as in Martin 1994, "Spectral subtraction based on minimum statistics").

    Args:
        settings: margin, rise and hang-over.
        hop_s: from one frame to the next, in seconds.
        window_frames: frames of a window.

    Example:
        >>> gate = Gate(GateSettings(), hop_s=0.01, window_frames=98)
        >>> gate.push(log_mel_of_new_frames)
        >>> gate.is_open
        False
    """

    def __init__(self, settings: GateSettings, *, hop_s: float, window_frames: int) -> None:
        self._margin, self._rise = settings.margin_db, settings.rise_db_per_s * hop_s
        # A window with a loud frame in it always runs.
        self._reach = max(window_frames, rounded(settings.hang_over_ms / (hop_s * 1000)))
        self.reset()

    def reset(self) -> None:
        """Forget the floor, as after a gap in the stream."""
        self._floor = math.inf
        self._quiet = self._reach  # frames since the last loud one

    @property
    def is_open(self) -> bool:
        """Whether a window that ends with the newest frame should run."""
        return self._quiet < self._reach

    def push(self, frames: npt.NDArray[np.float32]) -> None:
        """Take the next frames: log-mel [frames, mels]."""
        for level in _levels(frames):
            self._floor = min(level, self._floor + self._rise)
            self._quiet = 0 if level > self._floor + self._margin else min(self._quiet + 1, self._reach)


def _levels(frames: npt.NDArray[np.float32]) -> Iterable[float]:
    # One band after the other, as C adds them; NumPy's sum adds pairs.
    total = np.zeros(len(frames))
    for band in range(frames.shape[1]):
        total += frames[:, band]
    return (total / frames.shape[1] * _DECIBELS).tolist()
