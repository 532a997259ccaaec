"""Sample-rate conversion: a Kaiser-windowed sinc, applied in polyphase form as small matrix products."""

from __future__ import annotations

import math
import numbers
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bnn_exit.audio.waveform import check
from bnn_exit.errors import ArgumentError

# 64 zero crossings a side and this Kaiser window: 80 dB stop band from the Nyquist frequency of the slower rate on,
# flat (within 0.001 dB) up to 0.92 of it.
ZERO_CROSSINGS = 64
KAISER_BETA = 7.857
CUTOFF = 0.961

_BLOCK_ELEMENTS = 1 << 20  # of the largest temporary, so that an hour of audio needs no more than a second


def resample(waveform: Any, *, from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """The waveform at another sample rate: float32 [ceil(samples * to_hz / from_hz)].

    Output n is the band-limited signal at time n / to_hz, so nothing is delayed; outside the waveform there is silence.
    Any two whole rates work. Samples may overshoot full scale a little, as any band-limited copy does.

    Raises:
        ArgumentError: as `waveform.check`, or a rate that is not a whole number above 0.
    """
    samples = check(waveform)
    source, target = check_rate("from_hz", from_hz), check_rate("to_hz", to_hz)
    divisor = math.gcd(source, target)
    up, down = target // divisor, source // divisor
    if up == down:
        return samples
    return _polyphase(samples, up, down)


def check_rate(name: str, rate: Any) -> int:
    """`rate` as an int, or ArgumentError naming the argument."""
    if not isinstance(rate, numbers.Integral) or isinstance(rate, bool) or rate < 1:
        raise ArgumentError(f"{name} is {rate!r}, but must be a whole number of Hz above 0")
    return int(rate)


def kernel(offsets: NDArray[np.int64], up: int, down: int) -> NDArray[np.float64]:
    """Values of the filter, cutoff * sinc(cutoff * t) * kaiser(t / half width), at t = offsets / up input samples."""
    cutoff = CUTOFF * min(1.0, up / down)
    time = offsets / up
    inside = np.clip(1 - (time * cutoff / ZERO_CROSSINGS) ** 2, 0, None)
    taper = np.where(inside > 0, np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA), 0)
    return cutoff * np.sinc(cutoff * time) * taper


def half_width(up: int, down: int) -> int:
    """Input samples on either side of an output's time beyond which the filter is 0."""
    return math.ceil(ZERO_CROSSINGS / (CUTOFF * min(1.0, up / down)))


def _polyphase(samples: NDArray[np.float32], up: int, down: int) -> NDArray[np.float32]:
    # Outputs n and n + up lie equally between their input samples, `down` inputs apart, so they share coefficients:
    # a group of neighbouring outputs is one product [periods, width] @ [width, group]. A group that spans about one
    # filter length wastes half of the multiplications on zeros and still beats every loop over phases.
    reach = half_width(up, down)
    group = max(1, 2 * reach * up // down)
    repeat = -(-group // up)  # several periods as one, where a period is shorter than a group
    period_out, period_in = repeat * up, repeat * down
    total = -(-samples.size * up // down)
    periods = -(-total // period_out)

    padded = np.pad(samples, (reach, (periods + 1) * period_in + 2 * reach + 2 - samples.size))
    result = np.zeros((periods, period_out), np.float32)
    for start in range(0, min(period_out, total), group):
        stop = min(start + group, period_out)
        coefficients = _coefficients(up, down, start, stop)
        first = start * down // up
        windows = sliding_window_view(padded, len(coefficients))[first::period_in][:periods]
        rows = max(1, _BLOCK_ELEMENTS // len(coefficients))
        for row in range(0, periods, rows):
            result[row : row + rows, start:stop] = windows[row : row + rows] @ coefficients
    return result.reshape(-1)[:total]


@lru_cache(maxsize=128)
def _coefficients(up: int, down: int, start: int, stop: int) -> NDArray[np.float32]:
    """[width, stop - start]: what each output takes of the inputs from `reach` before the first output's time on."""
    reach = half_width(up, down)
    first, last = start * down // up - reach, (stop - 1) * down // up + reach + 1
    inputs = np.arange(first, last + 1)[:, None]
    outputs = np.arange(start, stop)[None, :]
    return kernel(outputs * down - inputs * up, up, down).astype(np.float32)
