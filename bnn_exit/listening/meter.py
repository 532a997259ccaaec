"""A level meter: one line of a terminal that is written again and again."""

from __future__ import annotations

import math
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

WIDTH = 30
FLOOR_DB = -60.0
_ERASE = "\r\x1b[K"


class Meter:
    """Draws the level on a terminal, and nothing where there is none."""

    def __init__(self, file: TextIO, *, rate_hz: int, refresh_s: float = 0.1) -> None:
        """
        Args:
            file: standard error, so that standard output holds events alone.
            rate_hz: of the samples.
            refresh_s: sound from one drawing to the next.
        """
        self._file = file
        self._on = file.isatty()
        self._every = max(1, round(rate_hz * refresh_s))
        self._count, self._power, self._peak = 0, 0.0, 0.0
        self._drawn = False

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the samples into account, and draw if it is time."""
        if not self._on or not len(samples):
            return
        self._count += len(samples)
        self._power += float(np.dot(samples, samples))
        self._peak = max(self._peak, float(np.abs(samples).max()))
        if self._count >= self._every:
            self._file.write("\r" + bar(self._power / self._count, self._peak) + "\x1b[K")
            self._file.flush()
            self._drawn = True
            self._count, self._power, self._peak = 0, 0.0, 0.0

    def erase(self) -> None:
        """Take the line away, before something else is printed."""
        if self._drawn:
            self._file.write(_ERASE)
            self._file.flush()
            self._drawn = False


def bar(power: float, peak: float) -> str:
    """The mean power as a bar, in dB below full scale, with a mark if the peak reaches it.

    Example:
        >>> bar(0.01, 0.3)
        '[####################          ] -20 dB'
    """
    level = 10 * math.log10(power) if power > 0 else -math.inf
    filled = round(WIDTH * min(1.0, max(0.0, 1 - level / FLOOR_DB)))
    shown = f"{level:.0f} dB" if level > FLOOR_DB else "quiet"
    return f"[{'#' * filled}{' ' * (WIDTH - filled)}] {shown}{' clipped' if peak >= 0.999 else ''}"
