"""An ensemble of all exits so far."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.pairs import zip_strict
from bnn_exit.policies.base import Floats, Policy, Sizes, lengths, log_softmax, softmax

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits

_STEPS = 400
_RATE = 0.05


@dataclasses.dataclass(frozen=True)
class Ensemble(Policy):
    """Geometric ensemble of Zero Time Waste (Wolczyk et al. 2021, section 3.2); the score is one minus its largest
    probability.

    Exit m predicts softmax_c((1/m) sum_{j<=m} w_mj ln p_j(c) + b_mc), with the p_j of all exits so far. As in the
    paper, w_mj = exp(omega_mj), and omega and b have the least cross entropy on cached log probabilities of a trained
    network. The head `cascaded` is the other half of the method.

    Ours differs: the clips are those that are given, usually of the validation split (the paper: training). All of them
    make each of 400 steps of Adam, whose rate falls from 0.05 to 0 (501 epochs of batches of 512, at 0.0005). Omega
    starts at 0 (normal, deviation 0.01). So nothing is drawn by chance. The last exit keeps the network's own
    probabilities (one variant of the authors' code joins it to the ensemble as well).

    Attributes:
        weights: for each exit but the last, w_m1 to w_mm, all above 0.
        biases: for each exit but the last, one number a class.
    """

    weights: tuple[tuple[float, ...], ...] = ()
    biases: tuple[tuple[float, ...], ...] = ()

    name = "ensemble"

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> Ensemble:
        log_probs = log_softmax(exit_logits.logits)
        fitted = [_fit_exit(log_probs[:, : m + 1], exit_logits.truth) for m in range(exit_logits.exits - 1)]
        return cls(tuple(weights for weights, _ in fitted), tuple(biases for _, biases in fitted))

    def fits(self, *, exits: int, classes: int) -> bool:
        """See Policy."""
        return lengths(self.weights) == [*range(1, exits)] and lengths(self.biases) == [classes] * (exits - 1)

    def probabilities(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        log_probs = log_softmax(exit_logits.logits)
        together = [
            np.einsum("nmc,m->nc", log_probs[:, : len(w)], np.asarray(w)) / len(w) + np.asarray(b)
            for w, b in zip_strict(self.weights, self.biases)
        ]
        return softmax(np.stack([*together, log_probs[:, -1]], axis=1))

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        return np.maximum(1 - self.probabilities(exit_logits).max(axis=-1), 0.0)

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy: the weighted sum, the exponentials and the largest of them."""
        return Cost(0, (exit_index + 3) * sizes.classes)


def _fit_exit(log_probs: Floats, labels: npt.NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights and biases of the least cross entropy, from log probabilities [clips, exits so far, classes].

    Weights are exponentials, so they stay above 0, as in the paper; Adam on all clips at once in place of its
    mini-batches, so that nothing is drawn by chance.
    """
    clips, exits, classes = log_probs.shape
    right = np.zeros((clips, classes))
    right[np.arange(clips), labels] = 1
    # One vector: logarithms of the weights, then the biases.
    values, mean, square = (np.zeros(exits + classes) for _ in range(3))
    for step in range(1, _STEPS + 1):
        weights, biases = np.exp(values[:exits]), values[exits:]
        off = softmax(np.einsum("nmc,m->nc", log_probs, weights) / exits + biases) - right
        slope = np.concatenate([weights * np.einsum("nc,nmc->m", off, log_probs) / exits, off.sum(axis=0)]) / clips
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / _STEPS))
        values = values - rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return tuple(np.exp(values[:exits]).tolist()), tuple(values[exits:].tolist())
