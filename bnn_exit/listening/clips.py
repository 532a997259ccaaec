"""The sound of events, kept as WAV files."""

from __future__ import annotations

import datetime
import os
import re
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnn_exit.audio import wav
from bnn_exit.files import expanded
from bnn_exit.runtime.detector import Event

MARGIN_S = 0.25
"""Sound that is kept on either side of an event, as far as it is there."""
NAME_BYTES = 100
"""Of a label in a file name."""


class RecentSound:
    """The last seconds of a stream, whatever the size of its chunks."""

    def __init__(self, *, rate_hz: int, seconds: float) -> None:
        self.rate_hz = rate_hz
        self._kept = max(1, round(rate_hz * seconds))
        self._chunks: deque[NDArray[np.float32]] = deque()
        self._start = 0  # of the first chunk, in samples of the stream
        self._size = 0

    def push(self, samples: NDArray[np.float32]) -> None:
        """The next samples."""
        if not len(samples):
            return
        self._chunks.append(samples)
        self._size += len(samples)
        while self._size - len(self._chunks[0]) >= self._kept:
            self._drop()

    def skip(self, lost: int) -> None:
        """Begin again after a gap: sound from before and after it does not belong together."""
        while self._chunks:
            self._drop()
        self._start += lost

    def _drop(self) -> None:
        gone = len(self._chunks.popleft())
        self._start += gone
        self._size -= gone

    def between(self, start_s: float, end_s: float) -> NDArray[np.float32]:
        """What is still there of a part of the stream, in seconds; float32 [samples]."""
        first = max(0, round(start_s * self.rate_hz) - self._start)
        last = max(first, round(end_s * self.rate_hz) - self._start)
        return np.concatenate([np.zeros(0, np.float32), *self._chunks])[first:last]


class Saver:
    """Writes the sound of events into a folder."""

    def __init__(
        self, folder: str | os.PathLike[str], recent: RecentSound, *, began: datetime.datetime | None = None
    ) -> None:
        """
        Args:
            folder: made if it is missing.
            recent: is given the sound by others.
            began: when the sound began; it stands in the names of the files, which then differ from run to run.
        """
        self.recent = recent
        self._folder = expanded(folder)
        self._prefix = "" if began is None else f"{began:%Y%m%dT%H%M%SZ}_"

    def save(self, event: Event) -> Path | None:
        """Write the window of an event and a little around it; the path, or None if nothing is left of it.

        Raises:
            OSError: it cannot be written.
        """
        samples = self.recent.between(event.start_s - MARGIN_S, event.end_s + MARGIN_S)
        if not len(samples):
            return None
        path = self._folder / f"{self._prefix}{event.time_s:010.3f}s_{file_name(event.label)}.wav"
        wav.write(path, np.clip(samples, -1, 1), sample_rate_hz=self.recent.rate_hz)
        return path


def file_name(label: str) -> str:
    """A label as a part of a file name: letters and digits of any script, and - and _.

    Example:
        >>> file_name("../yes no")
        '_yes_no'
    """
    safe = re.sub(r"[^\w-]+", "_", label)
    return safe.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")
