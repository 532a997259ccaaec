"""A task: labelled clips in three splits, of one length and one sample rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audio_tasks.cache import cached_features
from audio_tasks.split import SPLITS, Split
from bnn_exit.errors import DataError, one_of
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.values import Features, ValuesConfig
from bnn_exit.task import Negatives
from bnn_exit.text import text_fault


@dataclasses.dataclass
class Task:
    """Labelled clips to learn from, to choose thresholds with and to test on.

    Attributes:
        name: the name that `audio_tasks.load` knows.
        labels: names of the classes.
        train, validation, test: the splits; no speaker and no recording is in two of them, where known.
        clip_samples: samples of each clip at `features.sample_rate_hz`.
        features: how log-mels are made from the clips; of values, their rate and channels.
        noise: float32 background recordings of any length, to mix into training clips; may be empty.
        licence, attribution: of the data; they travel with the model.
        skipped: how many files could not be used, by reason.
        options: JSON values; `audio_tasks.load(task.name, features=task.features, **task.options)` loads it again.
        cache_dir: folder for cached results; None keeps everything in memory.
        problems: id of each unusable file -> reason.
        notes: remarks on how the data was read, one line each.
        files: path of each clip that is a file, by id.
        lengths: samples of each usable file at the task's sample rate before it was padded or cropped, by id.
        contents: equal exactly for files that give the same clip, by id.
        make_negatives: gives `negatives`; None where the task has none.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    clip_samples: int
    features: Features
    noise: tuple[np.ndarray, ...] = dataclasses.field(default=(), repr=False)
    licence: str = ""
    attribution: str = ""
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    cache_dir: Path | None = None
    problems: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    files: dict[str, Path] = dataclasses.field(default_factory=dict, repr=False)
    lengths: dict[str, int] = dataclasses.field(default_factory=dict, repr=False)
    contents: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    make_negatives: Callable[[], Negatives] | None = dataclasses.field(default=None, repr=False)
    _log_mels: dict[str, np.ndarray] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one network input: (frames, mels, 1), or of values (samples, 1, channels)."""
        return self.features.input_shape(self.clip_samples)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def split(self, name: str) -> Split:
        """The split called `name`; ArgumentError if there is none."""
        return self.splits[one_of("split", name, SPLITS)]

    @property
    def negatives(self) -> Negatives | None:
        """Long recordings that training cuts clips from, anew in each epoch; None without `--negatives`."""
        return None if self.make_negatives is None else self.make_negatives()

    def log_mel(self, split_name: str) -> np.ndarray:
        """Features of a split in the order of its clips: float32 [clips, frames, mels], or values [windows, samples,
        channels].

        They are computed at the first call and cached on disk, keyed by the data and the feature settings; the result
        is memory-mapped and read-only.
        """
        if split_name not in self._log_mels:
            self._log_mels[split_name] = cached_features(
                self.split(split_name), features=self.features, cache_dir=self.cache_dir
            )
        return self._log_mels[split_name]


def check_task(task: Task) -> Task:
    """Return `task` if a classifier can be trained on it, tested and written to a file; else raise DataError."""
    if task.num_classes < 2:
        only = f"only {task.labels[0]!r}" if task.labels else "none"
        raise DataError(f"task {task.name}: a classifier needs at least two classes, but the data has {only}")
    if len(set(task.labels)) != task.num_classes:
        raise DataError(f"task {task.name}: a label is there twice in {', '.join(task.labels)}")
    # All of them are written into the model file, at the end of a training.
    for what, text, remedy in (
        *(("label", label, "rename its folder") for label in task.labels),
        ("name", task.name, "rename it"),
        ("licence", task.licence, "write it anew"),
        ("attribution", task.attribution, "write it anew"),
    ):
        fault = text_fault(text)
        if fault:
            raise DataError(f"task {task.name!r}: the {what} {text!r} {fault}, which no model file may hold: {remedy}")
    if not isinstance(task.features, ValuesConfig) and task.input_shape[0] < 1:
        raise DataError(
            f"task {task.name}: a clip of {task.clip_samples} samples is shorter than one window "
            f"of {task.features.window_samples} samples: use longer clips or a smaller window_ms"
        )
    for name, split in task.splits.items():
        if not len(split):
            raise DataError(f"task {task.name}: the {name} split is empty: it needs clips of every class")
        present = np.bincount(split.labels, minlength=task.num_classes) > 0
        absent = [label for label, found in zip_strict(task.labels, present) if not found]
        if absent:
            shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
            raise DataError(
                f"task {task.name}: the {name} split has no clip of {shown}: add clips of it, or remove the class"
            )
    return task
