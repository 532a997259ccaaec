"""The level of a clip, and whether it is too quiet for a recording of speech."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FRAME = 320
"""Samples of a frame: 20 ms at 16 kHz. It need not be the same time at every rate."""
ACTIVE_DB = 20.0
"""A frame is active if it is at most this far below the loudest."""
SPEECH_DB = -20.0
"""Approximate active level of well-recorded speech."""
QUIET_DB = -40.0
"""Clips of a lower active level are quiet: networks that were trained on speech of the usual level begin to fail."""
NORMALISED_QUIET_DB = -60.0
"""The same for networks that bring every clip to one level: by at most 40 dB (`models.level.MAX_GAIN_DB`)."""
_LOW_BYTES_DB = -48.0
"""24 bits in the low bytes of 32 never reach more."""


class Level(NamedTuple):
    """Of a clip, in dBFS: 0 is the square wave of full scale; -inf is digital silence.

    Attributes:
        rms: of all samples.
        active: RMS of the frames at most 20 dB below the loudest, so that pauses around a word do not count.
        peak: largest absolute sample.
    """

    rms: float
    active: float
    peak: float


def level(waveform: npt.ArrayLike) -> Level:
    """The level of a waveform `[samples]`, full scale 1.

    Example: `level(0.1 * np.ones(16000))` is -20 dB in all three.
    """
    samples = np.asarray(waveform, np.float64)
    squares = np.square(samples)
    whole = squares[: len(squares) // FRAME * FRAME]
    frames = whole.reshape(-1, FRAME).mean(axis=1) if len(whole) else squares.mean(keepdims=True)
    active = frames[frames >= frames.max() * 10 ** (-ACTIVE_DB / 10)]
    return Level(*(_decibels(power) for power in (squares.mean(), active.mean(), squares.max())))


def quietness(waveform: npt.ArrayLike, *, normalised: bool = False) -> str | None:
    """A warning about a clip far below the level of speech, to follow its name; None if it is loud enough.

    Args:
        waveform: `[samples]`, full scale 1.
        normalised: whether the network brings every clip to one level.
    """
    found = level(waveform)
    if found.peak == -np.inf:
        return "digital silence: is the microphone on, and the right one?"
    if found.active >= (NORMALISED_QUIET_DB if normalised else QUIET_DB):
        return None
    hint = "raise the recording level"
    if found.peak < _LOW_BYTES_DB:
        hint += (
            ", or record S16_LE if it was recorded as S24_LE: 24 bits in the low bytes of 32 are read 48 dB too quiet"
        )
    return f"its active level is {found.active:.0f} dBFS, that of speech about {SPEECH_DB:.0f}: {hint}"


def _decibels(power: Any) -> float:
    return 10 * float(np.log10(power)) if power > 0 else -np.inf
