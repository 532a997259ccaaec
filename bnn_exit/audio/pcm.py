"""Raw PCM without a header, in pieces of any size: of a pipe or a network connection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnn_exit.errors import ArgumentError

WIDTHS = (1, 2, 4)
"""Bytes of a sample: one is unsigned as in WAV files, the others have a sign; the low byte comes first."""

MAX_CHANNELS = 32


class PcmDecoder:
    """Bytes to samples. What is left of a piece that ends within a frame is kept for the next.

    Example:
        >>> decoder = PcmDecoder(width=2, channels=1)
        >>> decoder.push(b"\\x00\\x40\\x00"), decoder.left
        (array([0.5], dtype=float32), 1)
    """

    def __init__(self, *, width: int = 2, channels: int = 1) -> None:
        """
        Args:
            width: bytes of a sample, one of WIDTHS.
            channels: interleaved samples of a frame, 1 to MAX_CHANNELS.

        Raises:
            ArgumentError: another number.
        """
        if width not in WIDTHS:
            raise ArgumentError(f"width is {width!r} bytes, but must be one of {', '.join(map(str, WIDTHS))}")
        if isinstance(channels, bool) or not isinstance(channels, int) or not 1 <= channels <= MAX_CHANNELS:
            raise ArgumentError(f"channels is {channels!r}, but must be a whole number from 1 to {MAX_CHANNELS}")
        self.width, self.channels = width, channels
        self._left = b""

    @property
    def left(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._left)

    def push(self, data: bytes) -> NDArray[np.float32]:
        """The whole frames so far, float32 [frames] in [-1, 1], the mean of the channels."""
        data = self._left + data
        size = self.width * self.channels
        whole = len(data) // size * size
        self._left = data[whole:]
        samples = _floats(np.frombuffer(data[:whole], np.dtype(_TYPES[self.width])), self.width)
        if self.channels == 1:
            return samples
        return samples.reshape(-1, self.channels).mean(axis=1, dtype=np.float64).astype(np.float32)


_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}


def _floats(values: NDArray[Any], width: int) -> NDArray[np.float32]:
    if width == 1:
        return (values.astype(np.float32) - np.float32(128)) * np.float32(1 / 128)
    return values.astype(np.float32) * np.float32(2.0 ** (1 - 8 * width))
