"""A teacher's outputs for the training clips: computed once, stored in the run folder for every step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audio_tasks.base import Task
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import write_arrays
from bnn_exit.progress import progress_bar
from bnn_exit.training.data import Batches
from distill.teachers.teacher import Teacher

FOLDER = "teacher_outputs"


class TeacherOutputs:
    """The outputs of a teacher, soft labels or an embedding, for each training clip in each view.

    Args:
        teacher: gives the outputs.
        task: gives the training split.
        views: augmented versions of each clip; 0: clips as they were recorded, as for any teacher of waveforms.
        folder: where outputs are stored, in `teacher_outputs`, a file for each view; None: the folder of the training.

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
        """Run the teacher on every clip, in every view, unless its outputs are stored already.

        Raises:
            DataError: outputs in the folder are damaged, or of another teacher, other clips or another
                augmentation.
        """
        kept = self._folder or folder
        place = None if kept is None else kept / FOLDER
        key = {"teacher": self._teacher.digest(), "clips": f"{len(self._task.train)} {self._task.train.fingerprint}"}
        shape = (len(self._task.train), self._teacher.size)
        if not self.views:
            self._found = [_kept(place and place / "recordings.npz", key, shape, self._of_recordings)]
            return
        key["changes"] = batches.changes
        views = progress_bar(range(self.views), desc="teacher", unit="view")
        self._found = [
            _kept(place and place / f"view_{view}.npz", key, shape, functools.partial(self._of_view, batches, view))
            for view in views
        ]

    def of(self, view: int) -> np.ndarray:
        """`[clips, size]` in this view."""
        return self._found[view if self.views else 0]

    def _of_view(self, batches: Batches, view: int) -> np.ndarray:
        return np.concatenate([self._teacher.outputs(batch.numpy()[..., 0]) for batch in batches.view(view)])

    def _of_recordings(self) -> np.ndarray:
        if self._teacher.input == "log_mel":
            return self._teacher.outputs(self._task.log_mel("train"))
        split = self._task.train
        parts = np.array_split(np.arange(len(split)), -(-len(split) // 256))
        return np.concatenate([self._teacher.outputs(split.waveforms(part)) for part in parts])


def _kept(
    path: Path | None, key: dict[str, str], shape: tuple[int, int], compute: Callable[[], np.ndarray]
) -> np.ndarray:
    """The outputs stored in `path`; else those that `compute` gives, which are then stored there."""
    if path is not None and path.is_file():
        return _read(path, key, shape)
    outputs = compute()
    if path is not None:
        write_arrays(path, {"outputs": outputs, **{name: np.array(value) for name, value in key.items()}})
    return outputs


def _read(path: Path, key: dict[str, str], shape: tuple[int, int]) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            if file["teacher"] != key["teacher"]:
                raise DataError(f"{str(path)!r} holds the outputs of another teacher: start a new run for this one")
            if file["clips"] != key["clips"]:
                raise DataError(f"{str(path)!r} holds outputs for other clips: start a new run")
            if "changes" in key and file["changes"] != key["changes"]:
                raise DataError(
                    f"{str(path)!r} holds outputs for clips that another seed or augment changed: start a new run"
                )
            if any(member.compress_type for member in file.zip.infolist()):
                raise ValueError("it is compressed, and may be larger than the memory")
            outputs = file["outputs"]
            if (outputs.shape, outputs.dtype) != (shape, np.float32):
                raise ValueError(f"it holds {outputs.dtype} {list(outputs.shape)} instead of float32 {list(shape)}")
            return outputs
    except DataError:
        raise
    except Exception as error:  # whatever damage runs into
        raise DataError(f"{str(path)!r} cannot be read ({error}): delete it, and the teacher is run again") from error
