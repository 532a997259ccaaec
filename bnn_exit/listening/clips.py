"""The sound of events, kept as WAV files."""

from __future__ import annotations

import os
import re
import tempfile
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnn_exit.audio import wav
from bnn_exit.display import shown
from bnn_exit.errors import ArgumentError, describe_os_error
from bnn_exit.files import expanded
from bnn_exit.listening.source import Tell
from bnn_exit.runtime.detector import Event

MARGIN_S = 0.25
"""Sound that is kept on either side of an event, as far as it is there."""
NAME_BYTES = 100
"""Of a label or a source in a file name."""
LIMIT_MB = 1000.0
"""Of saved sound: some 15,000 events of a second at 16 kHz."""
WAV_HEAD_BYTES = 44


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
    """Writes the sound of events into a folder, up to a limit.

    At the limit saving stops. Nothing is deleted, because the files may be somebody's clips for a training. It goes on
    when files were taken out of the folder.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        recent: RecentSound,
        *,
        tell: Tell,
        source: str = "",
        limit_mb: float = LIMIT_MB,
    ) -> None:
        """
        Args:
            folder: made if it is missing.
            recent: is given the sound by others.
            tell: is told when the limit is reached.
            source: of the sound, such as when it began or the name of a recording. The names of the files begin with
                it, so that those of other sound are not written over.
            limit_mb: of all WAV files in the folder together, also those that were there before.

        Raises:
            ArgumentError: it is no folder, or one that cannot be written.
        """
        if not os.fspath(folder):
            raise ArgumentError("save is empty, but must be a folder")
        self.recent = recent
        self._folder = expanded(folder)
        self._prefix = f"{file_name(source)}_" if source else ""
        self._tell, self._limit = tell, round(1e6 * limit_mb)
        self._told = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Asking for rights is not enough: a disk may be read-only, and root has every right.
            tempfile.TemporaryFile(dir=self._folder).close()
            self._bytes = self._size()
        except FileExistsError as error:
            raise ArgumentError(f"save is {str(folder)!r}, which is a file, but must be a folder") from error
        except OSError as error:
            raise ArgumentError(f"save is {str(folder)!r}, but {describe_os_error(error)}") from error

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self._folder.glob("*.wav"))

    def save(self, event: Event) -> Path | None:
        """Write the window of an event and a little around it; its path.

        Returns:
            None if nothing is left of it, or if the limit is reached.

        Raises:
            OSError: it cannot be written.
        """
        samples = self.recent.between(event.start_s - MARGIN_S, event.end_s + MARGIN_S)
        if not len(samples) or not self._has_room(WAV_HEAD_BYTES + 2 * len(samples)):
            return None
        path = self._folder / f"{self._prefix}{event.time_s:010.3f}s_{file_name(event.label)}.wav"
        wav.write(path, np.clip(samples, -1, 1), sample_rate_hz=self.recent.rate_hz)
        self._bytes += path.stat().st_size
        return path

    def _has_room(self, size: int) -> bool:
        if self._bytes + size > self._limit:
            self._bytes = self._size()  # somebody may have taken files out
        has = self._bytes + size <= self._limit
        if not has and not self._told:
            self._tell(
                f"{shown(self._folder)} holds {self._bytes / 1e6:.3g} MB of {self._limit / 1e6:g} MB: no more sound of "
                "events is saved until you take files out of it, or give a larger --save-limit"
            )
        self._told = not has
        return has


def file_name(text: str) -> str:
    """A label or a source as a part of a file name: letters and digits of any script, and - and _.

    Example:
        >>> file_name("../yes no")
        '_yes_no'
    """
    safe = re.sub(r"[^\w-]+", "_", text)
    return safe.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")
