"""The last exit also looks through the first exit's filters."""

from __future__ import annotations

import dataclasses

from bnn_exit._keras import tf
from bnn_exit.models.early_view import early_view_pairs
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme


@dataclasses.dataclass(frozen=True)
class EarlyView(Scheme):
    """L = w times the sum of the early exits' L_m + L_M, with early-view assistance (T-RecX, Ghanathe and Wilton 2023,
    sections 3 and 4).

    The head `early_view` gives the last exit a second depthwise layer of the shape of the first exit's. In the first
    epochs every step begins with the first exit's filters in it; then it learns by itself. So the last exit sees what
    the first one saw, and overrules it less often where it was right.

    Attributes:
        early_weight: w, above 0. Larger makes early exits more accurate, smaller the last one.
        until: share of the epochs, from 0 to 1, in which the filters are copied; 0 never copies.
    """

    early_weight: float = 0.3
    until: float = 0.8

    head = "early_view"
    copies = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.early_weight > 0, "early_weight", "above 0")
        self._require(0 <= self.until <= 1, "until", "from 0 to 1")

    def before_step(self, network: MultiExitModel, progress: tf.Tensor) -> None:
        """Copy the filters, until the time comes."""
        copying = progress < self.until
        for source, clone in early_view_pairs(network):
            clone.assign(tf.where(copying, source, clone))

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """The weighted sum."""
        last = len(batch.logits) - 1
        early = tf.add_n([batch.mean_loss(index) for index in range(last)])
        return self.early_weight * early + batch.mean_loss(last)
