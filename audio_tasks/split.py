"""One part of a task's clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass
class Split:
    """One part of a task's clips.

    Attributes:
        name: "train", "validation" or "test".
        ids: a stable name for each clip, for a file its path relative to the data folder.
        labels: int32 [clips], index into the task's labels.
        speakers: who speaks (or which recording or group a clip is of) for each clip; None if it is not known.
        fingerprint: equal exactly for equal waveforms in equal order; "" keeps the features out of the disk cache.
    """

    name: str
    ids: tuple[str, ...]
    labels: np.ndarray
    speakers: tuple[str, ...] | None
    _read: Callable[[int], np.ndarray] = dataclasses.field(repr=False)
    fingerprint: str = ""

    def __len__(self) -> int:
        """Clips in the split."""
        return len(self.ids)

    def waveform(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [clip_samples], mono, in [-1, 1]; a window of values as [samples, channels]."""
        return self._read(int(index))

    def waveforms(self, indices: Iterable[int]) -> np.ndarray:
        """Several clips as float32 [len(indices), clip_samples], or windows [len(indices), samples, channels]."""
        return np.stack([self._read(int(index)) for index in indices])
