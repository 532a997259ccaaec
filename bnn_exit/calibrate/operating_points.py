"""Thresholds from validation clips, and the named operating points that a model file carries."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnn_exit import metrics, policies
from bnn_exit.answers import Answers
from bnn_exit.calibrate import threshold_search
from bnn_exit.calibrate.search_goal import Goal, LostLimit, Problem, Thresholds
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.policies import Policy, rule

FULL = "full"
DROPS: dict[str, float | None] = {FULL: None, "accurate": 0.0025, "balanced": 0.005, "fast": 0.02}
"""Operating point -> accuracy on validation that it may lose against the last exit; None: every exit is off."""

STANDARD_ERRORS = 3.5
"""Margin of the operating points, in standard errors of the accuracy lost: the smallest, in steps of a half, with which
thresholds keep nine of ten promises on speakers that they have not met (`benchmarks/threshold_margin.py`). It is larger
than a normal distribution would have it, because clips of one speaker go wrong together and because thresholds are the
best of many on the clips that choose them."""


def check_name(argument: str, name: str) -> None:
    """Of an operating point that someone chooses: it may stand in a file name, and "full" is taken.

    Raises:
        ArgumentError: naming `argument`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ArgumentError(f"{argument} is {name!r}, but must be of letters, digits, '_', '-' and '.'")
    if name == FULL:
        raise ArgumentError(f"{argument} is {FULL!r}, which means that every clip runs to the end: choose another")


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """A named set of thresholds with the figures it reached on the clips that chose it.

    Attributes:
        name: what a user asks for, such as "balanced".
        thresholds: one for each exit but the last.
        max_accuracy_drop: the accuracy that it was allowed to lose against the last exit; 0 for "full", 1 where cost or
            time was limited instead.
        accuracy: share of right answers in [0, 1].
        exit_shares: share of the clips that answered at each exit; sums to 1.
        mean_cost: binary_macs, float_macs and ops of the mean clip, every head that was run included.
        split: the split of the figures.
        sample_count: clips in that split.
        confidence: with which the accuracy lost on new clips is at most max_accuracy_drop, if that was tested.
    """

    name: str
    thresholds: tuple[float, ...]
    max_accuracy_drop: float
    accuracy: float
    exit_shares: tuple[float, ...]
    mean_cost: dict[str, float]
    split: str = "validation"
    sample_count: int = 0
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists; without a confidence that there is not."""
        values = dataclasses.asdict(self)
        if self.confidence is None:
            del values["confidence"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OperatingPoint:
        """The point that `to_dict` wrote; ArgumentError on an unknown or missing name, a value of another kind, or
        impossible thresholds."""
        names = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            one_of("name in an operating point", name, names)
        try:
            table: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            point = cls(**table)
        except TypeError as error:
            raise ArgumentError(f"an operating point needs {', '.join(sorted(names))}: {error}") from error
        for name, is_right, kind in (
            ("name", isinstance(point.name, str), "text"),
            ("thresholds", _are_numbers(values["thresholds"]), "a list of numbers"),
            ("exit_shares", _are_numbers(values["exit_shares"]), "a list of numbers"),
            ("max_accuracy_drop", _is_number(point.max_accuracy_drop), "a number"),
            ("accuracy", _is_number(point.accuracy), "a number"),
            ("mean_cost", _are_numbers_by_name(point.mean_cost), "numbers by name"),
            ("split", isinstance(point.split, str), "text"),
            ("sample_count", _is_number(point.sample_count) and isinstance(point.sample_count, int), "a whole number"),
            ("confidence", point.confidence is None or _is_number(point.confidence), "a number"),
        ):
            if not is_right:
                raise ArgumentError(
                    f"{name} of operating point {point.name!r} is {getattr(point, name)!r}, but must be {kind}"
                )
        rule.check_thresholds(point.thresholds, exits=len(point.exit_shares))
        return point


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _are_numbers(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(map(_is_number, values))


def _are_numbers_by_name(values: object) -> bool:
    return isinstance(values, Mapping) and _are_numbers(list(values.values()))


class OperatingPoints(dict[str, OperatingPoint]):
    """Named operating points of one network: a dict that knows what its thresholds are for.

    Attributes:
        policy: fitted, whose scores the thresholds are compared with.
        kept: the exits that they are for, 0-based; None means all of them.
    """

    def __init__(
        self, points: Mapping[str, OperatingPoint], *, policy: Policy, kept: tuple[int, ...] | None = None
    ) -> None:
        super().__init__(points)
        self.policy, self.kept = policy, kept


def search_thresholds(
    answers: Answers,
    costs: Sequence[Cost],
    *,
    max_accuracy_drop: float,
    standard_errors: float = STANDARD_ERRORS,
    policy: Policy | None = None,
) -> Thresholds:
    """The thresholds of the least mean `ops` whose accuracy is at least that of the last exit minus the drop.

    With a margin of `standard_errors`, because thresholds that are searched for on some clips lose more on others.

    Thresholds of all zeros, the full network, always qualify, so there is always an answer. Each threshold lies inside
    a gap between observed scores, where rounding to float32 cannot move a clip to another exit.

    Args:
        answers: of all exits to labelled clips.
        costs: cumulative cost of leaving at each exit.
        max_accuracy_drop: in [0, 1]; 0.005 allows half a percentage point.
        standard_errors: how many standard errors of the loss must fit into the drop as well; larger is safer and
            slower, 0 takes the loss on these clips at its word.
        policy: fitted; None means the default one.

    Raises:
        ArgumentError: costs that do not fit, a drop outside [0, 1].
        DataError: no labels, clips of one class only.
    """
    goal = drop_goal(answers, max_accuracy_drop, standard_errors=standard_errors)
    return threshold_search.search(problem(answers, costs, policy=policy), goal)


def operating_points(
    answers: Answers,
    costs: Sequence[Cost],
    *,
    drops: Mapping[str, float | None] = DROPS,
    standard_errors: float = STANDARD_ERRORS,
    policy: Policy | None = None,
) -> OperatingPoints:
    """Thresholds and figures for every name in `drops`, in its order; arguments and errors of `search_thresholds`.

    A point that may lose more accuracy never costs more than one that may lose less.
    """
    goals = {
        name: drop_goal(answers, drop, standard_errors=standard_errors)
        for name, drop in drops.items()
        if drop is not None
    }
    chosen = policy or policies.fit(policies.DEFAULT)
    of_these = problem(answers, costs, policy=chosen)
    thresholds: dict[str, Thresholds] = {}
    best = (0.0,) * (answers.exits - 1)
    for name, drop in sorted(drops.items(), key=lambda item: (item[1] is not None, item[1] or 0.0)):
        if drop is not None:
            best = threshold_search.search(of_these, goals[name], starts=[best])
        thresholds[name] = best
    points = {
        name: describe(
            name, thresholds[name], answers, costs, policy=chosen, max_accuracy_drop=0.0 if drop is None else drop
        )
        for name, drop in drops.items()
    }
    return OperatingPoints(points, policy=chosen)


def describe(
    name: str,
    thresholds: Sequence[float],
    answers: Answers,
    costs: Sequence[Cost],
    *,
    policy: Policy | None = None,
    max_accuracy_drop: float,
) -> OperatingPoint:
    """The operating point of some thresholds, with the figures that they reach on these clips."""
    chosen = policy or policies.fit(policies.DEFAULT)
    exits = rule.exit_indices(chosen.scores(answers), thresholds)
    return OperatingPoint(
        name=name,
        thresholds=tuple(thresholds),
        max_accuracy_drop=max_accuracy_drop,
        accuracy=metrics.accuracy(rule.predicted_labels(chosen.probabilities(answers), exits), answers.truth),
        exit_shares=tuple(metrics.exit_shares(exits, exits=answers.exits).tolist()),
        mean_cost=metrics.mean_cost(exits, costs),
        split=answers.split,
        sample_count=len(answers),
    )


def drop_goal(answers: Answers, max_accuracy_drop: float, *, standard_errors: float = STANDARD_ERRORS) -> Goal:
    """The least ops whose accuracy stays within the drop."""
    if not 0 <= max_accuracy_drop <= 1:
        raise ArgumentError(
            f"max_accuracy_drop is {max_accuracy_drop!r}, but must be from 0 to 1 (0.005 is half a percent)"
        )
    return Goal(limits=(LostLimit(max_accuracy_drop * len(answers), standard_errors),))


def problem(
    answers: Answers,
    costs: Sequence[Cost],
    *,
    policy: Policy | None = None,
    times_us: Sequence[float] | None = None,
) -> Problem:
    """What a search needs to know, from answers under a policy; errors of `search_thresholds`.

    Args:
        answers, costs, policy: as for `search_thresholds`.
        times_us: of leaving at each exit, in microseconds; adds the resource "time_us".
    """
    chosen = policy or policies.fit(policies.DEFAULT)
    truth = answers.truth
    if len(costs) != answers.exits:
        raise ArgumentError(f"costs has {len(costs)} entries, but the answers have {answers.exits} exits")
    if np.all(truth == truth[0]):
        raise DataError(
            f"all {len(answers)} {answers.split} clips have label {truth[0]}, but thresholds need at least two classes"
        )
    resources = {"ops": np.array([cost.ops for cost in costs])}
    if times_us is not None:
        resources["time_us"] = np.asarray(times_us, np.float64)
    return Problem(
        scores=chosen.scores(answers)[:, :-1].astype(np.float32),
        correct=chosen.probabilities(answers).argmax(axis=-1) == truth[:, None],
        resources=resources,
    )
