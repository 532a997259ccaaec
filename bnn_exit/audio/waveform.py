"""Waveforms in memory: what counts as one, and how it is brought to a fixed length."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn_exit.errors import ArgumentError

# Full scale is 1. Far above it the samples are not on our scale (such as 16-bit values held as floats), and every
# feature would be wrong without a word; a little above it is ordinary overshoot.
PEAK_LIMIT = 100.0


def check(waveform: Any) -> NDArray[np.float32]:
    """The waveform as float32 [samples], full scale 1: the given array itself if it is that already.

    Args:
        waveform: one-dimensional, float of any width, or int16 (scaled by 1/32768).

    Raises:
        ArgumentError: another shape or dtype, no samples, NaN or infinite samples, or floats far beyond full scale.
    """
    if isinstance(waveform, (str, os.PathLike)):
        raise ArgumentError(
            f"waveform is {os.fspath(waveform)!r}, but must be an array of samples: read a file with "
            "bnn_exit.audio.wav.read"
        )
    if isinstance(waveform, (bytes, bytearray)):
        raise ArgumentError(
            f"waveform is {len(waveform)} bytes, but must be an array of samples: np.frombuffer(data, np.int16) makes "
            "one of 16-bit samples"
        )
    samples = np.asarray(waveform)
    if samples.ndim == 0:
        raise ArgumentError(f"waveform is {samples}, but must be an array of samples")
    if samples.ndim != 1:
        raise ArgumentError(
            f"waveform has shape {samples.shape}, but must be one-dimensional [samples]: take the mean over channels"
        )
    if samples.dtype != np.int16 and samples.dtype.kind != "f":
        raise ArgumentError(f"waveform has dtype {samples.dtype}, but must be float in [-1, 1] or int16")
    if samples.size == 0:
        raise ArgumentError("waveform has 0 samples, but must have at least 1")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) * np.float32(1 / 32768)
    problem = fault(samples)
    if problem:
        raise ArgumentError(f"waveform {problem}")
    return samples.astype(np.float32, copy=False)


def fault(samples: NDArray[np.floating[Any]]) -> str | None:
    """What makes float `samples` unusable, worded to follow the name of a waveform or a file; None if nothing does."""
    peak = max(-float(samples.min()), float(samples.max()))  # NaN and infinity survive both; no copy is made
    if not np.isfinite(peak):
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        return f"has {bad} NaN or infinite samples, but all must be finite: record or export it again"
    if peak > PEAK_LIMIT:
        return f"reaches {peak:g}, but full scale is 1: divide 16-bit values by 32768"
    return None


def fit_length(waveform: Any, samples: int) -> NDArray[np.float32]:
    """The waveform as exactly `samples` samples: a shorter one is centred between zeros, a longer one keeps its centre,
    as a view of the given array if it can be.

    Raises:
        ArgumentError: as `check`, or `samples` below 1.
    """
    checked = check(waveform)
    if samples < 1:
        raise ArgumentError(f"samples is {samples!r}, but must be at least 1")
    surplus = checked.size - samples
    if surplus >= 0:
        start = surplus // 2
        return checked[start : start + samples]
    before = -surplus // 2
    return np.pad(checked, (before, -surplus - before))
