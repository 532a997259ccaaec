"""An audio file in place of a microphone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bnn_exit.audio import wav
from bnn_exit.listening.source import Chunk


class Recording:
    """An audio file, as fast as it can be recognised.

    Raises:
        DataError, MissingPackageError: as `wav.read`, when it is made.
    """

    is_live = False

    def __init__(self, path: str | os.PathLike[str], *, rate_hz: int) -> None:
        self.name, self.rate_hz = os.fspath(path), rate_hz
        self._waveform = wav.read(path, sample_rate_hz=rate_hz)

    def chunks(self) -> Iterator[Chunk]:
        """Its samples, a tenth of a second at a time."""
        step = max(1, self.rate_hz // 10)
        for start in range(0, len(self._waveform), step):
            yield Chunk(self._waveform[start : start + step])
