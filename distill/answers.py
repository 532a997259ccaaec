"""A teacher's answers to the training clips: asked once, kept in the run folder for every step that hears the same."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np

from audio_tasks.base import Task
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import replacing
from bnn_exit.training.data import Batches
from distill.teachers.teacher import Teacher


class Answers:
    """What a teacher says to each training clip, in each view.

    Args:
        teacher: is asked.
        task: gives the training split.
        views: ways in which each clip is changed; 0: clips as they were recorded, as for any teacher of waveforms.
        folder: where answers are kept; None means the folder of the training.

    Attributes:
        views: as above, 0 for a teacher of waveforms.

    Raises:
        ArgumentError: a teacher of waveforms of another length.
    """

    def __init__(self, teacher: Teacher, task: Task, *, views: int, folder: Path | None = None) -> None:
        if teacher.input == "waveform" and teacher.input_shape[0] != task.clip_samples:
            raise ArgumentError(
                f"the teacher takes waveforms of {teacher.input_shape[0]} samples, but the task gives "
                f"{task.clip_samples}: take a teacher for clips of this length"
            )
        self.views = 0 if teacher.input == "waveform" else views
        self._teacher, self._task, self._folder = teacher, task, folder
        self._found: list[np.ndarray] = []

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Ask about every clip, in every view, unless the answers are there already."""
        kept = self._folder or folder
        path = None if kept is None else kept / f"teacher_outputs_{self.views}.npz"
        key = f"{self._teacher.digest()} {self.views}"
        if path is not None and path.is_file():
            self._found = _read(path, key)
        if self._found:
            return
        self._found = self._hear_views(batches) if self.views else [self._hear_recordings()]
        if path is not None:
            with replacing(path) as file:
                np.savez(file, key=np.frombuffer(key.encode(), np.uint8), outputs=np.stack(self._found))

    def of(self, view: int) -> np.ndarray:
        """`[clips, size]` in this view."""
        return self._found[view if self.views else 0]

    def _hear_views(self, batches: Batches) -> list[np.ndarray]:
        from tqdm import tqdm

        views = tqdm(range(self.views), desc="teacher", unit="view", file=sys.stderr, disable=None)
        return [
            np.concatenate([self._teacher.outputs(batch.numpy()[..., 0]) for batch in batches.view(view)])
            for view in views
        ]

    def _hear_recordings(self) -> np.ndarray:
        if self._teacher.input == "log_mel":
            return self._teacher.outputs(self._task.log_mel("train"))
        split = self._task.train
        parts = np.array_split(np.arange(len(split)), -(-len(split) // 256))
        return np.concatenate([self._teacher.outputs(split.waveforms(part)) for part in parts])


def _read(path: Path, key: str) -> list[np.ndarray]:
    """Answers that an earlier start left, if they are this teacher's."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if file["key"].tobytes().decode() != key:
                raise DataError(f"{str(path)!r} holds the answers of another teacher: start a new run for this one")
            return list(file["outputs"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}): delete it, and the teacher is asked again") from error
