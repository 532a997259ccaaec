"""The interface of a task. `audio_tasks` implements it; any object with these attributes will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.settings.values import Features

UNKNOWN, SILENCE = "unknown", "silence"
BACKGROUND_LABELS = (
    UNKNOWN,
    SILENCE,
    "background",
    "noise",
    "_unknown_",
    "_silence_",
    "_background_",
    "_background_noise_",
)
"""Labels of sound that is none of the classes to recognise."""


def background_of(labels: Sequence[str], chosen: Sequence[str] = ()) -> tuple[int, ...]:
    """Numbers of the labels that are background, ascending: the `chosen` ones, else those of BACKGROUND_LABELS.

    Empty if none is, and if none of `chosen` was given and all are.

    Raises:
        ArgumentError: one of `chosen` is no label, or all labels are chosen.

    Example:
        >>> background_of(("yes", "no", "unknown"))
        (2,)
    """
    names = {one_of("background", name, labels) for name in chosen} or set(BACKGROUND_LABELS)
    found = tuple(number for number, label in enumerate(labels) if label in names)
    if len(found) < len(labels):
        return found
    if chosen:
        raise ArgumentError(f"background is all {len(labels)} labels, but must leave one to recognise")
    return ()


class Negatives(NamedTuple):
    """Long recordings without any class to recognise, to cut training clips from.

    Attributes:
        log_mel: float32 [frames, mels], the recordings of the training split one after the other; memory-mapped.
        starts: int64 [recordings, 2], for each the row of `log_mel` where it starts, and how many rows from there on a
            clip can start at.
        ends: int64 [recordings], the row after its last one.
        first: clips of the training split from this one on are cuts; before it are those of the data set.
        label: of the cuts, as a number.
    """

    log_mel: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    first: int
    label: int


class TaskOption(NamedTuple):
    """An option of a task that has a flag of its own in the commands; all others are given as --option NAME=VALUE.

    Attributes:
        form: of the value, such as "1..5".
        about: help text.
        kind: makes the value from text; ValueError if it cannot.
        repeated: the flag may be given several times, and the option is the list of its values.
    """

    form: str
    about: str
    kind: Callable[[str], Any] = str
    repeated: bool = False


class TaskInfo(Protocol):
    """The part of a task that a model file and a run folder store."""

    @property
    def name(self) -> str:
        """As `audio_tasks.load` knows it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def clip_samples(self) -> int:
        """Length of a clip."""

    @property
    def features(self) -> Features:
        """The log-mel settings, or those of values."""

    @property
    def licence(self) -> str:
        """Licence of the data."""

    @property
    def attribution(self) -> str:
        """Credit for the data."""


class Split(Protocol):
    """Labelled clips."""

    @property
    def ids(self) -> Sequence[str]:
        """A stable name for each clip."""

    @property
    def labels(self) -> np.ndarray:
        """int32 [clips]."""

    def __len__(self) -> int:
        """Clips."""

    def waveform(self, index: int) -> np.ndarray:
        """Clip `index` as float32 [clip_samples] in [-1, 1], or a window of values [samples, channels]."""


class Task(TaskInfo, Protocol):
    """Labelled clips to learn from, to choose thresholds with and to test on."""

    @property
    def train(self) -> Split:
        """The clips to learn from."""

    @property
    def validation(self) -> Split:
        """The clips to choose weights and thresholds with."""

    @property
    def num_classes(self) -> int:
        """How many labels there are."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one network input: (frames, mels, 1), or of values (samples, 1, channels)."""

    @property
    def noise(self) -> Sequence[np.ndarray]:
        """Background recordings to mix into training clips."""

    @property
    def skipped(self) -> dict[str, Any]:
        """How many files could not be used, by reason."""

    def split(self, name: str) -> Split:
        """The split called `name`."""

    def log_mel(self, split_name: str) -> np.ndarray:
        """Features of a split: float32 [clips, frames, mels], or values [windows, samples, channels]."""
