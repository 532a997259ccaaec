"""The operating modes of one file: thresholds of which none is both cheaper and more accurate than another.

A count of modes and their span says how far one trained network adapts (Daghero et al. 2022, for microcontrollers).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.calibration.objective import Thresholds
from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.errors import ArgumentError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, rule
from bnn_exit.text import counted

MOST_VECTORS = 20_000
"""Vectors of thresholds that are tried: 20,000 take about a second for some thousand clips."""


@dataclasses.dataclass(frozen=True)
class Mode:
    """One of them.

    Attributes:
        thresholds: of all exits but the last, and of a skip gate.
        ops: of the average clip.
        accuracy: share of correct predictions.
    """

    thresholds: Thresholds
    ops: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Modes:
    """Operating modes in order of ops.

    Attributes:
        points: each cheaper and less accurate than the next.
        tried: vectors of thresholds that were tried.
    """

    points: tuple[Mode, ...]
    tried: int

    @property
    def accuracy_span(self) -> float:
        """Accuracy of the most accurate mode less that of the cheapest."""
        return self.points[-1].accuracy - self.points[0].accuracy

    @property
    def ops_ratio(self) -> float:
        """Ops of the most accurate mode over those of the cheapest."""
        return self.points[-1].ops / self.points[0].ops


def modes(held_out: ExitLogits, exit_logits: ExitLogits, costs: Sequence[Cost], *, policy: Policy) -> Modes:
    """The distinct Pareto-optimal modes, with thresholds from other clips than those that they are counted on.

    Thresholds are quantiles of the scores of each exit, in every combination. Those that are Pareto-optimal on the
    held-out clips are applied to the others; of these, the ones that are still Pareto-optimal there are counted, each
    pair of ops and accuracy once.

    Args:
        held_out: exit logits that thresholds are chosen on: validation.
        exit_logits: that they are applied to: test.
        costs: of leaving at each exit, the policy included.
        policy: fitted.

    Raises:
        ArgumentError: costs or numbers of exits that do not fit.
    """
    if held_out.exits != exit_logits.exits or len(costs) != exit_logits.exits:
        raise ArgumentError(
            f"there are costs of {counted(len(costs), 'exit')} and held-out logits of {held_out.exits}, but the exit "
            f"logits have {counted(exit_logits.exits, 'exit')}"
        )

    def right(logits: ExitLogits) -> npt.NDArray[np.bool_]:
        return np.asarray(policy.probabilities(logits).argmax(axis=-1) == logits.truth[:, None])

    count = policy.num_thresholds(exit_logits.exits)
    vectors = list(_vectors(policy.chosen_scores(held_out)[:, :count], always=policy.answers_always))
    chosen = _front(policy.scores(held_out), right(held_out), costs, vectors)
    found = _front(policy.scores(exit_logits), right(exit_logits), costs, [mode.thresholds for mode in chosen])
    return Modes(tuple(found), len(vectors))


def modes_of_clips(scores: npt.ArrayLike, right: npt.NDArray[np.bool_], costs: Sequence[Cost]) -> Modes:
    """The same with thresholds chosen on the clips themselves: at least as many modes.

    Args:
        scores: `[clips, exits]`.
        right: `[clips, exits]`, whether each exit gives the label.
        costs: of leaving at each exit, the policy included.
    """
    values = np.asarray(scores)
    count = rule.num_thresholds(values.shape[1], skips=LeavingCosts.of(costs).skipped is not None)
    vectors = list(_vectors(values[:, :count], always=True))
    return Modes(tuple(_front(scores, right, costs, vectors)), len(vectors))


def _vectors(scores: npt.NDArray[np.floating], *, always: bool) -> Iterator[Thresholds]:
    """Every combination of candidates: off, quantiles of the scores of the exit, and always.

    There is a threshold for each column of scores.
    """
    count = max(3, int(MOST_VECTORS ** (1 / scores.shape[1]))) if scores.shape[1] else 0
    lists = []
    for column in np.asarray(scores, np.float32).T:
        known = np.sort(column[~np.isnan(column)])
        places = np.linspace(0, len(known) - 1, min(count - 2, len(known))).round().astype(np.int64)
        above = np.nextafter(known[places], np.float32(np.inf))
        lists.append([0.0, *dict.fromkeys(map(float, above)), *([rule.ALWAYS] if always else [])])

    return itertools.product(*lists)


def _front(
    scores: npt.ArrayLike, right: npt.NDArray[np.bool_], costs: Sequence[Cost], vectors: Sequence[Thresholds]
) -> list[Mode]:
    """The Pareto-optimal ones of the thresholds, in order of ops; of equal figures the first."""
    rounded, figures = np.asarray(scores, np.float32), []
    ops = [cost.ops for cost in LeavingCosts.of(costs).outcomes]
    for number, thresholds in enumerate(vectors):
        outcomes = rule.outcomes(rounded, thresholds)
        exits = np.minimum(outcomes, rounded.shape[1] - 1)
        spent = float(np.bincount(outcomes, minlength=len(ops)) @ ops)
        figures.append((spent, -int(right[np.arange(len(exits)), exits].sum()), number))
    kept, most = [], -1
    for spent, missed, number in sorted(figures):
        if -missed > most:
            most = -missed
            kept.append(Mode(vectors[number], spent / len(rounded), most / len(rounded)))
    return kept
