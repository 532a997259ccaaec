"""All exits at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bnn_exit._keras import tf
from bnn_exit.errors import ArgumentError
from bnn_exit.text import counted
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme

_RAMP_START = 0.01


@dataclasses.dataclass(frozen=True)
class Joint(Scheme):
    """The weighted sum of all exits' losses: L = sum over m of w_m L_m (BranchyNet, Teerapittayanon et al. 2016,
    section III-B).

    With `ramp`, the weight of an early exit rises over the epochs from 0.01 to its share of the whole network's cost,
    and the last exit's is 1 (Shallow-Deep Networks, Kaya et al. 2019, and their published code): the first epochs are
    the last exit's.

    Attributes:
        weights: w_m of each exit, in order of depth; empty: those of the recipe, or 1. A larger weight for an exit
            makes it more accurate at the cost of the others; the paper suggests more for early exits, such as 1 and
            0.3 for two.
        ramp: whether weights rise so; `weights` must be empty then.
    """

    weights: tuple[float, ...] = ()
    ramp: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = self.weights if isinstance(self.weights, Sequence) and not isinstance(self.weights, str) else (None,)
        numbers = all(
            isinstance(weight, (int, float)) and not isinstance(weight, bool) and 0 <= weight < math.inf
            for weight in weights
        )
        self._require(numbers, "weights", "a list of numbers of at least 0, such as [1, 0.5, 0.3]")
        self._require(isinstance(self.ramp, bool), "ramp", "true or false")
        if self.weights and not any(self.weights):
            raise ArgumentError(f"weights is {list(self.weights)}, but one must be above 0, or nothing is trained")
        if self.ramp and self.weights:
            raise ArgumentError(f"weights is {list(self.weights)}, but must be empty with ramp, which has its own")

    def phases(self, exits: int) -> tuple[Phase, ...]:
        """One."""
        if self.weights and len(self.weights) != exits:
            raise ArgumentError(f"weights has {len(self.weights)} values, but the network has {counted(exits, 'exit')}")
        return super().phases(exits)

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """The weighted sum."""
        losses = [tf.reduce_mean(each) for each in batch.losses]
        if self.ramp:
            rising = [_RAMP_START + (cost - _RAMP_START) * batch.progress for cost in batch.costs[:-1]]
            return tf.add_n([weight * loss for weight, loss in zip([*rising, 1.0], losses, strict=True)])
        weights = list(self.weights) or batch.weights
        return tf.add_n([weight * loss for weight, loss in zip(weights, losses, strict=True)])
