"""The default operating points: thresholds from validation clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnn_exit import metrics, policies
from bnn_exit.calibration import threshold_search
from bnn_exit.calibration.objective import AccuracyConstraint, Problem, SearchObjective, Thresholds
from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import FULL, OperatingPoint, OperatingPoints
from bnn_exit.policies import Policy, rule
from bnn_exit.text import counted

DROPS: dict[str, float | None] = {FULL: None, "accurate": 0.0025, "balanced": 0.005, "fast": 0.02}
"""Operating point -> accuracy on validation that it may lose against the last exit; None: every exit is off."""

STANDARD_ERRORS = 3.5
"""Margin of the operating points, in standard errors of the accuracy lost: the smallest, in steps of a half, with which
thresholds satisfy nine of ten limits on new speakers (`benchmarks/threshold_margin.py`). It is larger than for a normal
distribution, because errors on clips of one speaker are correlated, and because thresholds are the best of many on the
clips that choose them."""


def search_thresholds(
    exit_logits: ExitLogits,
    costs: Sequence[Cost],
    *,
    max_accuracy_drop: float,
    standard_errors: float = STANDARD_ERRORS,
    policy: Policy | None = None,
) -> Thresholds:
    """The thresholds of the least mean `ops` whose accuracy is at least that of the last exit minus the drop.

    With a margin of `standard_errors`, because thresholds chosen on some clips lose more on others.

    Thresholds of all zeros, the full network, always qualify, so there is always a solution. Each threshold lies inside
    a gap between observed scores, where rounding to float32 cannot move a clip to another exit.

    Args:
        exit_logits: of all exits to labelled clips.
        costs: cumulative cost of leaving at each exit.
        max_accuracy_drop: in [0, 1]; 0.005 allows half a percentage point.
        standard_errors: how many standard errors of the loss must fit into the drop as well; larger is safer and
            slower, 0 is no margin.
        policy: fitted; None means the default one.

    Raises:
        ArgumentError: costs that do not fit, a drop outside [0, 1].
        DataError: no labels, clips of one class only.
    """
    objective = drop_objective(exit_logits, max_accuracy_drop, standard_errors=standard_errors)
    return threshold_search.search(problem(exit_logits, costs, policy=policy), objective)


def operating_points(
    exit_logits: ExitLogits,
    costs: Sequence[Cost],
    *,
    drops: Mapping[str, float | None] = DROPS,
    standard_errors: float = STANDARD_ERRORS,
    policy: Policy | None = None,
) -> OperatingPoints:
    """Thresholds and figures for every name in `drops`, in its order; arguments and errors of `search_thresholds`.

    A point that may lose more accuracy never costs more than one that may lose less.
    """
    objectives = {
        name: drop_objective(exit_logits, drop, standard_errors=standard_errors)
        for name, drop in drops.items()
        if drop is not None
    }
    chosen = policy or policies.fit(policies.DEFAULT)
    of_these = problem(exit_logits, costs, policy=chosen)
    thresholds: dict[str, Thresholds] = {}
    best = (0.0,) * chosen.num_thresholds(exit_logits.exits)
    for name, drop in sorted(drops.items(), key=lambda item: (item[1] is not None, item[1] or 0.0)):
        if drop is not None:
            best = threshold_search.search(of_these, objectives[name], starts=[best])
        thresholds[name] = best
    points = {
        name: describe(
            name, thresholds[name], exit_logits, costs, policy=chosen, max_accuracy_drop=0.0 if drop is None else drop
        )
        for name, drop in drops.items()
    }
    return OperatingPoints(points, policy=chosen)


def describe(
    name: str,
    thresholds: Sequence[float],
    exit_logits: ExitLogits,
    costs: Sequence[Cost],
    *,
    policy: Policy | None = None,
    max_accuracy_drop: float,
) -> OperatingPoint:
    """The operating point of some thresholds, with the figures that they reach on these clips."""
    chosen = policy or policies.fit(policies.DEFAULT)
    scores = chosen.scores(exit_logits)
    exits, outcomes = rule.exit_indices(scores, thresholds), rule.outcomes(scores, thresholds)
    return OperatingPoint(
        name=name,
        thresholds=tuple(thresholds),
        max_accuracy_drop=max_accuracy_drop,
        accuracy=metrics.accuracy(rule.predicted_labels(chosen.probabilities(exit_logits), exits), exit_logits.truth),
        exit_shares=tuple(metrics.exit_shares(exits, exits=exit_logits.exits).tolist()),
        mean_cost=metrics.mean_cost(outcomes, costs),
        split=exit_logits.split,
        sample_count=len(exit_logits),
        skipped_share=float((outcomes == exit_logits.exits).mean()) if chosen.skips() else None,
    )


def drop_objective(
    exit_logits: ExitLogits, max_accuracy_drop: float, *, standard_errors: float = STANDARD_ERRORS
) -> SearchObjective:
    """The least ops whose accuracy stays within the drop."""
    if not 0 <= max_accuracy_drop <= 1:
        raise ArgumentError(
            f"max_accuracy_drop is {max_accuracy_drop!r}, but must be from 0 to 1 (0.005 is half a percent)"
        )
    return SearchObjective(limits=(AccuracyConstraint(max_accuracy_drop * len(exit_logits), standard_errors),))


def problem(
    exit_logits: ExitLogits,
    costs: Sequence[Cost],
    *,
    policy: Policy | None = None,
    times_us: Sequence[float] | None = None,
    skipped_us: float | None = None,
) -> Problem:
    """The problem of a search, from exit logits under a policy; errors of `search_thresholds`.

    Args:
        exit_logits, costs, policy: as for `search_thresholds`.
        times_us: of leaving at each exit, in microseconds; adds the resource "time_us".
        skipped_us: of a clip that a skip gate sends to the last exit; None takes that exit's time, an upper bound.
    """
    chosen = policy or policies.fit(policies.DEFAULT)
    truth = exit_logits.truth
    if len(costs) != exit_logits.exits:
        raise ArgumentError(
            f"costs has {len(costs)} entries, but the exit logits have {counted(exit_logits.exits, 'exit')}"
        )
    if np.all(truth == truth[0]):
        raise DataError(
            f"all {len(exit_logits)} {exit_logits.split} clips have label {truth[0]}, but thresholds need at least two "
            "classes"
        )
    resources = {"ops": np.array([cost.ops for cost in costs])}
    skipped = {"ops": (LeavingCosts.of(costs).skipped or costs[-1]).ops}
    if times_us is not None:
        resources["time_us"] = np.asarray(times_us, np.float64)
        skipped["time_us"] = times_us[-1] if skipped_us is None else skipped_us
    scores = chosen.chosen_scores(exit_logits).astype(np.float32)
    return Problem(
        scores=scores[:, :-1],
        correct=chosen.probabilities(exit_logits).argmax(axis=-1) == truth[:, None],
        resources=resources,
        gate=scores[:, -1] if chosen.skips() else None,
        skipped=skipped if chosen.skips() else {},
    )
