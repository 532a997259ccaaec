"""Run a split of a data set through a loaded model: every clip at every exit and operating point, and the figures."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bnn_exit import machine
from bnn_exit.errors import DataError, ModelFileError
from bnn_exit.evaluation.passes import Measurement, measure
from bnn_exit.evaluation.report import Report, exit_figures, point_figures
from bnn_exit.evaluation.times import Times, clock_of
from bnn_exit.progress import progress_bar
from bnn_exit.runtime.backends import BACKENDS
from bnn_exit.runtime.session import Session
from bnn_exit.task import Split, Task

TIME_OF = (
    "a clip in memory, with warm caches, in processor time of one thread: the front end, the network right after it, "
    "and both"
)


def measure_split(
    session: Session, task: Task, *, split: str = "test", limit: int | None = None
) -> tuple[Measurement, np.ndarray, Report]:
    """Run a split of `task` through a loaded model: the measured passes, the labels, and the report.

    Args:
        session: the model, on the backend that is measured; its own front end makes the features.
        task: the data, with the labels and features of the model.
        split: "train", "validation" or "test".
        limit: measure only this many clips, evenly spread over the split.

    Raises:
        DataError: the data has other labels than the model, or the split is empty.
        ModelFileError: the model has other features than the task, or a clip does not leave at the forced exit.
    """
    _check_fit(session, task)
    chosen = task.split(split)
    if not len(chosen):
        raise DataError(f"the {split} split of {task.name} is empty: choose another with --split")
    indices = spread(len(chosen), limit)
    points = {name: point.thresholds for name, point in session.operating_points.items()}
    has_front_end = session.metadata.input == "waveform"
    measurement = measure(
        BACKENDS[session.backend](session.model_file, threads=1),
        _Clips(chosen, indices),
        points or {"full": (0.0,) * session.metadata.num_thresholds},
        exits=session.exits,
        skips=session.metadata.skips,
        front_end=None if has_front_end else session.inputs,
        now=clock_of(session.backend, threads=1),
        progress=functools.partial(progress_bar, desc="clips", unit="clip"),
    )
    labels = np.asarray(chosen.labels, np.int64)[indices]
    report = Report(
        task=task.name,
        labels=list(session.labels),
        split=split,
        sample_count=len(indices),
        split_count=len(chosen),
        skipped_files=task.skipped,
        backend=session.backend,
        threads=1,
        time_of=TIME_OF,
        front_end_us=None if has_front_end else _front_end_us(measurement),
        exits=exit_figures(measurement, labels, costs=session.metadata.exits),
        operating_points=point_figures(measurement, labels, names=session.labels, costs=session.metadata.exits),
        provenance=machine.provenance(),
    )
    return measurement, labels, report


class _Clips(Sequence[Any]):
    """The waveforms of a split, read one at a time."""

    def __init__(self, split: Split, indices: np.ndarray) -> None:
        self._split, self._indices = split, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: Any) -> Any:
        return self._split.waveform(int(self._indices[place]))


def _check_fit(session: Session, task: Task) -> None:
    """The thresholds, costs and labels in the file must be those of this task and these features."""
    if tuple(task.labels) != tuple(session.labels):
        raise DataError(
            f"the data has the {len(task.labels)} labels {_some(task.labels)}, but the model was trained on the "
            f"{len(session.labels)} labels {_some(session.labels)}: give the data of the training with --data-dir"
        )
    if session.metadata.features != task.features or session.metadata.clip_samples != task.clip_samples:
        raise ModelFileError(
            f"{session.model_file.path.name} was exported with other feature settings than config.json: export it again"
        )


def _some(labels: Iterable[str]) -> str:
    listed = list(labels)
    return ", ".join(listed[:4]) + (", ..." if len(listed) > 4 else "")


def spread(count: int, limit: int | None) -> np.ndarray:
    """The clips, by number, that a limit leaves of a split of `count`.

    They are evenly spread, because clips are often sorted by label.
    """
    if limit is None or limit >= count:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.int64)


def _front_end_us(measurement: Measurement) -> Times:
    """Of every clip in every pass."""
    passes = [*measurement.forced, *measurement.points.values()]
    return Times.of(np.concatenate([each.front_end_seconds for each in passes if each.front_end_seconds is not None]))
