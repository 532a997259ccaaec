"""Training towards a teacher: labels, its soft labels at every exit, those of the deepest exit, features, attention."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from audio_tasks.base import Task
from bnn_exit._keras import tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.network import Network
from bnn_exit.settings.distillation import DistillConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training.data import Batches
from bnn_exit.training.loss import joint_loss
from bnn_exit.training.objective import mean_accuracy
from distill.losses import soft_label_loss
from distill.matching import Matching
from distill.soft_labels import TeacherOutputs
from distill.teachers.teacher import NetworkTeacher, Teacher

__all__ = ["DistillConfig", "Distillation"]


class Distillation:
    """The objective of a student with a teacher of logits. See `bnn_exit.training.objective.Objective`.

    Args:
        student: what is trained.
        teacher: gives logits of the student's classes. May be None if `teacher_weight` is 0 and there are no pairs.
        task: gives the training split.
        config: the weights of the parts; None takes the defaults.
        training: that of `bnn_exit.fit`: gives the weights of the exits, the label smoothing, the epochs and the seed;
            None takes the defaults.
        folder: where the teacher's outputs are stored; None means the folder of the training.

    Raises:
        ArgumentError: a teacher with other classes, or of embeddings, or without the layers that the pairs name.
    """

    def __init__(
        self,
        student: Network,
        teacher: Teacher | None,
        task: Task,
        *,
        config: DistillConfig | None = None,
        training: TrainConfig | None = None,
        folder: Path | None = None,
    ) -> None:
        config, training = config or DistillConfig(), training or TrainConfig()
        self._student, self._config = student, config
        self._weights = training.weights_of(student.num_exits)
        self._label_smoothing = training.label_smoothing
        self.views, self.variables = 0, list[tf.Variable]()
        self._outputs: TeacherOutputs | None = None
        self._matching: Matching | None = None
        if config.teacher_weight > 0:
            views = min(config.views, training.epochs)
            self._outputs = TeacherOutputs(of_logits(teacher, student), task, views=views, folder=folder)
            self.views = self._outputs.views
        if config.features or config.attention:
            self._matching = Matching(
                student.keras_model,
                _keras_network(teacher),
                config=config,
                seed=training.seed,
                built=isinstance(teacher, NetworkTeacher),
            )
            self.variables = self._matching.variables

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Run the teacher once on every clip in every view, unless its outputs are stored already."""
        if self._outputs:
            self._outputs.prepare(batches, folder=folder)

    def targets(self, view: int) -> np.ndarray | None:
        """The teacher's logits `[clips, classes]`."""
        return self._outputs.of(view) if self._outputs else None

    def score(self, record: dict[str, Any]) -> float:
        """The mean validation accuracy of the exits."""
        return mean_accuracy(record)

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss and logits of a batch."""
        config, weights = self._config, self._weights
        listening: Any = self._matching.recording() if self._matching else contextlib.nullcontext({})
        with listening as features:
            logits = self._student.exit_logits(log_mel, training=True)
        loss = joint_loss(logits, labels, weights=weights, label_smoothing=self._label_smoothing)
        loss *= 1 - config.teacher_weight
        if self._outputs:
            for weight, exit_logits in zip(weights, logits, strict=True):
                soft = soft_label_loss(exit_logits, targets, temperature=config.temperature)
                loss += weight * config.teacher_weight * soft
        if config.deepest_weight:
            for weight, exit_logits in zip(weights, logits[:-1], strict=False):
                soft = soft_label_loss(exit_logits, logits[-1], temperature=config.temperature)
                loss += weight * config.deepest_weight * soft
        if self._matching:
            loss += self._matching(features, log_mel)
        return loss, logits


def of_logits(teacher: Teacher | None, student: Network) -> Teacher:
    """The teacher; ArgumentError if there is none, or it gives no logits of the student's classes."""
    if teacher is None:
        raise ArgumentError("teacher_weight is above 0, but there is no teacher: add --teacher, or make it 0")
    if teacher.kind != "logits" or teacher.size != student.num_classes:
        raise ArgumentError(
            f"the teacher gives {teacher.size} {teacher.kind}, but must give logits of the student's "
            f"{student.num_classes} classes: train it on the same task"
        )
    return teacher


def _keras_network(teacher: Teacher | None) -> Any:
    if teacher is None or teacher.keras_model is None:
        given = "there is no teacher" if teacher is None else "the teacher's layers cannot be reached"
        raise ArgumentError(
            f"features and attention name layers, but {given}: give one folder of distill.train_teacher or Keras file"
        )
    if teacher.input != "log_mel":
        raise ArgumentError("features and attention need a teacher of log-mel clips, but this one takes waveforms")
    return teacher.keras_model
