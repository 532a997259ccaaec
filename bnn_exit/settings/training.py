"""How a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.settings.base import Config
from bnn_exit.text import counted

OPTIMIZERS = ("adam", "bop")


@dataclass(frozen=True)
class TrainConfig(Config):
    """Settings of one training.

    Attributes:
        epochs: passes over the training split; more is more accurate, up to a point, and slower.
        batch_size: clips a step; at most the training split. Fewer make more steps of an epoch, and binary networks
            gain from steps.
        learning_rate: peak of the cosine schedule. Binary weights move only when their latent value crosses zero, so
            it is larger than float networks like.
        warmup_steps: steps over which the rate rises from 0 to its peak.
        optimizer: "adam" trains latent weights, clipped to [-1, 1]; "bop" flips the signs of binary weights (Helwegen
            et al. 2019, algorithm 1) and trains all others with Adam.
        weight_decay: share of its rate by which every step shrinks float kernels (AdamW, Loshchilov and Hutter 2019);
            larger fits the training clips less closely. Binary kernels are left alone: only their sign counts, and
            shrinking the latent value would only make it flip more.
        label_smoothing: share of each label spread over all classes; larger makes exits less sure of themselves.
        exit_weights: weight of each exit's loss, in order of depth; empty means 1 for all. A larger weight for an exit
            makes it more accurate at the cost of the others.
        bfloat16: whether convolutions compute in bfloat16 (Intel 2018; 8 bits of mantissa). Signs are exact in it,
            gradients are rounded. Faster on processors with AVX512-BF16 or AMX; elsewhere leave it off.
        seed: of the weights, the order of clips and their augmentation.
    """

    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 8e-3
    warmup_steps: int = 200
    optimizer: str = "adam"
    weight_decay: float = 0.0
    label_smoothing: float = 0.1
    exit_weights: tuple[float, ...] = ()
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(self.epochs >= 1, "epochs", "at least 1")
        self._require(self.batch_size >= 1, "batch_size", "at least 1")
        self._require(self.learning_rate > 0, "learning_rate", "above 0")
        self._require(self.warmup_steps >= 0, "warmup_steps", "at least 0")
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        self._require(0 <= self.weight_decay < 1, "weight_decay", "at least 0 and below 1")
        self._require(0 <= self.label_smoothing < 1, "label_smoothing", "at least 0 and below 1")
        weights = self.exit_weights if isinstance(self.exit_weights, (tuple, list)) else (None,)
        numbers = all(isinstance(weight, (int, float)) and 0 <= weight < math.inf for weight in weights)
        self._require(numbers, "exit_weights", "a list of numbers of at least 0")
        self._require(0 <= self.seed < 2**31, "seed", "from 0 to 2147483647")

    def weights_of(self, exits: int) -> list[float]:
        """The weight of each of so many exits; ArgumentError if another number was given."""
        weights = list(self.exit_weights) or [1.0] * exits
        if len(weights) != exits:
            raise ArgumentError(f"exit_weights has {len(weights)} values, but the network has {counted(exits, 'exit')}")
        return weights
