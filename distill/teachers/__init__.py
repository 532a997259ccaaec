"""Teachers: networks of this package, files from elsewhere, and averages of several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bnn_exit.errors import DataError
from bnn_exit.files import expanded
from bnn_exit.runs.folder import RunFolder
from bnn_exit.settings.run import RunTask
from bnn_exit.settings.teacher import TRAIN_AGAIN, TeacherRun
from bnn_exit.settings.values import Features
from distill.teachers import files, runs
from distill.teachers.teacher import MeanTeacher, NetworkTeacher, Teacher

__all__ = ["MeanTeacher", "NetworkTeacher", "Teacher", "load_teacher"]


def load_teacher(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    kind: str = "logits",
    input_shape: tuple[int, ...] | None = None,
    labels: Sequence[str] | None = None,
    features: Features | None = None,
    clip_samples: int | None = None,
    trust: bool = False,
) -> Teacher:
    """A teacher from disk; several paths give the mean of them.

    Args:
        path: a folder of `distill.train_teacher`, one of `bnn_exit.train`, whose last exit teaches, a Keras file, a
            SavedModel or a TFLite file.
        kind: "logits" of the student's classes, or "embedding"; of a folder, what its layer `embedding` gives.
        input_shape: of the student, to check that both take the same log-mel.
        labels: of the student, to check that a folder's teacher of logits knows the same, in the same order.
        features, clip_samples: of the student, to check that a folder's teacher was trained with the same. A file's
            teacher of waveforms of any length gets so many samples.
        trust: whether files may be run that are programs: SavedModels, Keras's `.h5` files, and `.keras` files with
            more than layers of Keras and Larq. Folders, other `.keras` files and TFLite files are read as data.

    Raises:
        ArgumentError: an unknown kind, or an embedding of a student's run.
        DataError: nothing that can be read is there, it does not fit, or it is a program that is not trusted.

    Example:
        >>> teacher = load_teacher("teacher.keras", input_shape=task.input_shape)
        >>> teacher.outputs(task.log_mel("test")[:4]).shape
        (4, 10)
    """
    if not isinstance(path, (str, os.PathLike)):
        found = [
            load_teacher(
                one,
                kind=kind,
                input_shape=input_shape,
                labels=labels,
                features=features,
                clip_samples=clip_samples,
                trust=trust,
            )
            for one in path
        ]
        return found[0] if len(found) == 1 else MeanTeacher(found)
    teacher, task = _open(expanded(path), kind=kind, clip_samples=clip_samples, trust=trust)
    if kind == "logits" and labels is not None and task is not None and task.labels != tuple(labels):
        known = task.labels
        raise DataError(
            f"teacher {str(path)!r} knows {len(known)} labels ({', '.join(known[:3])}, ...), but the task has "
            f"{len(labels)} ({', '.join(list(labels)[:3])}, ...): train a teacher on the same task"
        )
    if task is not None:
        _check_same(path, task, features=features, clip_samples=clip_samples)
    own = tuple(teacher.input_shape)
    if input_shape is not None and teacher.input == "log_mel" and own[:2] != tuple(input_shape[:2]):
        raise DataError(
            f"teacher {str(path)!r} takes log-mel of {own[0]} frames x {own[1]} mels, but the task gives "
            f"{input_shape[0]} x {input_shape[1]}: train it with the same feature settings"
        )
    return teacher


def _check_same(
    path: str | os.PathLike[str], task: RunTask, *, features: Features | None, clip_samples: int | None
) -> None:
    """DataError naming the first setting of a folder's teacher that is another one for the student."""
    known, wanted = task.features.to_dict(), features.to_dict() if features is not None else {}
    if clip_samples is not None:
        known["clip_samples"], wanted["clip_samples"] = task.clip_samples, clip_samples
    for name, value in wanted.items():
        if known[name] != value:
            raise DataError(
                f"teacher {str(path)!r} was trained with {name} {known[name]}, but the task has {value}: train it with "
                "the same feature settings and clips"
            )


def _open(path: Path, *, kind: str, clip_samples: int | None, trust: bool) -> tuple[Teacher, RunTask | None]:
    """The teacher, and what it was trained on where that is known."""
    if files.is_model_file(path):
        return files.FileTeacher(path, kind=kind, clip_samples=clip_samples, trust=trust), None
    if not path.exists():
        raise DataError(f"teacher {str(path)!r} does not exist: check the path")
    if not (path / "config.json").is_file():
        raise DataError(
            f"teacher {str(path)!r} is no teacher: give a folder of distill.train_teacher or bnn_exit.train, a Keras "
            "file, a SavedModel or a TFLite file"
        )
    if TeacherRun.is_one(path):
        teacher = TeacherRun.load(path)
        return NetworkTeacher(runs.trained(teacher, path), kind=kind), teacher.task
    run = RunFolder(path, advice=TRAIN_AGAIN)
    return NetworkTeacher(run.network(), kind=kind), run.config.task
