"""What every training scheme is made of."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.settings.base import Config
from bnn_exit.settings.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a training: what learns, and for how long.

    Attributes:
        name: part of the name of its folder.
        share: of the epochs, above 0; the shares of all phases add up to 1.
        stages, heads: numbers (from 0) of those that learn; None: all. The others stay as they are, with the
            statistics of their normalisation.
        depth: how many exits are computed; None: all. Fewer make a step faster.
        scored: numbers of the exits whose mean validation accuracy chooses the best epoch; None: all.
    """

    name: str
    share: float = 1.0
    stages: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    depth: int | None = None
    scored: tuple[int, ...] | None = None

    def freeze(self, network: MultiExitModel) -> None:
        """Let only the stages and heads of this phase learn."""
        for parts, chosen in ((network.stages, self.stages), (network.heads, self.heads)):
            # The earliest stage that has a layer decides about it: those of the glance share their stem.
            for index, part in reversed(list(enumerate(parts))):
                part.trainable = chosen is None or index in chosen


@dataclasses.dataclass(frozen=True)
class ExitBatch:
    """What a scheme makes its loss of.

    Attributes:
        logits: of each exit that the phase computes, `[batch, classes]`.
        labels: share of each class, `[batch, classes]`.
        losses: of each exit, `[batch]`: cross entropy with the labels, or with a teacher the mix of both.
        targets: logits of the teacher, `[batch, classes]`; None without one.
        weights: of each exit, as in `TrainConfig.exit_weights`.
        progress: share of the phase's epochs that are over, from 0 to below 1: a scalar.
        number: of the batch in its epoch, from 0: a scalar.
        costs: what leaving at each exit costs, as a share of the last exit's.
    """

    logits: list[tf.Tensor]
    labels: tf.Tensor
    losses: list[tf.Tensor]
    targets: tf.Tensor | None
    weights: list[float]
    progress: tf.Tensor
    number: tf.Tensor
    costs: list[float]

    def mean_loss(self, exit: int) -> tf.Tensor:
        """The loss of an exit: the mean over the batch, times the exit's weight."""
        return self.weights[exit] * tf.reduce_mean(self.losses[exit])


@dataclasses.dataclass(frozen=True)
class Scheme(Config):
    """A training scheme. Fields of a class are its options.

    Attributes:
        head: name of the head that it needs; None: any.
        policy: name of the policy that its networks are exported with, unless another one is chosen; None: the default.
        copies: whether it copies weights within a step, which replicas cannot.
    """

    head: ClassVar[str | None] = None
    policy: ClassVar[str | None] = None
    copies: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._require_kinds()

    @classmethod
    def _called(cls) -> str:
        return f"option of the scheme {cls.__module__.rpartition('.')[2]}"

    @property
    def needs_teacher(self) -> bool:
        """Whether it cannot do without a teacher."""
        return False

    def of_model(self, model: ModelConfig) -> ModelConfig:
        """The settings of the network that it trains."""
        return dataclasses.replace(model, head=self.head) if self.head else model

    def phases(self, exits: int) -> tuple[Phase, ...]:
        """What learns when, for a network of so many exits; ArgumentError if the options do not fit it."""
        return (Phase("train"),)

    def clips(self, phase: Phase, correct: np.ndarray, *, seed: int) -> np.ndarray | None:
        """Numbers of the training clips of a phase, rising; None: all.

        Args:
            phase: of this scheme, not the first.
            correct: whether each exit has each clip right, `[clips, exits]`, after the phase before.
            seed: of the training.
        """
        return None

    @property
    def chooses_clips(self) -> bool:
        """Whether `clips` needs to know which clips the exits have right."""
        return False

    def before_step(self, network: MultiExitModel, progress: tf.Tensor) -> None:
        """Called, in the graph of a step, before the network computes."""

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """What a phase minimises: a scalar."""
        raise NotImplementedError


def epochs_of(phases: tuple[Phase, ...], epochs: int, *, scheme: str) -> list[int]:
    """How many of the epochs each phase has: at least one, as near to its share as whole numbers allow.

    Raises:
        ArgumentError: fewer epochs than phases.

    Example:
        >>> epochs_of((Phase("backbone", 0.5), Phase("exits", 0.5)), 12, scheme="two_stage")
        [6, 6]
    """
    if epochs < len(phases):
        raise ArgumentError(
            f"epochs is {epochs}, but the scheme {scheme} has {len(phases)} phases: it needs at least {len(phases)}"
        )
    ends = np.rint(np.cumsum([phase.share for phase in phases]) * epochs).astype(int)
    for index in range(len(phases)):
        lowest, highest = index + 1, epochs - (len(phases) - 1 - index)
        ends[index] = np.clip(max(ends[index], ends[index - 1] + 1 if index else 1), lowest, highest)
    return [int(count) for count in np.diff(ends, prepend=0)]
