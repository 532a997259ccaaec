"""Exit subsets: an exit that few clips use still costs every deeper clip its head."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from bnn_exit import policies
from bnn_exit.calibration.constraints import Constraints, InfeasibleError, check_device, constrained_problem, find
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.objective import Problem, Thresholds
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, Sizes
from bnn_exit.text import counted

ONE_EXIT = "the network has one exit, where every clip leaves: there is nothing to choose"

MOST_EXITS = 8
"""247 sets of at least two; beyond, trying them all takes minutes."""


@dataclasses.dataclass(frozen=True)
class ExitSubset:
    """A subset of the exits of a network, and the best thresholds for it.

    Attributes:
        exits: 0-based and rising; every remaining clip leaves at the last of them.
        thresholds: one for each of these exits but the last, and one for a skip gate.
        policy: fitted to these exits.
        costs: of leaving at each of them, without the heads of the others and with the policy's work.
        mean_ops: ops of the average clip.
        accuracy_drop: accuracy lost against the full network; below 0 if some is gained.
        key: the smaller, the better under the constraints.
    """

    exits: tuple[int, ...]
    thresholds: Thresholds
    policy: Policy
    costs: tuple[Cost, ...]
    mean_ops: float
    accuracy_drop: float
    key: tuple[float, ...]


def best_subsets(
    exit_logits: ExitLogits, costs: ExitCosts, constraints: Constraints, *, policy_name: str = policies.DEFAULT
) -> list[ExitSubset]:
    """Every set of at least two exits that satisfies the limits, the best first.

    All sets are tried on cached logits, as in MESS (Laskaridis et al. 2021). Accuracy lost is measured against
    the full network, even if its last exit is dropped. Among equals fewer exits win. Of a chained network, whose heads
    read the logits of the exit before, only the first two exits, the first three and so on are sets.

    Args:
        exit_logits: of all exits to labelled clips.
        costs: of the network with all exits.
        constraints: limits and what is minimised; times of a device are those with all exits, an upper bound.
        policy_name: in POLICIES; fitted anew for each set.

    Raises:
        InfeasibleError: no set satisfies the limits.
        ArgumentError: more than MOST_EXITS exits, or settings that do not fit.
        DataError: no labels, or clips of one class only.
    """
    if exit_logits.exits == 1:
        raise ArgumentError(ONE_EXIT)
    kind = policies.POLICIES[one_of("policy", policy_name, policies.POLICIES)]
    kind.check_exits(exit_logits.exits)
    if exit_logits.exits > MOST_EXITS:
        raise ArgumentError(
            f"the network has {counted(exit_logits.exits, 'exit')}, but sets of exits are tried for 2 to {MOST_EXITS}"
        )
    subsets, infeasible = [], []
    for subset in _sets(exit_logits.exits, chained=costs.chained):
        if len(subset) < kind.least_exits:
            continue
        try:
            subsets.append(best_of_subset(exit_logits, costs, constraints, subset, policy_name=policy_name))
        except InfeasibleError as error:
            infeasible.append(error)
    if not subsets:
        order = list(constraints.limits)
        # The subset that satisfies most limits, and among these the nearest one.
        raise min(infeasible, key=lambda error: (-order.index(error.limit), error.nearest))
    return sorted(subsets, key=lambda choice: (choice.key, len(choice.exits), choice.exits))


def best_of_subset(
    exit_logits: ExitLogits,
    costs: ExitCosts,
    constraints: Constraints,
    subset: tuple[int, ...],
    *,
    policy_name: str = policies.DEFAULT,
) -> ExitSubset:
    """The best thresholds with these exits alone; arguments and errors of `best_subsets`."""
    check_subset(subset, exits=exit_logits.exits, chained=costs.chained)
    check_device(constraints.device, exits=exit_logits.exits)
    part = exit_logits.select_exits(subset)
    policy = policies.fit(policy_name, part)
    spent = costs.select_exits(subset).with_policy(policy, Sizes.of(part))
    device = None if constraints.device is None else constraints.device.select_exits(subset)
    wanted = dataclasses.replace(constraints, device=device)
    of_these: Problem = dataclasses.replace(
        constrained_problem(part, spent, wanted, policy=policy), reference=exit_logits.correct[:, -1]
    )
    found = find(of_these, wanted, full_ops=costs.exits[-1].ops)
    totals = of_these.totals(found.thresholds)
    return ExitSubset(
        exits=subset,
        thresholds=found.thresholds,
        policy=policy,
        costs=spent,
        mean_ops=totals["ops"] / len(exit_logits),
        accuracy_drop=totals["lost"] / len(exit_logits),
        key=found.key,
    )


def check_subset(subset: tuple[int, ...], *, exits: int, chained: bool) -> None:
    """ArgumentError unless `subset` are at least two exits of the network, rising; if it is chained, the first ones."""
    if exits == 1:
        raise ArgumentError(ONE_EXIT)
    given = ",".join(str(index + 1) for index in subset) or "none"
    if len(subset) < 2 or list(subset) != sorted(set(subset)) or subset[0] < 0 or subset[-1] >= exits:
        raise ArgumentError(f"exits is {given}, but must be at least two of 1 to {exits}, rising")
    if chained and subset != (first := tuple(range(len(subset)))):
        raise ArgumentError(
            f"exits is {given}, but heads of this network read the logits of the exit before, so they must be the "
            f"first ones, such as {','.join(str(index + 1) for index in first)}"
        )


def _sets(exits: int, *, chained: bool) -> Iterator[tuple[int, ...]]:
    for count in range(2, exits + 1):
        yield from [tuple(range(count))] if chained else itertools.combinations(range(exits), count)
