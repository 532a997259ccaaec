"""Sample-rate conversion: a Kaiser-windowed sinc, applied in polyphase form as small matrix products."""

from __future__ import annotations

import math
import numbers
import threading
from collections import OrderedDict
from collections.abc import Callable
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
# Of the series of I0(beta * sqrt(x)) in x, the Bessel function of this window; the rest is below 1e-15 of it.
_BESSEL = [(KAISER_BETA / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(24)]

_PIECE = 1 << 22  # samples that are read or made at once where a waveform is not in memory
_KEPT_BYTES = 1 << 25
_kept: OrderedDict[tuple[int, int, int, int], NDArray[np.float32]] = OrderedDict()
_lock = threading.Lock()
_BLOCK_ELEMENTS = 1 << 20  # of the largest temporary, so that an hour of audio needs no more than a second


def resample(waveform: Any, *, from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """The waveform at another sample rate: float32 [ceil(samples * to_hz / from_hz)].

    At its own rate it is what `check` gives.
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


def resampled_length(samples: int, *, from_hz: int, to_hz: int) -> int:
    """How many samples `resample` makes of so many."""
    return -(-samples * to_hz // from_hz)


def resample_part(
    read: Callable[[int, int], NDArray[np.float32]],
    size: int,
    *,
    from_hz: int,
    to_hz: int,
    first: int,
    last: int,
) -> NDArray[np.float32]:
    """`resample(waveform)[first:last]` of a waveform that need not be in memory: only what these samples need is read.

    Args:
        read: (start, stop) -> samples of the waveform, float32 [stop - start].
        size: samples of the waveform.
        from_hz, to_hz: whole numbers above 0.
        first, last: 0 <= first < last <= resampled_length(size).
    """
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    step = max(1, min(_PIECE, _PIECE * up // down))
    pieces = range(first, last, step)
    if len(pieces) == 1:
        return _piece(read, size, up, down, first, last)
    result = np.empty(last - first, np.float32)
    for start in pieces:
        stop = min(start + step, last)
        result[start - first : stop - first] = _piece(read, size, up, down, start, stop)
    return result


def _piece(
    read: Callable[[int, int], NDArray[np.float32]], size: int, up: int, down: int, first: int, last: int
) -> NDArray[np.float32]:
    if up == down:
        return read(first, last)
    reach = half_width(up, down)
    # From a whole period on, so that output `first` lies between its inputs as it does in the whole.
    periods = max(0, first * down // up - reach) // down
    stop = min(size, (last - 1) * down // up + reach + 2)
    made = _polyphase(read(periods * down, stop), up, down)
    return made[first - periods * up : last - periods * up]


def check_rate(name: str, rate: Any) -> int:
    """`rate` as an int, or ArgumentError naming the argument; 44100.0 is whole, as some recorders give it."""
    is_whole = isinstance(rate, numbers.Integral) or (isinstance(rate, numbers.Real) and float(rate).is_integer())
    if not is_whole or isinstance(rate, bool) or rate < 1:
        raise ArgumentError(f"{name} is {rate!r}, but must be a whole number of Hz above 0")
    return int(rate)


def kernel(offsets: NDArray[np.int64], up: int, down: int) -> NDArray[np.float64]:
    """Values of the filter, cutoff * sinc(cutoff * t) * kaiser(t / half width), at t = offsets / up input samples."""
    cutoff = CUTOFF * min(1.0, up / down)
    crossings = offsets * (cutoff / up)
    inside = 1 - (crossings / ZERO_CROSSINGS) ** 2
    within = inside > 0
    # I0(beta * sqrt(x)) as a polynomial in x, in place: odd rates need some ten million values.
    x = inside[within]
    values = np.full(x.shape, _BESSEL[-1])
    for term in _BESSEL[-2::-1]:
        values *= x
        values += term
    values *= np.sinc(crossings[within]) * (cutoff / sum(_BESSEL))
    result = np.zeros(inside.shape)
    result[within] = values
    return result


def half_width(up: int, down: int) -> int:
    """Input samples on either side of an output's time beyond which the filter is 0."""
    return math.ceil(ZERO_CROSSINGS / (CUTOFF * min(1.0, up / down)))


def outputs_at_once(up: int, down: int) -> int:
    """Neighbouring outputs that are made by one product: about the length of the filter."""
    return max(1, 2 * half_width(up, down) * up // down)


def _polyphase(samples: NDArray[np.float32], up: int, down: int) -> NDArray[np.float32]:
    # Outputs n and n + up lie equally between their input samples, `down` inputs apart, so they share coefficients:
    # a group of neighbouring outputs is one product [periods, width] @ [width, group]. A group that spans about one
    # filter length wastes half of the multiplications on zeros and still beats every loop over phases.
    reach = half_width(up, down)
    group = outputs_at_once(up, down)
    repeat = -(-group // up)  # several periods as one, where a period is shorter than a group
    period_out, period_in = repeat * up, repeat * down
    total = -(-samples.size * up // down)
    periods = -(-total // period_out)

    padded = np.pad(samples, (reach, (periods + 1) * period_in + 2 * reach + 2 - samples.size))
    result = np.zeros((periods, period_out), np.float32)
    for start in range(0, min(period_out, total), group):
        stop = min(start + group, period_out)
        weights = coefficients(up, down, start, stop)
        first = start * down // up
        windows = sliding_window_view(padded, len(weights))[first::period_in][:periods]
        rows = max(1, _BLOCK_ELEMENTS // len(weights))
        for row in range(0, periods, rows):
            result[row : row + rows, start:stop] = windows[row : row + rows] @ weights
    return result.reshape(-1)[:total]


def coefficients(up: int, down: int, start: int, stop: int) -> NDArray[np.float32]:
    """[width, stop - start]: what each output takes of the inputs from `reach` before the first output's time on.

    Those of the last calls are kept, up to _KEPT_BYTES: odd rates need hundreds of megabytes of them.
    """
    key = up, down, start, stop
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    made = _made_coefficients(up, down, start, stop)
    with _lock:
        _kept[key] = made
        while sum(each.nbytes for each in _kept.values()) > _KEPT_BYTES:
            _kept.popitem(last=False)
    return made


def _made_coefficients(up: int, down: int, start: int, stop: int) -> NDArray[np.float32]:
    reach = half_width(up, down)
    first, last = start * down // up - reach, (stop - 1) * down // up + reach + 1
    inputs = np.arange(first, last + 1)[:, None]
    outputs = np.arange(start, stop)[None, :]
    return kernel(outputs * down - inputs * up, up, down).astype(np.float32)
