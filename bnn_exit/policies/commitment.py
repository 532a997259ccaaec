"""A small output for each exit that learns whether the exit is right."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from bnn_exit.cost import Cost
from bnn_exit.policies.base import Floats, Policy, Sizes, lengths, softmax
from bnn_exit.policies.logistic import fit_logistic, sigmoid
from bnn_exit.policies.uncertainty import Margin

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits

_RIDGE = 1e-3
"""Of the squared weights, beside the mean loss of a clip: an exit that is always right has finite weights too."""


@dataclasses.dataclass(frozen=True)
class Commitment(Policy):
    """1 - sigmoid(b_m + a_m margin + sum_c w_mc p_c): how likely exit m is wrong, after the commitment layer of
    QuickNets (Patel and Siegelmann 2022).

    The layer's form is not published beyond its purpose, to catch exits that are surely wrong; this one reads the
    probabilities of the exit and their margin, so it knows classes that are taken for others. Without weights of
    classes the order of clips is that of the policy `margin`. The last exit, which needs no decision, has one minus
    its largest probability.

    Attributes:
        weights: for each exit but the last, w_m1 to w_mC, one a class, and then a_m.
        biases: for each exit but the last, b_m.
    """

    weights: tuple[tuple[float, ...], ...] = ()
    biases: tuple[float, ...] = ()

    name = "commitment"

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> Commitment:
        read = _read(softmax(exit_logits.logits))
        right = exit_logits.correct
        found = [
            fit_logistic(read[:, m], right[:, m].astype(np.float64), ridge=_RIDGE) for m in range(exit_logits.exits - 1)
        ]
        return cls(tuple(tuple(each[:-1].tolist()) for each in found), tuple(float(each[-1]) for each in found))

    def fits(self, *, exits: int, classes: int) -> bool:
        """See Policy."""
        numbers = all(isinstance(bias, (int, float)) for bias in self.biases)
        return numbers and lengths(self.weights) == [classes + 1] * (exits - 1) and len(self.biases) == exits - 1

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        probabilities = softmax(exit_logits.logits)
        read = _read(probabilities)[:, :-1]
        sums = np.einsum("nmc,mc->nm", read, np.asarray(self.weights)) + np.asarray(self.biases)
        last = np.maximum(1 - probabilities[:, -1].max(axis=-1), 0.0)
        return np.concatenate([sigmoid(-sums), last[:, None]], axis=1)

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy: the margin, the weighted sum and the sigmoid."""
        return Cost(0, 3 * sizes.classes + 4)


def _read(probabilities: Floats) -> Floats:
    """The probabilities and their margin: [clips, exits, classes + 1]."""
    return np.concatenate([probabilities, 1 - Margin.of(probabilities)[..., None]], axis=-1)
