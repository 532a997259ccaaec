"""Training towards a teacher: labels, soft labels of the teacher at every exit, and those of the deepest exit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_tasks.base import Task
from bnn_exit._keras import tf
from bnn_exit.config import Config
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import replacing
from bnn_exit.models.network import Network
from bnn_exit.training.config import TrainConfig
from bnn_exit.training.data import Batches
from bnn_exit.training.loss import joint_loss
from distill.losses import soft_label_loss
from distill.teachers.teacher import Teacher


@dataclass(frozen=True)
class DistillConfig(Config):
    """How much a student listens to whom.

    Attributes:
        temperature: of soft labels; higher says more about unlikely classes.
        teacher_weight: share of the teacher's soft labels in the loss of each exit, from 0 (labels alone) to 1.
        deepest_weight: weight of the deepest exit's soft labels in the loss of the earlier ones; 0 is off.
        views: 0: the teacher hears each clip as it was recorded, once. Else each clip is changed in this many ways, and
            the teacher hears what the student hears; more is more accurate, and takes a pass of the teacher each.
    """

    temperature: float = 3.0
    teacher_weight: float = 0.7
    deepest_weight: float = 0.0
    views: int = 0

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(self.temperature > 0, "temperature", "above 0")
        self._require(0 <= self.teacher_weight <= 1, "teacher_weight", "from 0 to 1")
        self._require(self.deepest_weight >= 0, "deepest_weight", "at least 0")
        self._require(self.views >= 0, "views", "at least 0")


class Distillation:
    """The objective of a student with a teacher of logits. See `bnn_exit.training.objective.Objective`.

    Args:
        student: what is trained.
        teacher: gives logits of the student's classes.
        task: gives the training split.
        config: the weights of the parts.
        training: gives the weights of the exits and the label smoothing.

    Raises:
        ArgumentError: a teacher with other classes, or of embeddings.
    """

    def __init__(
        self,
        student: Network,
        teacher: Teacher,
        task: Task,
        *,
        config: DistillConfig,
        training: TrainConfig,
    ) -> None:
        if teacher.kind != "logits" or teacher.size != student.num_classes:
            raise ArgumentError(
                f"the teacher gives {teacher.size} {teacher.kind}, but must give logits of the student's "
                f"{student.num_classes} classes: train it on the same task"
            )
        if teacher.input == "waveform" and config.views:
            raise ArgumentError(
                f"views is {config.views}, but a teacher of waveforms hears clips as they were recorded: give 0"
            )
        self._student, self._teacher, self._task, self._config = student, teacher, task, config
        self._weights = training.weights_of(student.num_exits)
        self._label_smoothing = training.label_smoothing
        self.views, self.variables = config.views, list[tf.Variable]()
        self._targets: list[np.ndarray] = []

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Ask the teacher once about every clip, in every view, unless `folder` has its answers already."""
        path = None if folder is None else folder / "teacher_outputs.npz"
        key = f"{self._teacher.digest()} {self.views}"
        if path is not None and path.is_file():
            self._targets = _kept(path, key)
        if not self._targets:
            if self.views:
                from tqdm import tqdm

                views = tqdm(range(self.views), desc="teacher", unit="view", file=sys.stderr, disable=None)
                self._targets = [
                    np.concatenate([self._teacher.outputs(batch.numpy()[..., 0]) for batch in batches.view(view)])
                    for view in views
                ]
            else:
                self._targets = [self._hear_recordings()]
            if path is not None:
                with replacing(path) as file:
                    np.savez(file, key=np.frombuffer(key.encode(), np.uint8), outputs=np.stack(self._targets))

    def _hear_recordings(self) -> np.ndarray:
        if self._teacher.input == "log_mel":
            return self._teacher.outputs(self._task.log_mel("train"))
        split = self._task.train
        parts = np.array_split(np.arange(len(split)), -(-len(split) // 256))
        return np.concatenate([self._teacher.outputs(split.waveforms(part)) for part in parts])

    def targets(self, view: int) -> np.ndarray | None:
        """The teacher's logits `[clips, classes]`."""
        return self._targets[view if self.views else 0]

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss and logits of a batch."""
        config, weights = self._config, self._weights
        logits = self._student.exit_logits(log_mel, training=True)
        loss = joint_loss(logits, labels, weights=weights, label_smoothing=self._label_smoothing)
        loss *= 1 - config.teacher_weight
        for weight, exit_logits in zip(weights, logits, strict=True):
            soft = soft_label_loss(exit_logits, targets, temperature=config.temperature)
            loss += weight * config.teacher_weight * soft
        if config.deepest_weight:
            for weight, exit_logits in zip(weights, logits[:-1], strict=False):
                soft = soft_label_loss(exit_logits, logits[-1], temperature=config.temperature)
                loss += weight * config.deepest_weight * soft
        return loss, logits


def _kept(path: Path, key: str) -> list[np.ndarray]:
    """Outputs that an earlier start left, if they are this teacher's."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if file["key"].tobytes().decode() != key:
                raise DataError(f"{str(path)!r} holds the answers of another teacher: start a new run for this one")
            return list(file["outputs"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}): delete it, and the teacher is asked again") from error
