"""The loss of a single exit with a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio_tasks.base import Task
from bnn_exit._keras import tf
from bnn_exit.models.network import Network
from bnn_exit.settings.distillation import DistillConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training.data import Batches
from bnn_exit.training.loss import label_losses, soft_label_losses
from distill.objective import of_logits
from distill.soft_labels import TeacherOutputs
from distill.teachers.teacher import Teacher


class TeacherLoss:
    """(1 - w) cross entropy with the labels + w T^2 KL to the teacher: what each exit minimises in `Distillation`.

    See `bnn_exit.training.exit_loss.ExitLoss`.

    Args:
        student: what is trained.
        teacher: gives logits of the student's classes.
        task: gives the training split.
        config: `teacher_weight` (w), `temperature` (T) and `views`.
        training: gives the label smoothing and the epochs.
        views: augmented versions of each clip; the same for all phases, which share the stored outputs.
        folder: where the teacher's outputs are stored.

    Raises:
        ArgumentError: no teacher, one with other classes, or one of embeddings.
    """

    has_teacher = True

    def __init__(
        self,
        student: Network,
        teacher: Teacher | None,
        task: Task,
        *,
        config: DistillConfig,
        training: TrainConfig,
        views: int,
        folder: Path | None,
    ) -> None:
        self._config, self._label_smoothing = config, training.label_smoothing
        self._outputs = TeacherOutputs(of_logits(teacher, student), task, views=views, folder=folder)
        self.views = self._outputs.views

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Run the teacher once on every clip in every view, unless its outputs are stored already."""
        self._outputs.prepare(batches, folder=folder)

    def targets(self, view: int) -> np.ndarray | None:
        """The teacher's logits `[clips, classes]`."""
        return self._outputs.of(view)

    def __call__(self, logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Losses `[batch]`."""
        weight = self._config.teacher_weight
        own = label_losses(logits, labels, label_smoothing=self._label_smoothing)
        return (1 - weight) * own + weight * soft_label_losses(logits, targets, temperature=self._config.temperature)
