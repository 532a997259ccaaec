"""Two curves that papers draw: the anytime curve, and MSDNet's batches under a budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics, policies
from bnn_exit.calibration.objective import Thresholds
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, rule
from bnn_exit.text import counted

POWERS = tuple(step / 20 for step in range(1, 40))
"""MSDNet's: exit k gets a share in proportion to the k-th power of each, so small ones mean early exits."""


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """One point of a curve.

    Attributes:
        ops: of the average clip.
        accuracy: share of correct predictions.
        exit_shares: of the clips, at each exit.
        thresholds: that were applied.
    """

    ops: float
    accuracy: float
    exit_shares: tuple[float, ...]
    thresholds: Thresholds


def anytime(exit_logits: ExitLogits, costs: Sequence[Cost], *, policy: Policy | None = None) -> list[CurvePoint]:
    """The figures of each exit if every clip leaves there (Huang et al. 2018, MSDNet, section 5.1).

    Args:
        exit_logits: to labelled clips.
        costs: of leaving at each exit.
        policy: fitted; None means the default one.
    """
    skips = policy is not None and policy.skips()
    forced = [rule.forcing_thresholds(k, exits=exit_logits.exits, skips=skips) for k in range(exit_logits.exits)]
    return [_point(tuple(thresholds.tolist()), exit_logits, costs, policy) for thresholds in forced]


def budgeted(
    held_out: ExitLogits,
    exit_logits: ExitLogits,
    costs: Sequence[Cost],
    *,
    policy: Policy | None = None,
    powers: Sequence[float] = POWERS,
) -> list[CurvePoint]:
    """The curve of budgeted batch classification (Huang et al. 2018, MSDNet, section 5.1, with the shares of its code).

    For each power p, the share of clips that leave at exit k is proportional to p^k. The threshold of exit k is the
    score of the last clip in that share, with the clips that have not left before sorted by score.

    Args:
        held_out: exit logits that thresholds are taken from: validation.
        exit_logits: exit logits that they are applied to: test.
        costs: of leaving at each exit.
        policy: fitted; None means the largest probability, as in the paper.
        powers: above 0.

    Raises:
        ArgumentError: costs or numbers of exits that do not fit.
    """
    if held_out.exits != exit_logits.exits:
        raise ArgumentError(
            f"held_out has {counted(held_out.exits, 'exit')}, but the exit logits have {exit_logits.exits}"
        )
    chosen = policy or policies.fit("max_probability")
    scores = chosen.scores(held_out).astype(np.float32)
    off = (0.0,) * (chosen.num_thresholds(exit_logits.exits) - (exit_logits.exits - 1))  # of a skip gate
    return [
        _point((*thresholds_of_shares(scores, _shares(p, exit_logits.exits)), *off), exit_logits, costs, chosen)
        for p in powers
    ]


def thresholds_of_shares(scores: npt.NDArray[np.float32], shares: Sequence[float]) -> Thresholds:
    """Thresholds with which the surest clips fill each exit's share.

    Args:
        scores: float32 [clips, exits].
        shares: of the clips for each exit; if fewer clips are left, or the share is less than one clip, the exit is
            off.
    """
    left, found = np.ones(len(scores), np.bool_), []
    for values, share in zip(scores.T[:-1], shares):
        due = math.floor(len(scores) * share)
        waiting = np.sort(values[left])
        if not 0 < due <= len(waiting):
            found.append(0.0)
            continue
        # The next number after the score, because the rule is a strict comparison and the paper's is not.
        threshold = np.nextafter(waiting[due - 1], np.float32(np.inf))
        left &= ~rule.leaves(values, threshold)
        found.append(float(threshold))
    return tuple(found)


def _shares(power: float, exits: int) -> list[float]:
    weights = [power**k for k in range(1, exits + 1)]
    return [weight / sum(weights) for weight in weights]


def _point(thresholds: Thresholds, exit_logits: ExitLogits, costs: Sequence[Cost], policy: Policy | None) -> CurvePoint:
    if len(costs) != exit_logits.exits:
        raise ArgumentError(
            f"costs has {len(costs)} entries, but the exit logits have {counted(exit_logits.exits, 'exit')}"
        )
    chosen = policy or policies.fit(policies.DEFAULT)
    scores = chosen.scores(exit_logits)
    exits = rule.exit_indices(scores, thresholds)
    return CurvePoint(
        ops=metrics.mean_cost(rule.outcomes(scores, thresholds), costs)["ops"],
        accuracy=metrics.accuracy(rule.predicted_labels(chosen.probabilities(exit_logits), exits), exit_logits.truth),
        exit_shares=tuple(metrics.exit_shares(exits, exits=exit_logits.exits).tolist()),
        thresholds=thresholds,
    )
