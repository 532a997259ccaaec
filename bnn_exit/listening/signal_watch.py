"""What is wrong with the sound of a microphone, said once until it is right again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SECONDS = 5.0
"""A fault that lasts so long is worth a line."""
CLIPPED = 0.999
"""Of full scale; a converter that is driven too far stays at its end."""
CLIPPED_SHARE = 0.01
"""Of the samples. Single clipped samples are common and do no harm."""

ZEROS, CONSTANT, CLIPPING = "zeros", "constant", "clipping"


class SignalWatch:
    """Looks at the sound in pieces of SECONDS, whatever the size of the chunks.

    Example:
        >>> watch = SignalWatch(rate_hz=16000)
        >>> watch.push(np.zeros(80000, np.float32))
        ['only zeros for 5 s: is the microphone muted, switched off, or the wrong one (--list-devices)?']
    """

    def __init__(self, *, rate_hz: int, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._samples = max(1, round(rate_hz * seconds))
        self._said: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._count = self._clipped = 0
        self._lowest, self._highest = np.inf, -np.inf

    def push(self, samples: NDArray[np.float32]) -> list[str]:
        """The lines that the user should see now."""
        lines = []
        while len(samples):
            piece, samples = np.split(samples, [self._samples - self._count])
            self._count += len(piece)
            self._clipped += int(np.count_nonzero(np.abs(piece) >= CLIPPED))
            self._lowest = min(self._lowest, float(piece.min()))
            self._highest = max(self._highest, float(piece.max()))
            if self._count == self._samples:
                line = self._line(self._fault())
                lines += [line] if line else []
                self._begin()
        return lines

    def _fault(self) -> str | None:
        if self._lowest == self._highest:
            return ZEROS if self._lowest == 0 else CONSTANT
        return CLIPPING if self._clipped > CLIPPED_SHARE * self._count else None

    def _line(self, fault: str | None) -> str | None:
        before, self._said = self._said, fault
        if fault == before:
            return None
        lasted = f"for {self._seconds:g} s"
        if fault is None:
            return "the sound is usable again"
        return {
            ZEROS: f"only zeros {lasted}: is the microphone muted, switched off, or the wrong one (--list-devices)?",
            CONSTANT: f"every sample is {self._highest:.3g} {lasted}: is the microphone connected?",
            CLIPPING: f"{100 * self._clipped / self._count:.0f} % of the samples are clipped {lasted}: "
            "lower the recording level",
        }[fault]
