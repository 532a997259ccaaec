"""The folder of a teacher, and how to get the teacher back.

config.json          task, features, teacher, augmentation and training settings
environment.json     packages, machine, git revision, date and command
last.npz, best.npz   checkpoints
history.json         loss and accuracy of each epoch
teacher.json         accuracy on validation and test, cost
"""

from __future__ import annotations

from pathlib import Path

from bnn_exit.errors import DataError
from bnn_exit.models.network import Network
from bnn_exit.settings.teacher import TRAIN_AGAIN, TeacherConfig, TeacherRun
from bnn_exit.training import checkpoint
from bnn_exit.training.loop import BEST
from distill.teachers import residual


def build(teacher: TeacherConfig, *, num_classes: int, input_shape: tuple[int, int, int]) -> Network:
    """A new network of this kind."""
    return Network(residual.residual(input_shape, num_classes, size=teacher.size, levels=teacher.levels))


def trained(run: TeacherRun, folder: Path) -> Network:
    """The trained network of a run, with the weights in `folder`."""
    network = build(run.teacher, num_classes=len(run.task.labels), input_shape=run.task.input_shape)
    if not (folder / BEST).is_file():
        raise DataError(f"{str(folder)!r} has no {BEST}: its training has not finished an epoch; resume it")
    checkpoint.load(folder / BEST, variables=network.keras_model.weights, advice=TRAIN_AGAIN)
    return network
