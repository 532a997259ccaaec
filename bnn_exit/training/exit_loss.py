"""The loss of a single exit, clip by clip, from which a training scheme makes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.training.data import Batches
from bnn_exit.training.loss import label_losses


class ExitLoss(Protocol):
    """The loss of an exit. `LabelLoss` is the plain one; package `distill` has one with a teacher.

    Attributes:
        views, prepare, targets: as in `bnn_exit.training.objective.Objective`.
        has_teacher: whether the targets are logits of a teacher.
    """

    views: int
    has_teacher: bool

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Called once before the first epoch."""
        ...

    def targets(self, view: int) -> np.ndarray | None:
        """Values `[clips, ...]` that go with each training clip in this view, or None."""
        ...

    def __call__(self, logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Losses `[batch]` of an exit's logits `[batch, classes]`."""
        ...


class LabelLoss:
    """Labels alone: cross entropy with smoothed labels.

    Args:
        label_smoothing: share of each label that is spread over all classes.
    """

    views, has_teacher = 0, False

    def __init__(self, *, label_smoothing: float) -> None:
        self._label_smoothing = label_smoothing

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Nothing to do."""

    def targets(self, view: int) -> np.ndarray | None:
        """None: it needs only labels."""
        return None

    def __call__(self, logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Losses `[batch]`."""
        return label_losses(logits, labels, label_smoothing=self._label_smoothing)
