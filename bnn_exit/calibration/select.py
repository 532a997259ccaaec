"""Select one operating point: its policy, its exits, its thresholds and the guarantee on them."""

from __future__ import annotations

import dataclasses

from bnn_exit import policies
from bnn_exit.calibration.constraints import Constraints, check_device, check_mean_cost, constrained_problem
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.exit_subsets import ONE_EXIT, ExitSubset, best_of_subset, best_subsets, check_subset
from bnn_exit.calibration.guarantee import Guarantee, guarantee, halves, rising_path
from bnn_exit.calibration.operating_points import describe, problem
from bnn_exit.calibration.threshold_regression import RegressedThresholds, regressed_thresholds
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError, nearest
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import OperatingPoint, check_name
from bnn_exit.policies import Policy, Sizes

CHOOSE = "choose"
"""In place of exits: choose the best subset."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """An operating point and what it needs.

    Attributes:
        point: thresholds with their figures on all clips that were given.
        exits: its exits, 0-based; all of them unless a subset was asked for.
        policy: fitted.
        costs: of leaving at each of these exits, the work of the policy included.
        accuracy_drop: accuracy lost against the full network on these clips; below 0 if some is gained.
        guarantee: on the accuracy lost on new clips, if a confidence was asked for.
        subsets: every set of exits that was tried, the best first, if they were to be chosen.
        regressed: how the thresholds follow from the budget, if they were regressed.
    """

    point: OperatingPoint
    exits: tuple[int, ...]
    policy: Policy
    costs: tuple[Cost, ...]
    accuracy_drop: float
    guarantee: Guarantee | None = None
    subsets: tuple[ExitSubset, ...] = ()
    regressed: RegressedThresholds | None = None


def select(
    exit_logits: ExitLogits,
    costs: ExitCosts,
    constraints: Constraints,
    *,
    name: str = "custom",
    policy_name: str = policies.DEFAULT,
    exits: str | tuple[int, ...] | None = None,
    confidence: float | None = None,
    regression: bool = False,
) -> Selection:
    """The operating point that is best under the constraints.

    With a confidence, the choice of exits and a policy that learns use half of the clips, drawn by chance, and the
    guarantee is tested on the other half; where nothing is chosen, it is tested on all clips.

    Args:
        exit_logits: of all exits to labelled validation clips.
        costs: of the network with all exits.
        constraints: limits, and what is minimised.
        name: of the operating point: letters, digits, "_", "-" and "."; not "full", which every file has.
        policy_name: in POLICIES; fitted on `exit_logits`.
        exits: the subset, 0-based; CHOOSE for the best one; None for all.
        confidence: above 0 and below 1: max_accuracy_drop is then guaranteed on new clips.
        regression: thresholds of a skip gate and of the exits as polynomials of the budget, in place of the best ones
            of a search; they are no better on these clips, but hold for every budget (`threshold_regression`).

    Raises:
        ArgumentError: settings out of range or that do not go together, or infeasible limits.
        DataError: clips without labels or of one class, or too few of them for the guarantee.
    """
    check_name("name", name)
    if exit_logits.exits == 1:
        raise ArgumentError(ONE_EXIT)
    check_device(constraints.device, exits=exit_logits.exits)
    # Checks what every search needs: costs of these exits, labels, two classes.
    problem(exit_logits, costs.exits)
    if confidence is not None:
        if regression:
            raise ArgumentError(
                f"confidence is {confidence!r} with regression, but a guarantee limits accuracy: choose one"
            )
        return _with_guarantee(
            exit_logits, costs, constraints, name=name, policy_name=policy_name, exits=exits, confidence=confidence
        )
    if constraints.limits.get("max_mean_cost", 0.0) > 1:
        policy, sizes = policies.fit(policy_name, exit_logits), Sizes.of(exit_logits)
        work = (
            sum(policy.cost(index, sizes).ops for index in range(exit_logits.exits - 1)) + policy.gate_cost(sizes).ops
        )
        check_mean_cost(constraints, most=1 + work / costs.exits[-1].ops)
    if regression:
        return _by_regression(exit_logits, costs, constraints, name=name, policy_name=policy_name, exits=exits)
    subsets = _subsets(exit_logits, costs, constraints, exits, policy_name=policy_name)
    best = subsets[0]
    return _selection(
        exit_logits,
        best.exits,
        best.policy,
        best.costs,
        best.thresholds,
        name=name,
        max_accuracy_drop=constraints.limits.get("max_accuracy_drop", 1.0),
        subsets=tuple(subsets) if exits == CHOOSE else (),
    )


def _by_regression(
    exit_logits: ExitLogits,
    costs: ExitCosts,
    constraints: Constraints,
    *,
    name: str,
    policy_name: str,
    exits: str | tuple[int, ...] | None,
) -> Selection:
    if exits == CHOOSE:
        raise ArgumentError(f"exits is {exits!r}, but with regression they must be numbers of exits, or left out")
    subset = checked_subset(exits, exit_logits, chained=costs.chained)
    part = exit_logits.select_exits(subset)
    policy = policies.fit(policy_name, part)
    spent = costs.select_exits(subset).with_policy(policy, Sizes.of(part))
    device = None if constraints.device is None else constraints.device.select_exits(subset)
    wanted = dataclasses.replace(constraints, device=device)
    of_these = dataclasses.replace(
        constrained_problem(part, spent, wanted, policy=policy), reference=exit_logits.correct[:, -1]
    )
    found = regressed_thresholds(of_these, wanted, full_ops=costs.exits[-1].ops)
    selection = _selection(
        exit_logits, subset, policy, spent, found.thresholds, name=name, max_accuracy_drop=1.0, subsets=()
    )
    return dataclasses.replace(selection, regressed=found)


def _with_guarantee(
    exit_logits: ExitLogits,
    costs: ExitCosts,
    constraints: Constraints,
    *,
    name: str,
    policy_name: str,
    exits: str | tuple[int, ...] | None,
    confidence: float,
) -> Selection:
    if list(constraints.limits) != ["max_accuracy_drop"] or constraints.minimised != "ops":
        raise ArgumentError(
            f"confidence is {confidence!r} with the limits {', '.join(constraints.limits) or 'none'}, minimise "
            f"{constraints.minimised}, but goes with max_accuracy_drop and ops alone"
        )
    drop = constraints.limits["max_accuracy_drop"]
    learns = policies.POLICIES[policy_name].learns() if policy_name in policies.POLICIES else False
    chosen, tested, halved = exit_logits, exit_logits, None
    if learns or exits == CHOOSE:
        halved = len(exit_logits)
        chosen, tested = (exit_logits.select_clips(half) for half in halves(exit_logits))
    if exits == CHOOSE:
        subsets = _subsets(chosen, costs, constraints, exits, policy_name=policy_name)
        subset = subsets[0].exits
    else:
        subsets = []
        subset = checked_subset(exits, exit_logits, chained=costs.chained)
    policy = policies.fit(policy_name, chosen.select_exits(subset))
    part = tested.select_exits(subset)
    guaranteed = guarantee(
        part,
        rising_path(
            exits=len(subset),
            highest=policy.highest(part.classes),
            always=policy.answers_always,
            skips=policy.skips(),
        ),
        policy=policy,
        max_accuracy_drop=drop,
        confidence=confidence,
        reference=tested.correct[:, -1],
    )
    guaranteed = dataclasses.replace(guaranteed, halved=halved)
    if not guaranteed.useful:
        raise DataError(guaranteed.sentence())
    spent = costs.select_exits(subset).with_policy(policy, Sizes.of(part))
    selection = _selection(
        exit_logits,
        subset,
        policy,
        spent,
        guaranteed.thresholds,
        name=name,
        max_accuracy_drop=drop,
        subsets=tuple(subsets),
    )
    return dataclasses.replace(
        selection, guarantee=guaranteed, point=dataclasses.replace(selection.point, confidence=confidence)
    )


def _subsets(
    exit_logits: ExitLogits,
    costs: ExitCosts,
    constraints: Constraints,
    exits: str | tuple[int, ...] | None,
    *,
    policy_name: str,
) -> list[ExitSubset]:
    if exits == CHOOSE:
        return best_subsets(exit_logits, costs, constraints, policy_name=policy_name)
    subset = checked_subset(exits, exit_logits, chained=costs.chained)
    return [best_of_subset(exit_logits, costs, constraints, subset, policy_name=policy_name)]


def checked_subset(exits: str | tuple[int, ...] | None, exit_logits: ExitLogits, *, chained: bool) -> tuple[int, ...]:
    """The exit subset, all exits for None; ArgumentError if the network has no such exits, or for a word."""
    if isinstance(exits, str):
        raise ArgumentError(f"exits is {exits!r}, but must be {CHOOSE!r} or numbers of exits{nearest(exits, [CHOOSE])}")
    subset = tuple(range(exit_logits.exits)) if exits is None else tuple(exits)
    if exits is not None:
        check_subset(subset, exits=exit_logits.exits, chained=chained)
    return subset


def _selection(
    exit_logits: ExitLogits,
    subset: tuple[int, ...],
    policy: Policy,
    costs: tuple[Cost, ...],
    thresholds: tuple[float, ...],
    *,
    name: str,
    max_accuracy_drop: float,
    subsets: tuple[ExitSubset, ...],
) -> Selection:
    point = describe(
        name, thresholds, exit_logits.select_exits(subset), costs, policy=policy, max_accuracy_drop=max_accuracy_drop
    )
    full = float(exit_logits.correct[:, -1].mean())
    return Selection(point, subset, policy, costs, full - point.accuracy, subsets=subsets)
