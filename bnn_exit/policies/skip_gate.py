"""A tiny predictor that sends a hopeless clip past the early heads."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.policies.base import Floats, Policy, Sizes, softmax
from bnn_exit.policies.logistic import fit_logistic, sigmoid
from bnn_exit.policies.uncertainty import Margin

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits

RIGHT = 0.98
"""Share of the clips an exit lets leave that it must have right, where it is asked what it would do with a clip."""
RIDGE = 0.1
"""Of the squared weights of standardised features, beside the mean loss of a clip. There may be as many features as
clips: they are neighbours on a grid, and a strong ridge reads their common part."""
_BIAS_RIDGE = 1e-3
"""Of the bias alone: it is finite where all clips have one label."""


@dataclasses.dataclass(frozen=True)
class SkipGate(Policy):
    """r = sigmoid(w.x + b) of the features x of stage 1: how likely an early exit answers, and rightly. Exit prediction
    (Dong, Mao and Zhang 2022, arXiv 2206.07269).

    A clip with r below the threshold of the gate skips every early head and leaves at the last exit; for the others
    each exit is asked as usual, with the score of the policy `margin`. r is the score of the last exit, so that the
    rule compares it with the last threshold: 0 turns the gate off, and a larger one skips more. That is cheaper for
    clips that no early exit would have answered, and dearer, but no less accurate than the last exit, for the others.

    It reads what stage 1 made, in the means over the grid of a head (`ExitLogits.features`), rather than the stem. That
    loses nothing: the stages run in any case, and what is saved is the heads. It pays only if
    cost(predictor) < P(skip) cost(heads that are skipped); where heads are small, it does not.

    The paper's text was not available beyond its abstract; the label, the weights of the classes and the ridge are
    ours. The label is 1 where some early exit is right and its score is in the range in which 98 % of that exit's clips
    are right. Both classes weigh the same.

    Attributes:
        weights: one for each feature of stage 1.
        bias: b, as the only entry of a tuple.

    Example:
        >>> policy = policies.fit("skip_gate", exit_logits)          # with features
        >>> rule.exit_indices(policy.scores(exit_logits), (0.3, 0.4, 0.1))   # three exits; 0.1 is the gate's
    """

    weights: tuple[float, ...] = ()
    bias: tuple[float, ...] = (0.0,)

    name = "skip_gate"
    needs_features = True
    least_exits = 3

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> SkipGate:
        cls.check_exits(exit_logits.exits)
        values = fit_predictor(cls._features(exit_logits), early_answers(exit_logits))
        # Four digits: as text they take a third of the room, and no decision needs more.
        weights = [float(f"{each:.4g}") for each in values]
        return cls(tuple(weights[:-1]), (weights[-1],))

    @classmethod
    def _features(cls, exit_logits: ExitLogits) -> Floats:
        if not exit_logits.features:
            raise DataError(f"policy {cls.name} needs the features of every exit, but the exit logits hold none")
        return np.asarray(exit_logits.features[0], np.float64)

    def gate_scores(self, exit_logits: ExitLogits) -> Floats:
        """r of each clip: [clips], in [0, 1]; as a model file gave it, or from features."""
        if exit_logits.gate_scores is not None:
            return np.asarray(exit_logits.gate_scores, np.float64)
        features = self._features(exit_logits)
        if features.shape[1] != len(self.weights):
            raise ArgumentError(
                f"policy {self.name} was fitted to {len(self.weights)} features of stage 1, but there are "
                f"{features.shape[1]}: fit it on exit logits of this network"
            )
        return sigmoid(features @ np.asarray(self.weights) + self.bias[0])

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy; that of the last exit is r."""
        early = Margin.of(softmax(exit_logits.logits[:, :-1]))
        return np.concatenate([early, self.gate_scores(exit_logits)[:, None]], axis=1)

    def fits(self, *, exits: int, classes: int) -> bool:
        """See Policy."""
        numbers = all(isinstance(each, (int, float)) for each in (*self.weights, *self.bias))
        return numbers and exits >= self.least_exits and len(self.weights) >= 1 and len(self.bias) == 1

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy."""
        return Margin().cost(exit_index, sizes)

    def gate_cost(self, sizes: Sizes) -> Cost:
        """See Policy: the weighted sum, the sigmoid and the comparison."""
        return Cost(0, sizes.features[0] + 3)


def early_answers(exit_logits: ExitLogits) -> npt.NDArray[np.bool_]:
    """What the gate predicts: whether some early exit is right about a clip and sure enough of it: [clips].

    Sure enough is a score up to the largest one below which `RIGHT` of the exit's clips are right.
    """
    scores, right = Margin.of(softmax(exit_logits.logits)), exit_logits.correct
    found = np.zeros(len(exit_logits), np.bool_)
    for exit_index in range(exit_logits.exits - 1):
        order = np.argsort(scores[:, exit_index], kind="stable")
        rising = scores[order, exit_index]
        share = np.cumsum(right[order, exit_index]) / np.arange(1, len(order) + 1)
        # Clips of equal scores leave together.
        enough = np.flatnonzero((share >= RIGHT) & np.append(rising[1:] > rising[:-1], True))
        if len(enough):
            found |= right[:, exit_index] & (scores[:, exit_index] <= rising[enough[-1]])
    return found


def fit_predictor(features: Floats, answered: npt.NDArray[np.bool_]) -> Floats:
    """Weights, and then the bias, of logistic regression of `answered` [clips] on features [clips, size].

    Minimises the mean of the clips' cross entropy, each weighted by clips / (2 clips of its class), plus half of RIDGE
    times the squared weights of the standardised features.
    """
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    truth = answered.astype(np.float64)
    clips = np.where(answered, truth.sum(), (1 - truth).sum())
    ridge = np.append(np.full(features.shape[1], RIDGE), _BIAS_RIDGE)
    values = fit_logistic((features - middle) / spread, truth, ridge=ridge, weigh=len(truth) / (2 * clips))
    weights = values[:-1] / spread
    return np.append(weights, values[-1] - weights @ middle)
