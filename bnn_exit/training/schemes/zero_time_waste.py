"""Exits on features that stay as they are, each reading the logits of the exit before."""

from __future__ import annotations

import dataclasses

from bnn_exit._keras import tf
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme
from bnn_exit.training.schemes.two_stage import frozen_backbone


@dataclasses.dataclass(frozen=True)
class ZeroTimeWaste(Scheme):
    """The backbone with its last exit, then all heads by the mean of their losses, each with the logits of the exit
    before as an input (Zero Time Waste, Wolczyk et al. 2021, section 3).

    Exported with the policy `ensemble`, the weighted geometric mean of the exits so far, as in the paper.

    Attributes:
        backbone_share: of the epochs, above 0 and below 1. Larger makes the last exit more accurate, smaller the early
            ones.
    """

    backbone_share: float = 0.5

    head = "cascaded"
    policy = "ensemble"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 < self.backbone_share < 1, "backbone_share", "above 0 and below 1")

    def phases(self, exits: int) -> tuple[Phase, ...]:
        """The backbone, then all exits: the last one reads logits, too, and these change."""
        backbone, _ = frozen_backbone(self.backbone_share, exits, early_heads=False)
        return backbone, Phase("exits", 1 - self.backbone_share, stages=())

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """The last exit's loss, then the mean of all."""
        exits = len(batch.logits)
        if phase.name == "backbone":
            return batch.mean_loss(exits - 1)
        return tf.add_n([batch.mean_loss(index) for index in range(exits)]) / exits
