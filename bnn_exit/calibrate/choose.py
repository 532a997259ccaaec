"""From wishes to one operating point: its policy, its exits, its thresholds and what is promised of them."""

from __future__ import annotations

import dataclasses

from bnn_exit import policies
from bnn_exit.answers import Answers
from bnn_exit.calibrate.exit_costs import ExitCosts
from bnn_exit.calibrate.goals import Wishes, check_device, check_mean_cost
from bnn_exit.calibrate.guarantee import Guarantee, guarantee, halves, rising_path
from bnn_exit.calibrate.operating_points import OperatingPoint, check_name, describe, problem
from bnn_exit.calibrate.subsets import ONE_EXIT, Choice, best_exits, check_kept, with_kept
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError, nearest
from bnn_exit.policies import Policy, Sizes

CHOOSE = "choose"
"""In place of exits: find out which to keep."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An operating point and what it needs.

    Attributes:
        point: thresholds with their figures on all clips that were given.
        kept: the exits that it is for, 0-based; all of them unless others were asked for.
        policy: fitted.
        costs: of leaving at each kept exit, the work of the policy included.
        accuracy_drop: accuracy lost against the full network on these clips; below 0 if some is gained.
        guarantee: what is promised of new clips, if a confidence was asked for.
        choices: every set of exits that was tried, the best first, if they were to be chosen.
    """

    point: OperatingPoint
    kept: tuple[int, ...]
    policy: Policy
    costs: tuple[Cost, ...]
    accuracy_drop: float
    guarantee: Guarantee | None = None
    choices: tuple[Choice, ...] = ()


def choose(
    answers: Answers,
    costs: ExitCosts,
    wishes: Wishes,
    *,
    name: str = "custom",
    policy_name: str = policies.DEFAULT,
    exits: str | tuple[int, ...] | None = None,
    confidence: float | None = None,
) -> Outcome:
    """The operating point that serves the wishes best.

    With a confidence, what looks at clips to choose (the exits to keep, or a policy that learns) sees half of them,
    drawn by chance, and the promise is tested on the other half; where nothing is chosen, it is tested on all.

    Args:
        answers: of all exits to labelled validation clips.
        costs: of the network with all exits.
        wishes: limits, and what is to be least.
        name: of the operating point: letters, digits, "_", "-" and "."; not "full", which every file has.
        policy_name: in POLICIES; fitted on `answers`.
        exits: those to keep, 0-based; CHOOSE to find out which; None for all.
        confidence: above 0 and below 1: max_accuracy_drop is then a promise for new clips.

    Raises:
        ArgumentError: settings out of range or that do not go together, or limits that no thresholds keep.
        DataError: clips without labels or of one class, or too few of them for the promise.
    """
    check_name("name", name)
    if answers.exits == 1:
        raise ArgumentError(ONE_EXIT)
    check_device(wishes.device, exits=answers.exits)
    # What no way of choosing can do without: costs of these exits, labels, two classes.
    problem(answers, costs.exits)
    if confidence is not None:
        return _with_promise(
            answers, costs, wishes, name=name, policy_name=policy_name, exits=exits, confidence=confidence
        )
    if wishes.limits.get("max_mean_cost", 0.0) > 1:
        policy, sizes = policies.fit(policy_name, answers), Sizes.of(answers)
        work = sum(policy.cost(index, sizes).ops for index in range(answers.exits - 1))
        check_mean_cost(wishes, most=1 + work / costs.exits[-1].ops)
    choices = _choices(answers, costs, wishes, exits, policy_name=policy_name)
    best = choices[0]
    return _outcome(
        answers,
        best.kept,
        best.policy,
        best.costs,
        best.thresholds,
        name=name,
        max_accuracy_drop=wishes.limits.get("max_accuracy_drop", 1.0),
        choices=tuple(choices) if exits == CHOOSE else (),
    )


def _with_promise(
    answers: Answers,
    costs: ExitCosts,
    wishes: Wishes,
    *,
    name: str,
    policy_name: str,
    exits: str | tuple[int, ...] | None,
    confidence: float,
) -> Outcome:
    if list(wishes.limits) != ["max_accuracy_drop"] or wishes.least != "ops":
        raise ArgumentError(
            f"confidence is {confidence!r} with the limits {', '.join(wishes.limits) or 'none'}, least {wishes.least}, "
            "but goes with max_accuracy_drop and ops alone"
        )
    drop = wishes.limits["max_accuracy_drop"]
    learns = bool(dataclasses.fields(policies.POLICIES[policy_name])) if policy_name in policies.POLICIES else False
    chosen, tested, halved = answers, answers, None
    if learns or exits == CHOOSE:
        halved = len(answers)
        chosen, tested = (answers.part(half) for half in halves(answers))
    if exits == CHOOSE:
        choices = _choices(chosen, costs, wishes, exits, policy_name=policy_name)
        kept = choices[0].kept
    else:
        choices = []
        kept = checked_exits(exits, answers)
    policy = policies.fit(policy_name, chosen.of_exits(kept))
    part = tested.of_exits(kept)
    promised = guarantee(
        part,
        rising_path(exits=len(kept), highest=policy.highest(part.classes)),
        policy=policy,
        max_accuracy_drop=drop,
        confidence=confidence,
        reference=tested.correct[:, -1],
    )
    promised = dataclasses.replace(promised, halved=halved)
    if not promised.useful:
        raise DataError(promised.sentence())
    spent = costs.of_exits(kept).with_policy(policy, Sizes.of(part))
    outcome = _outcome(
        answers, kept, policy, spent, promised.thresholds, name=name, max_accuracy_drop=drop, choices=tuple(choices)
    )
    return dataclasses.replace(
        outcome, guarantee=promised, point=dataclasses.replace(outcome.point, confidence=confidence)
    )


def _choices(
    answers: Answers,
    costs: ExitCosts,
    wishes: Wishes,
    exits: str | tuple[int, ...] | None,
    *,
    policy_name: str,
) -> list[Choice]:
    if exits == CHOOSE:
        return best_exits(answers, costs, wishes, policy_name=policy_name)
    return [with_kept(answers, costs, wishes, checked_exits(exits, answers), policy_name=policy_name)]


def checked_exits(exits: str | tuple[int, ...] | None, answers: Answers) -> tuple[int, ...]:
    """The exits to keep, all of them for None; ArgumentError if the network has no such exits, or for a word."""
    if isinstance(exits, str):
        raise ArgumentError(f"exits is {exits!r}, but must be {CHOOSE!r} or numbers of exits{nearest(exits, [CHOOSE])}")
    kept = tuple(range(answers.exits)) if exits is None else tuple(exits)
    if exits is not None:
        check_kept(kept, exits=answers.exits)
    return kept


def _outcome(
    answers: Answers,
    kept: tuple[int, ...],
    policy: Policy,
    costs: tuple[Cost, ...],
    thresholds: tuple[float, ...],
    *,
    name: str,
    max_accuracy_drop: float,
    choices: tuple[Choice, ...],
) -> Outcome:
    point = describe(
        name, thresholds, answers.of_exits(kept), costs, policy=policy, max_accuracy_drop=max_accuracy_drop
    )
    full = float(answers.correct[:, -1].mean())
    return Outcome(point, kept, policy, costs, full - point.accuracy, choices=choices)
