"""The last exit teaches the others."""

from __future__ import annotations

import dataclasses

from bnn_exit._keras import tf
from bnn_exit.training.loss import soft_label_losses
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme


@dataclasses.dataclass(frozen=True)
class SelfDistilled(Scheme):
    """L = L_M + the sum over early exits m of (1 - a) L_m + a T^2 KL(p_M^T || p_m^T), no gradient into p_M (spectral
    adaptive inference, Sun et al. 2022; the abstract was read, the loss is a reconstruction).

    Attributes:
        alpha: a, from 0 (labels alone) to 1 (the last exit alone).
        temperature: T, above 0; higher gives unlikely classes more weight.
    """

    alpha: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.alpha <= 1, "alpha", "from 0 to 1")
        self._require(self.temperature > 0, "temperature", "above 0")

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """Labels, and the last exit's soft labels."""
        *early, last = batch.logits
        loss = batch.mean_loss(len(early))
        for index, logits in enumerate(early):
            soft = tf.reduce_mean(soft_label_losses(logits, last, temperature=self.temperature))
            loss += (1 - self.alpha) * batch.mean_loss(index) + self.alpha * batch.weights[index] * soft
        return loss
