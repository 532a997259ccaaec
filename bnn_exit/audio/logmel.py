"""The log-mel features in NumPy: the reference of every other implementation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bnn_exit.audio.waveform import check
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.features import FeatureConfig

# Frames at once, ten seconds at the default hop, and points of their transforms: bounds of the memory for long audio.
_BLOCK_FRAMES = 1024
_BLOCK_POINTS = 1 << 22


@lru_cache(maxsize=32)
def mel_matrix(features: FeatureConfig) -> NDArray[np.float32]:
    """Weights [fft_size // 2 + 1, num_mels] from power spectrum to mel bands; read-only.

    Band b is a triangle of height 1 over frequency, from corner b over corner b + 1 to corner b + 2; the num_mels + 2
    corners are evenly spaced on the HTK mel scale, mel = 2595 log10(1 + hz / 700), from lower_hz to upper_hz.
    A band narrower than the distance of two FFT bins may hold none and is then constant: take more `fft_size`.
    """
    low, high = 2595 * np.log10(1 + np.array([features.lower_hz, features.upper_hz]) / 700)
    corners_hz = 700 * (10 ** (np.linspace(low, high, features.num_mels + 2) / 2595) - 1)
    bins_hz = np.arange(features.fft_size // 2 + 1)[:, None] * (features.sample_rate_hz / features.fft_size)
    left, centre, right = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    return _read_only(np.maximum(0, np.minimum(rising, falling)))


@lru_cache(maxsize=32)
def window(features: FeatureConfig) -> NDArray[np.float32]:
    """The periodic Hann window [window_samples], 0.5 - 0.5 cos(2 pi n / window_samples); read-only."""
    return _read_only(_hann(features.window_samples))


def log_mel(waveform: Any, features: FeatureConfig) -> NDArray[np.float32]:
    """The features [frames, num_mels] = ln(|rfft(window * frame)|^2 @ mel_matrix + log_offset), float32.

    Frame i starts at sample i * hop_samples: no centring, no padding at the ends of the waveform; samples after the
    last whole frame are not used. Each windowed frame is padded with zeros at its end to fft_size.

    Args:
        waveform: as `waveform.check` takes it, at `features.sample_rate_hz`.
        features: the settings.

    Raises:
        ArgumentError: as `waveform.check`, or shorter than one window.
    """
    return of_samples(check(waveform), features)


def of_samples(samples: NDArray[np.float32], features: FeatureConfig) -> NDArray[np.float32]:
    """`log_mel` of samples that `waveform.check` gave."""
    if samples.size < features.window_samples:
        raise ArgumentError(
            f"waveform has {samples.size} samples, but must have at least the window of {features.window_samples}: "
            "lengthen it with fit_length"
        )
    frames = sliding_window_view(samples, features.window_samples)[:: features.hop_samples]
    # float64 throughout: a window rounded to float32 leaks enough of a loud tone into an empty band to be seen there.
    hann = _hann(features.window_samples)
    result = np.empty((len(frames), features.num_mels), np.float32)
    block = min(_BLOCK_FRAMES, _BLOCK_POINTS // features.fft_size)
    for start in range(0, len(frames), block):
        spectrum = np.fft.rfft(frames[start : start + block] * hann, n=features.fft_size)
        power = spectrum.real**2 + spectrum.imag**2
        result[start : start + block] = np.log(_mel_power(power, features) + features.log_offset)
    return result


def _mel_power(power: NDArray[np.float64], features: FeatureConfig) -> NDArray[np.float64]:
    """power [frames, bins] @ mel_matrix, each frame by itself.

    A matrix product sums in an order that depends on the number of frames, and may start threads for a single one.
    This sum is the same for a frame whether it is made alone, as in a stream, or with others.
    """
    result = np.zeros((len(power), features.num_mels))
    for bands, first_bins, weights in _band_sums(features):
        result[:, bands] = np.add.reduceat(power * weights, first_bins, axis=1)
    return result


@lru_cache(maxsize=32)
def _band_sums(features: FeatureConfig) -> list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]]:
    """Bands of even and of odd number: the bands, the first bin of each, and their weights [bins] in one row.

    Only neighbours overlap, so every second band has bins of its own; the bins between two of them weigh nothing.
    """
    matrix = mel_matrix(features).astype(np.float64)
    # A band without bins stays at 0.
    parts = [np.flatnonzero((matrix > 0).any(axis=0) & (np.arange(features.num_mels) % 2 == odd)) for odd in (0, 1)]
    return [
        (bands, (matrix[:, bands] > 0).argmax(axis=0), matrix[:, bands].sum(axis=1)) for bands in parts if bands.size
    ]


def _hann(size: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float32]:
    single = values.astype(np.float32)
    single.setflags(write=False)  # the cache hands the same array to every caller
    return single
