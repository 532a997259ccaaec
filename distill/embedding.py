"""Training towards a teacher's embedding, without labels (BRILLsson, Lee and Saeed 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from audio_tasks.base import Task
from bnn_exit._keras import keras, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.training.data import Batches
from distill.losses import embedding_loss
from distill.recording import recording
from distill.soft_labels import TeacherOutputs
from distill.teachers.teacher import Teacher


class EmbeddingMatching:
    """The objective of stages that learn an embedding: mean squared error of a projection of the last stage's features.

    The features' mean over time and frequency goes through a dense layer to the embedding's size, which is trained with
    the student and not part of it. Heads learn nothing: give them `trainable = False`, and train them in a next step.

    Args:
        student: what is trained.
        teacher: gives embeddings.
        task: gives the training split.
        views: as in DistillConfig.
        seed: of the projection.
        folder: where the teacher's outputs are stored; None means the folder of the training.

    Attributes:
        views, variables: see `bnn_exit.training.objective.Objective`.

    Raises:
        ArgumentError: no teacher, or one of logits.
    """

    def __init__(
        self,
        student: MultiExitModel,
        teacher: Teacher | None,
        task: Task,
        *,
        views: int,
        seed: int,
        folder: Path | None = None,
    ) -> None:
        if teacher is None or teacher.kind != "embedding":
            given = "there is no teacher" if teacher is None else f"the teacher gives {teacher.size} {teacher.kind}"
            raise ArgumentError(f"an embedding is to be learned, but {given}: give one model with an embedding")
        self._outputs = TeacherOutputs(teacher, task, views=views, folder=folder)
        self._student, self.views = student, self._outputs.views
        channels = student.stages[-1].output_shape[-1]
        start = keras.initializers.GlorotUniform(seed=seed)((channels, teacher.size))
        self._kernel = tf.Variable(start, name="embedding_kernel")
        self._bias = tf.Variable(tf.zeros([teacher.size]), name="embedding_bias")
        self.variables = [self._kernel, self._bias]

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Run the teacher once on every clip in every view, unless its outputs are stored already."""
        self._outputs.prepare(batches, folder=folder)

    def targets(self, view: int) -> np.ndarray | None:
        """The teacher's embeddings `[clips, size]`."""
        return self._outputs.of(view)

    def score(self, record: dict[str, Any]) -> float:
        """Score of an epoch: minus its loss, because the heads do not learn."""
        return -record["loss"]

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss and logits of a batch; labels are not used."""
        with recording({"last": self._student.stages[-1]}) as features:
            logits = self._student.exit_logits(log_mel, training=True)
        pooled = tf.reduce_mean(features["last"], axis=[1, 2])
        return embedding_loss(tf.matmul(pooled, self._kernel) + self._bias, targets), logits
