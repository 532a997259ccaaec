"""The folder of a teacher: settings and weights, and how to get the teacher back.

config.json          task, features, teacher, augmentation and training settings
environment.json     packages, machine, git revision, date and command
last.npz, best.npz   checkpoints
history.json         loss and accuracy of each epoch
teacher.json         accuracy on validation and test, cost
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.files import read_json_object, write_json
from bnn_exit.models.network import Network
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.base import Config
from bnn_exit.settings.model import LEVELS
from bnn_exit.settings.run import FORMAT_VERSION, RunTask, read_settings
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training import checkpoint
from bnn_exit.training.loop import BEST
from distill.teachers import residual

ADVICE = "train the teacher again"


@dataclass(frozen=True)
class TeacherConfig(Config):
    """Which network a teacher is; enough to build it again.

    Attributes:
        size: a name in `residual.SIZES`; larger is more accurate, and slower to train.
        levels: a name in LEVELS: what becomes of quiet clips.
    """

    size: str = "base"
    levels: str = "kept"

    def __post_init__(self) -> None:
        one_of("size", self.size, residual.SIZES)
        one_of("levels", self.levels, LEVELS)

    def build(self, *, num_classes: int, input_shape: tuple[int, int, int]) -> Network:
        """A new network of this kind."""
        return Network(residual.residual(input_shape, num_classes, size=self.size, levels=self.levels))


@dataclass(frozen=True)
class TeacherRun:
    """Every setting of a teacher's training."""

    task: RunTask
    teacher: TeacherConfig
    augment: AugmentConfig
    training: TrainConfig

    def save(self, folder: Path) -> None:
        """Write config.json."""
        settings = {name: getattr(self, name).to_dict() for name in ("task", "teacher", "augment", "training")}
        write_json(folder / "config.json", {"format": FORMAT_VERSION, **settings})

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether the folder is one of a teacher, and not a run of a student."""
        try:
            return _of_teacher(read_json_object(folder / "config.json"))
        except (OSError, ValueError):
            return False

    @classmethod
    def load(cls, folder: Path) -> TeacherRun:
        """Read config.json; DataError if the folder is none of a teacher, or its settings cannot be read."""
        if not (folder / "config.json").is_file():
            raise ArgumentError(
                f"{str(folder)!r} is no teacher: it has no config.json (distill.train_teacher makes it)"
            )

        def made(values: dict[str, Any]) -> TeacherRun:
            if not _of_teacher(values):
                raise DataError(f"{str(folder)!r} holds no teacher: distill.train_teacher makes one")
            return cls(
                RunTask.from_dict(values["task"]),
                TeacherConfig.from_dict(values["teacher"]),
                AugmentConfig.from_dict(values["augment"]),
                TrainConfig.from_dict(values["training"]),
            )

        return read_settings(folder / "config.json", made, advice=ADVICE)

    def network(self, folder: Path) -> Network:
        """The trained network, with the weights in `folder`."""
        network = self.teacher.build(num_classes=len(self.task.labels), input_shape=self.task.input_shape)
        if not (folder / BEST).is_file():
            raise DataError(f"{str(folder)!r} has no {BEST}: its training has not finished an epoch; resume it")
        checkpoint.load(folder / BEST, variables=network.keras_model.weights, advice=ADVICE)
        return network


def _of_teacher(values: dict[str, Any]) -> bool:
    """Whether the settings are a teacher's: a student's run also has settings of a teacher's training."""
    return "teacher" in values and "model" not in values
