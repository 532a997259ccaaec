"""The objective of a training: labels alone, or labels and a teacher's soft labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.models.network import Network
from bnn_exit.training.data import Batches
from bnn_exit.training.loss import joint_loss


class Objective(Protocol):
    """The loss of a batch. `CrossEntropy` is the plain one; package `distill` has others.

    Attributes:
        views: how many ways of changing each clip there are: epoch e uses those of epoch e % views. 0: new ones always.
        variables: trainable variables of its own, beside the network's.
    """

    views: int
    variables: list[tf.Variable]

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Called once before the first epoch; slow results are stored in `folder`, for a resumed training."""
        ...

    def targets(self, view: int) -> np.ndarray | None:
        """Values `[clips, ...]` that go with each training clip in this view, or None."""
        ...

    def score(self, record: dict[str, Any]) -> float:
        """Score of the weights after an epoch with this record in the history; the highest is kept."""
        ...

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss (scalar) and logits `[batch, classes]` of every exit, for `[batch, frames, mels, 1]` in training."""
        ...


class CrossEntropy:
    """Labels alone, all exits jointly: `loss.joint_loss`.

    Args:
        network: what is trained.
        weights: of each exit.
        label_smoothing: share of each label that is spread over all classes.
    """

    views = 0

    def __init__(self, network: Network, *, weights: list[float], label_smoothing: float) -> None:
        self._network, self._weights, self._label_smoothing = network, weights, label_smoothing
        self.variables: list[tf.Variable] = []

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Nothing to do."""

    def targets(self, view: int) -> np.ndarray | None:
        """None: it needs only labels."""
        return None

    def score(self, record: dict[str, Any]) -> float:
        """The mean validation accuracy of the exits."""
        return mean_accuracy(record)

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss and logits of a batch."""
        logits = self._network.exit_logits(log_mel, training=True)
        return joint_loss(logits, labels, weights=self._weights, label_smoothing=self._label_smoothing), logits


def mean_accuracy(record: dict[str, Any]) -> float:
    """The mean over exits of the validation accuracy, since some clips leave at each exit."""
    return float(np.mean(record["validation_accuracy"]))
