"""`resample` for a stream: the same filter, with the samples that later outputs need kept from call to call."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bnn_exit.audio.resample import check_rate, coefficients, half_width, outputs_at_once


class StreamResampler:
    """Changes the sample rate of samples that come in chunks of any size.

    What it makes is `resample` of the whole stream, to rounding, and to the last bit the same for every chunking. It
    waits for half of the filter and for one group of outputs: some 15 ms from 44.1 to 16 kHz.

    Args:
        from_hz, to_hz: whole numbers above 0. Rates with a large common divisor, such as 48000 and 16000, need little
            memory; of odd ones the filter is computed again and again.

    Raises:
        ArgumentError: a rate that is not a whole number above 0.

    Example:
        >>> resampler = StreamResampler(from_hz=48000, to_hz=16000)
        >>> [len(resampler.push(np.zeros(480, np.float32))) for _ in range(3)]
        [0, 128, 128]
    """

    def __init__(self, *, from_hz: int, to_hz: int) -> None:
        source, target = check_rate("from_hz", from_hz), check_rate("to_hz", to_hz)
        divisor = math.gcd(source, target)
        self._up, self._down = target // divisor, source // divisor
        self._reach = half_width(self._up, self._down)
        # Groups of outputs as in `resample`; where a group holds several periods, it holds whole ones.
        group = outputs_at_once(self._up, self._down)
        self._period = max(self._up, group // self._up * self._up)
        self._group = min(group, self._period)
        self.reset()

    def reset(self) -> None:
        """Start again, with silence before the next sample."""
        self._waiting = np.zeros(self._reach, np.float32)
        self._first = -self._reach  # input that `_waiting` begins with
        self._made = 0  # outputs

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs, float32, that these samples complete."""
        if self._up == self._down:
            return samples
        waiting = np.concatenate([self._waiting, samples])
        groups = []
        while True:
            place = self._made % self._period
            stop = min(place + self._group, self._period)
            weights = coefficients(self._up, self._down, place, stop)
            start = self._made * self._down // self._up - self._reach - self._first
            if start + len(weights) > len(waiting):
                break
            # One group at a time: a product of other sizes may round otherwise.
            groups.append(waiting[start : start + len(weights)] @ weights)
            self._made += stop - place
        self._waiting = waiting[start:].copy()
        self._first += start
        return np.concatenate(groups) if groups else np.empty(0, np.float32)
