"""Stage by stage, each on the clips that the exits before have wrong."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np

from bnn_exit._keras import tf
from bnn_exit.errors import ArgumentError
from bnn_exit.text import counted
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme


@dataclasses.dataclass(frozen=True)
class Cascade(Scheme):
    """Each stage with its head in turn, on D_n: the clips that no exit before has right (QuickNets, Patel and
    Siegelmann 2022; only the abstract was read, the rest is a reconstruction).

    Stages before stay as they are, so a step is cheap, and an early exit is not disturbed by later ones. Late stages
    see few and hard clips; `replay` keeps a share of the others against overfitting, which is ours. Exported with the
    policy `commitment`, whose score learns whether the exit is right.

    Attributes:
        steps: how many phases, at most one for each exit, which 0 means. With fewer, the last one trains all stages
            that are left.
        replay: share, from 0 to 1, of the clips that exits before have right to keep; 1 keeps all. More makes late
            exits more accurate on easy clips, and a phase slower.
    """

    steps: int = 0
    replay: float = 0.2

    policy = "commitment"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.steps >= 0, "steps", "at least 1, or 0 for one for each exit")
        self._require(0 <= self.replay <= 1, "replay", "from 0 to 1")

    @property
    def chooses_clips(self) -> bool:
        """It does."""
        return True

    def phases(self, exits: int) -> tuple[Phase, ...]:
        """One for each step."""
        steps = self.steps or exits
        if steps > exits:
            raise ArgumentError(
                f"steps is {steps}, but the network has {counted(exits, 'exit')}: at most one step for each"
            )
        parts = [(index,) for index in range(steps - 1)] + [tuple(range(steps - 1, exits))]
        return tuple(
            Phase(f"stage_{part[0] + 1}", 1 / steps, stages=part, heads=part, depth=part[-1] + 1, scored=part)
            for part in parts
        )

    def clips(self, phase: Phase, correct: np.ndarray, *, seed: int) -> np.ndarray | None:
        """Those that all exits before have wrong, and of the others the share to keep; None (all) if none is wrong."""
        assert phase.stages is not None
        first = phase.stages[0]
        known = correct[:, :first].any(axis=1)
        if known.all():
            print(
                f"phase {phase.name}: the exits before have all {len(known)} training clips right, so it gets all of "
                "them",
                file=sys.stderr,
            )
            return None
        kept = np.random.default_rng([seed, first]).random(len(known)) < self.replay
        return np.flatnonzero(~known | kept)

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """The sum over the exits of this phase."""
        assert phase.heads is not None
        return tf.add_n([batch.mean_loss(index) for index in phase.heads])
