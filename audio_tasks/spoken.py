"""What tasks of synthetic speech share: the cut to the speech, its place in noise, repeatable random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio_tasks.cache import digest
from audio_tasks.noises import NOISES
from bnn_exit.errors import ArgumentError

_MARGIN_S = 0.02  # of quiet kept on either side of a word when espeak-ng's own silence is cut off
_AUDIBLE = 100  # of 32768


def generator_of(*parts: object) -> np.random.Generator:
    """Random numbers that depend on `parts` alone, so that nothing depends on the order in which clips are made."""
    return np.random.default_rng(int(digest(parts), 16))


def audible_part(spoken: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """The speech of int16 [samples] without the silence around it; empty if nothing is audible."""
    audible = np.flatnonzero(np.abs(spoken.astype(np.int32)) > _AUDIBLE)
    if audible.size == 0:
        return spoken[:0]
    margin = round(_MARGIN_S * sample_rate_hz)
    return spoken[max(0, audible[0] - margin) : audible[-1] + 1 + margin]


def place_in_noise(
    speech: np.ndarray,
    generator: np.random.Generator,
    *,
    snr_db: tuple[float, float],
    samples: int,
    sample_rate_hz: int,
) -> np.ndarray:
    """A clip, float32 [samples] in [-1, 1]: `speech` (no longer than that) somewhere in noise of a drawn kind.

    The ratio is that of mean powers, of the speech over its own length and of the noise over the clip. Speech that is
    empty or silent leaves the noise alone.
    """
    loudness = 10 ** (generator.uniform(-30, -12) / 20)  # RMS below full scale: from soft to close to the microphone
    ratio = 10 ** (generator.uniform(*snr_db) / 20)
    start = int(generator.integers(0, samples - len(speech) + 1))
    noise = NOISES[str(generator.choice(sorted(NOISES)))](generator, samples=samples, sample_rate_hz=sample_rate_hz)
    clip = noise * np.float32(loudness / ratio)
    if np.any(speech):
        clip[start : start + len(speech)] += speech * np.float32(loudness / np.sqrt(np.mean(speech**2)))
    return np.clip(clip, -1, 1)


def checked_snr(snr_db: str | Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest ratio, given as two numbers or as text with a comma; ArgumentError for others."""
    try:
        low, high = (float(value) for value in (snr_db.split(",") if isinstance(snr_db, str) else snr_db))
    except (TypeError, ValueError):
        low = high = float("nan")
    if not -20 <= low <= high <= 100:
        raise ArgumentError(f"snr_db is {snr_db!r}, but must be two numbers, lowest and highest, from -20 to 100")
    return low, high


def check_count(name: str, value: int, lowest: int, highest: int) -> None:
    """Raise ArgumentError unless `value` is a whole number in that range."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ArgumentError(f"{name} is {value!r}, but must be a whole number from {lowest} to {highest}")
