"""The objective of one phase of a training scheme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit._keras import keras, tf
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.training.data import Batches
from bnn_exit.training.exit_loss import ExitLoss
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme


class SchemeObjective:
    """What a phase of a scheme minimises. See `bnn_exit.training.objective.Objective`.

    It lets only those stages and heads learn that learn in this phase.

    Args:
        network: what is trained.
        scheme, phase: of which phase.
        exit_loss: the loss of a single exit: labels, or labels and a teacher.
        weights: of each exit.
    """

    def __init__(
        self, network: MultiExitModel, *, scheme: Scheme, phase: Phase, exit_loss: ExitLoss, weights: list[float]
    ) -> None:
        phase.freeze(network)
        self._network, self._scheme, self._phase = network, scheme, phase
        self._exit_loss, self._weights = exit_loss, weights
        self.views, self.variables = exit_loss.views, list[tf.Variable]()
        spent = [cost.ops for cost in network.costs()]
        self._costs = [ops / spent[-1] for ops in spent]
        depth = phase.depth or network.num_exits
        whole = network.keras_model
        self._computed = whole if depth == network.num_exits else keras.Model(whole.inputs, whole.outputs[:depth])
        first = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self._progress = tf.Variable(0.0, name="progress", **first)
        self._number = tf.Variable(-1, name="batch_number", **first)

    def prepare(self, batches: Batches, *, folder: Path | None) -> None:
        """Prepare the loss of single exits: a teacher runs on every clip."""
        self._exit_loss.prepare(batches, folder=folder)

    def begin_epoch(self, number: int, *, epochs: int) -> None:
        """Schedules follow the epoch."""
        self._progress.assign(number / epochs)
        self._number.assign(-1)

    def targets(self, view: int) -> np.ndarray | None:
        """The teacher's logits `[clips, classes]`, or None."""
        return self._exit_loss.targets(view)

    def score(self, record: dict[str, Any]) -> float:
        """The mean validation accuracy of the exits that the phase is scored by."""
        accuracy = np.asarray(record["validation_accuracy"])
        return float(np.mean(accuracy if self._phase.scored is None else accuracy[list(self._phase.scored)]))

    def __call__(self, log_mel: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Loss and logits of a batch."""
        self._scheme.before_step(self._network, self._progress)
        number = self._number.assign_add(1)
        logits = tf.nest.flatten(self._computed(log_mel, training=True))
        batch = ExitBatch(
            logits=logits,
            labels=labels,
            losses=[self._exit_loss(exit_logits, labels, targets) for exit_logits in logits],
            targets=targets if self._exit_loss.has_teacher else None,
            weights=self._weights,
            progress=self._progress,
            number=number,
            costs=self._costs,
        )
        return self._scheme.loss(self._phase, batch), logits
