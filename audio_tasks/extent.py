"""Where a word lies in its clip, by its energy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FRAME_S = 0.01
BELOW_PEAK_DB = 30.0
"""In a quiet clip, a frame is of the word if it is at most this far below the loudest."""
ABOVE_FLOOR = 0.3
"""In a noisy one, if it is this share of the way from the noise to the loudest, in dB."""
STANDS_OUT_DB = 6.0
"""A clip whose loudest frame is less above its noise holds no word that could be found: the whole clip counts."""
GAP_S = 0.2
"""Pauses within a word, as before a plosive, are at most so long."""
SHORTEST_S = 0.03
"""What is shorter is a click."""


def extent(waveform: npt.ArrayLike, *, sample_rate_hz: int) -> tuple[float, float]:
    """Start and end of the loudest sound in a clip, in seconds from its start.

    Frames of 10 ms, smoothed over three, are of a sound if they exceed a level that follows from the loudest frame and
    from the noise, the tenth percentile of the frames. Sounds with short pauses between them are one. Of several the
    one of the largest energy is taken.

    Args:
        waveform: [samples], at least one.
        sample_rate_hz: of the waveform.

    Example:
        >>> clip = np.zeros(16000); clip[4000:8000] = np.sin(np.arange(4000))
        >>> extent(clip, sample_rate_hz=16000)
        (0.24, 0.51)
    """
    samples = np.asarray(waveform, np.float64)
    whole = 0.0, samples.size / sample_rate_hz
    size = max(1, round(FRAME_S * sample_rate_hz))
    count = samples.size // size
    if count < 3:
        return whole
    energy = np.square(samples[: count * size]).reshape(count, size).mean(axis=1)
    smooth = np.convolve(energy, np.ones(3) / 3, mode="same")
    level = 10 * np.log10(np.maximum(smooth, 1e-12))
    peak, floor = level.max(), np.percentile(level, 10)
    if peak - floor < STANDS_OUT_DB:
        return whole
    active = level >= max(peak - BELOW_PEAK_DB, floor + ABOVE_FLOOR * (peak - floor))
    runs = _merged(_runs(active), gap=round(GAP_S / FRAME_S))
    long_enough = [run for run in runs if active[run[0] : run[1]].sum() * FRAME_S >= SHORTEST_S] or runs
    first, last = max(long_enough, key=lambda run: energy[run[0] : run[1]].sum())
    return first * size / sample_rate_hz, last * size / sample_rate_hz


def _runs(active: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _merged(runs: list[tuple[int, int]], *, gap: int) -> list[tuple[int, int]]:
    found = runs[:1]
    for first, last in runs[1:]:
        if first - found[-1][1] <= gap:
            found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return found
