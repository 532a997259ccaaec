"""Thresholds from validation clips, and the named operating points that a model file carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics, policy, threshold_search
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError, one_of

DROPS: dict[str, float | None] = {"full": None, "accurate": 0.0025, "balanced": 0.005, "fast": 0.02}
"""Operating point -> accuracy on validation that it may lose against the last exit; None: every exit is off."""

STANDARD_ERRORS = 1.645
"""Margin of the operating points, in standard errors of the accuracy lost: one-sided 95 % of a normal distribution.
`benchmarks/threshold_margin.py` shows what happens without one when thresholds meet new speakers."""


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """A named set of thresholds with the figures it reached on the clips that chose it.

    Attributes:
        name: what a user asks for, such as "balanced".
        thresholds: one for each exit but the last.
        max_accuracy_drop: the accuracy that it was allowed to lose against the last exit; 0 for "full".
        accuracy: share of right answers in [0, 1].
        exit_shares: share of the clips that answered at each exit; sums to 1.
        mean_cost: binary_macs, float_macs and ops of the mean clip, every head that was run included.
        split: the split of the figures.
        sample_count: clips in that split.
    """

    name: str
    thresholds: tuple[float, ...]
    max_accuracy_drop: float
    accuracy: float
    exit_shares: tuple[float, ...]
    mean_cost: dict[str, float]
    split: str = "validation"
    sample_count: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OperatingPoint:
        """The point that `to_dict` wrote; ArgumentError on an unknown or missing name, or impossible thresholds."""
        names = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            one_of("name in an operating point", name, names)
        try:
            table: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            point = cls(**table)
        except TypeError as error:
            raise ArgumentError(f"an operating point needs {', '.join(sorted(names))}: {error}") from error
        for name in ("thresholds", "exit_shares"):
            if not isinstance(values[name], (list, tuple)):
                raise ArgumentError(
                    f"{name} of operating point {point.name!r} is {values[name]!r}, but must be a list of numbers"
                )
        policy.check_thresholds(point.thresholds, exits=len(point.exit_shares))
        return point


def search_thresholds(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    costs: Sequence[Cost],
    *,
    max_accuracy_drop: float,
    standard_errors: float = STANDARD_ERRORS,
    policy_name: str = "entropy",
) -> tuple[float, ...]:
    """The thresholds of the least mean `ops` whose accuracy is at least that of the last exit minus the drop.

    With a margin of `standard_errors`, because thresholds that are searched for on some clips lose more on others.

    Thresholds of all zeros, the full network, always qualify, so there is always an answer. Each threshold lies inside
    a gap between observed scores, where rounding to float32 cannot move a clip to another exit.

    Args:
        probabilities: [clips, exits, classes], what every exit says about every clip.
        labels: [clips], the true labels.
        costs: cumulative cost of leaving at each exit.
        max_accuracy_drop: in [0, 1]; 0.005 allows half a percentage point.
        standard_errors: how many standard errors of the loss must fit into the drop as well; larger is safer and
            slower, 0 takes the loss on these clips at its word.
        policy_name: a name in `policy.POLICIES`.

    Raises:
        ArgumentError: shapes that do not fit together, a label out of range, a drop outside [0, 1].
        DataError: no clips, clips of one class only, NaN or infinite probabilities.
    """
    _check_drop(max_accuracy_drop)
    problem = _problem(probabilities, labels, costs, policy_name=policy_name)
    return threshold_search.search(problem, max_accuracy_drop=max_accuracy_drop, standard_errors=standard_errors)


def operating_points(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    costs: Sequence[Cost],
    *,
    drops: Mapping[str, float | None] = DROPS,
    standard_errors: float = STANDARD_ERRORS,
    policy_name: str = "entropy",
    split: str = "validation",
) -> dict[str, OperatingPoint]:
    """Thresholds and figures for every name in `drops`, in its order; arguments and errors of `search_thresholds`.

    A point that may lose more accuracy never costs more than one that may lose less.
    """
    for drop in drops.values():
        _check_drop(drop or 0.0)
    problem = _problem(probabilities, labels, costs, policy_name=policy_name)
    thresholds: dict[str, tuple[float, ...]] = {}
    best = (0.0,) * (problem.exits - 1)
    for name, drop in sorted(drops.items(), key=lambda item: (item[1] is not None, item[1] or 0.0)):
        if drop is not None:
            best = threshold_search.search(
                problem, max_accuracy_drop=drop, standard_errors=standard_errors, starts=[best]
            )
        thresholds[name] = best
    values = np.asarray(probabilities)
    points = {}
    for name, drop in drops.items():
        exits = policy.exit_indices(problem.scores, thresholds[name])
        points[name] = OperatingPoint(
            name=name,
            thresholds=thresholds[name],
            max_accuracy_drop=drop or 0.0,
            accuracy=metrics.accuracy(policy.predicted_labels(values, exits), labels),
            exit_shares=tuple(metrics.exit_shares(exits, exits=problem.exits).tolist()),
            mean_cost=metrics.mean_cost(exits, costs),
            split=split,
            sample_count=len(values),
        )
    return points


def _check_drop(drop: float) -> None:
    if not 0 <= drop <= 1:
        raise ArgumentError(f"max_accuracy_drop is {drop!r}, but must be from 0 to 1 (0.005 is half a percent)")


def _problem(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, costs: Sequence[Cost], *, policy_name: str
) -> threshold_search.Problem:
    values, true = np.asarray(probabilities), np.asarray(labels)
    if values.ndim != 3:
        raise ArgumentError(f"probabilities has shape {values.shape}, but must be [clips, exits, classes]")
    clips, exits, classes = values.shape
    if clips == 0:
        raise DataError("the validation split is empty, but thresholds need clips: choose a split that has some")
    if exits == 0 or len(costs) != exits:
        raise ArgumentError(f"costs has {len(costs)} entries, but the probabilities have {exits} exits")
    if true.shape != (clips,):
        raise ArgumentError(f"labels has shape {true.shape}, but the probabilities are of {clips} clips")
    if not np.issubdtype(true.dtype, np.integer) or true.min() < 0 or true.max() >= classes:
        raise ArgumentError(f"labels has values {true.min()} to {true.max()}, but must be whole, 0 to {classes - 1}")
    if np.all(true == true[0]):
        raise DataError(f"all {clips} validation clips have label {true[0]}, but thresholds need at least two classes")
    bad = ~np.isfinite(values).all(axis=(1, 2))
    if bad.any():
        raise DataError(
            f"probabilities of {bad.sum()} of {clips} clips (first: clip {bad.argmax()}) hold NaN or infinity: "
            "the network diverged, train it again with a lower learning rate"
        )
    return threshold_search.Problem(
        scores=policy.scores(values, policy=policy_name)[:, :-1].astype(np.float32),
        correct=values.argmax(axis=-1) == true[:, None],
        ops=np.array([cost.ops for cost in costs]),
    )
