"""Settings of a teacher's training: the content of config.json in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn_exit.errors import DataError, one_of
from bnn_exit.files import read_json_object, write_json
from bnn_exit.settings.augment_values import AnyAugment, augment_of
from bnn_exit.settings.base import Config
from bnn_exit.settings.model import LEVELS, SIZES
from bnn_exit.settings.run import CONFIG, FORMAT_VERSION, RunTask, config_of, read_settings
from bnn_exit.settings.training import TrainConfig

TRAIN_AGAIN = "train the teacher again"


@dataclass(frozen=True)
class TeacherConfig(Config):
    """Which network a teacher is; enough to build it again.

    Attributes:
        size: a name in SIZES; larger is more accurate, and slower to train.
        levels: a name in LEVELS: what becomes of quiet clips.
    """

    size: str = "base"
    levels: str = "kept"

    def __post_init__(self) -> None:
        one_of("size", self.size, SIZES)
        one_of("levels", self.levels, LEVELS)


@dataclass(frozen=True)
class TeacherRun:
    """Every setting of a teacher's training."""

    task: RunTask
    teacher: TeacherConfig
    augment: AnyAugment
    training: TrainConfig

    def save(self, folder: Path) -> None:
        """Write config.json."""
        settings = {name: getattr(self, name).to_dict() for name in ("task", "teacher", "augment", "training")}
        write_json(folder / CONFIG, {"format": FORMAT_VERSION, **settings})

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether the folder is one of a teacher, and not a run of a student."""
        try:
            return _of_teacher(read_json_object(folder / CONFIG))
        except (OSError, ValueError):
            return False

    @classmethod
    def load(cls, folder: Path) -> TeacherRun:
        """Read config.json; DataError if the folder is none of a teacher, or its settings cannot be read."""
        path = config_of(folder, kind="teacher", maker="distill.train_teacher")

        def made(values: dict[str, Any]) -> TeacherRun:
            if not _of_teacher(values):
                raise DataError(f"{str(folder)!r} holds no teacher: distill.train_teacher makes one")
            return cls(
                RunTask.from_dict(values["task"]),
                TeacherConfig.from_dict(values["teacher"]),
                augment_of(values["augment"]),
                TrainConfig.from_dict(values["training"]),
            )

        return read_settings(path, made, advice=TRAIN_AGAIN)


def _of_teacher(values: dict[str, Any]) -> bool:
    """Whether the settings are a teacher's: a student's run also has settings of a teacher's training."""
    return "teacher" in values and "model" not in values
