"""Exits that learn to answer as the last exit does, without labels."""

from __future__ import annotations

import dataclasses

from bnn_exit._keras import tf
from bnn_exit.training.agreement import agreement_loss
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme
from bnn_exit.training.schemes.two_stage import frozen_backbone


@dataclasses.dataclass(frozen=True)
class Cached(Scheme):
    """The backbone with its last exit by labels, then the early exits by the last one's answers alone: the mean over
    early exits of KL(p_M || p_m) (automated layer caching, Abedi et al. 2022).

    What early exits learn needs no labels, so `python -m bnn_exit.adapt` can continue it on clips of the field.

    Attributes:
        backbone_share: of the epochs, above 0 and below 1. Larger makes the last exit more accurate, smaller the early
            ones.
        temperature: of the answers, above 0; higher gives unlikely classes more weight.
    """

    backbone_share: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 < self.backbone_share < 1, "backbone_share", "above 0 and below 1")
        self._require(self.temperature > 0, "temperature", "above 0")

    def phases(self, exits: int) -> tuple[Phase, ...]:
        """The backbone, then the exits."""
        return frozen_backbone(self.backbone_share, exits, early_heads=False)

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """Labels for the last exit; its answers for the others."""
        if phase.name == "backbone":
            return batch.mean_loss(len(batch.logits) - 1)
        return agreement_loss(batch.logits, temperature=self.temperature)
