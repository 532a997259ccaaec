"""Thresholds of a skip gate and of the exits as polynomials of a budget (Dong, Mao and Zhang 2022)."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from bnn_exit.calibration.constraints import RESOURCES, Constraints, InfeasibleError, unit
from bnn_exit.calibration.objective import Problem, Thresholds
from bnn_exit.calibration.threshold_search import distinct_thresholds
from bnn_exit.errors import ArgumentError, DataError

STEPS = 32
"""Thresholds of the gate, and of all exits together, that are tried: 1024 pairs."""

DEGREE = 2
"""Of the polynomials."""


@dataclasses.dataclass(frozen=True)
class ThresholdRegression:
    """The thresholds of a budget.

    With x = (budget - low) / (high - low), clipped to [0, 1], a threshold is c_0 + c_1 x + c_2 x^2, at least 0.

    Attributes:
        limit: what the budget is of: "max_mean_cost" (share of the full network's ops) or "max_mean_us".
        low, high: budgets of the cheapest and of the dearest pair that the polynomials were fitted to.
        gate: c of the skip gate's threshold.
        exits: c of the threshold that all exits share.
        pairs: Pareto-optimal pairs that they were fitted to: rows of budget, threshold of the gate and of the exits.
    """

    limit: str
    low: float
    high: float
    gate: tuple[float, ...]
    exits: tuple[float, ...]
    pairs: tuple[tuple[float, float, float], ...]

    def at(self, budget: float) -> tuple[float, float]:
        """The thresholds of the gate and of the exits."""
        place = float(np.clip((budget - self.low) / max(self.high - self.low, 1e-12), 0.0, 1.0))
        gate, exits = (sum(c * place**k for k, c in enumerate(each)) for each in (self.gate, self.exits))
        return _short(gate), _short(exits)


@dataclasses.dataclass(frozen=True)
class RegressedThresholds:
    """Thresholds for a budget.

    Attributes:
        thresholds: of the exits but the last, all the same, and of the gate.
        regression: that gave them.
        kept: whether the regressed pair meets the budget on the clips; if not, these are the best pair of the search.
        asked, used: the regressed pair, of gate and exits, and what it uses.
    """

    thresholds: Thresholds
    regression: ThresholdRegression
    kept: bool
    asked: tuple[float, float]
    used: float

    def sentence(self) -> str:
        """What was done, in one line."""
        gate, exits = self.asked
        pair = f"regressed thresholds, {gate:.4g} of the gate and {exits:.4g} of the exits, use {self.used:.4g}"
        if self.kept:
            return f"{pair}, within the budget"
        return f"{pair}, more than the budget: the best pair of the search was taken"


def fit_regression(problem: Problem, limit: str, *, full_ops: float) -> ThresholdRegression:
    """Polynomials of the budget, fitted to the Pareto-optimal pairs of a grid.

    Args:
        problem: with a skip gate.
        limit: "max_mean_cost" or "max_mean_us".
        full_ops: of the full network.

    Raises:
        ArgumentError: another limit, or no skip gate.
        DataError: one pair is the best for every budget.
    """
    pairs = [(cost, gate, exits) for cost, _, gate, exits in _front(problem, limit, full_ops=full_ops)]
    if len(pairs) < 2:
        raise DataError(
            f"one pair of thresholds is the best for every {limit} on these clips, so there is nothing to fit: leave "
            "--regression out"
        )
    costs, gates, exits = np.array(pairs).T
    place = (costs - costs.min()) / (costs.max() - costs.min())
    degree = min(DEGREE, len(pairs) - 1)
    fitted = [np.polynomial.polynomial.polyfit(place, each, degree).tolist() for each in (gates, exits)]
    return ThresholdRegression(
        limit, float(costs.min()), float(costs.max()), tuple(fitted[0]), tuple(fitted[1]), tuple(pairs)
    )


def regressed_thresholds(problem: Problem, constraints: Constraints, *, full_ops: float) -> RegressedThresholds:
    """The thresholds of a budget, by regression; the best pair of the grid where they miss it.

    Args:
        problem: with a skip gate.
        constraints: "max_mean_cost" or "max_mean_us" alone.
        full_ops: of the full network.

    Raises:
        ArgumentError: other limits, or no skip gate.
        InfeasibleError: no pair meets the budget.
        DataError: one pair is the best for every budget.
    """
    if len(constraints.limits) != 1 or next(iter(constraints.limits)) not in RESOURCES:
        raise ArgumentError(
            f"regression is asked for with the limits {', '.join(constraints.limits) or 'none'}, but goes with one of "
            f"{' and '.join(RESOURCES)} alone"
        )
    ((limit, budget),) = constraints.limits.items()
    regression = fit_regression(problem, limit, full_ops=full_ops)
    allowed = [row for row in regression.pairs if row[0] <= budget * (1 + 1e-9)]
    if not allowed:
        raise InfeasibleError(constraints, limit, regression.low)
    asked = regression.at(budget)
    used = _totals(problem, *asked)[RESOURCES[limit]] / unit(limit, clips=len(problem.correct), full_ops=full_ops)
    kept = used <= budget * (1 + 1e-9)
    # Along the front the dearest pair loses the least.
    gate, exits = asked if kept else allowed[-1][1:]
    return RegressedThresholds((*(exits,) * (problem.exits - 1), gate), regression, kept, asked, used)


def _front(problem: Problem, limit: str, *, full_ops: float) -> list[tuple[float, float, float, float]]:
    """Rows of budget, clips lost, threshold of the gate and of the exits: none is both cheaper and loses less."""
    if problem.gate is None:
        raise ArgumentError("regression is asked for, but the policy has no skip gate: choose --policy skip_gate")
    gates, exits = (_some(values) for values in (problem.gate, problem.scores.ravel()))
    scale = unit(limit, clips=len(problem.correct), full_ops=full_ops)
    rows = []
    for gate, threshold in itertools.product(gates, exits):
        totals = _totals(problem, gate, threshold)
        rows.append((totals[RESOURCES[limit]] / scale, totals["lost"], gate, threshold))
    kept: list[tuple[float, float, float, float]] = []
    for row in sorted(rows):
        if not kept or row[1] < kept[-1][1]:
            kept.append(row)
    return kept


def _totals(problem: Problem, gate: float, exits: float) -> dict[str, float]:
    return problem.totals((*(exits,) * (problem.exits - 1), gate))


def _some(scores: npt.NDArray[np.float32]) -> list[float]:
    found = distinct_thresholds(scores)
    places = np.linspace(0, len(found) - 1, min(STEPS, len(found))).round().astype(np.int64)
    return [_short(value) for value in found[places]]


def _short(value: float) -> float:
    """The shortest decimals that are the same float32, at least 0."""
    return float(str(np.float32(max(float(value), 0.0))))
