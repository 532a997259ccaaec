"""Which exits to keep: an exit that few clips need costs every deeper clip its head."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from bnn_exit import policies
from bnn_exit.answers import Answers
from bnn_exit.calibrate.exit_costs import ExitCosts
from bnn_exit.calibrate.goals import ImpossibleError, Wishes, check_device, find, wish_problem
from bnn_exit.calibrate.search_goal import Problem, Thresholds
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.policies import Policy, Sizes

ONE_EXIT = "the network has one exit, where every clip leaves: there is nothing to choose"

MOST_EXITS = 8
"""247 sets of at least two; beyond, trying them all takes minutes."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Some exits of a network, and the thresholds that serve the wishes best with these.

    Attributes:
        kept: exits, 0-based and rising; the last of them always answers.
        thresholds: one for each kept exit but the last.
        policy: fitted to the kept exits.
        costs: of leaving at each kept exit, heads that were dropped left out and the policy's work included.
        mean_ops: of the mean clip.
        accuracy_drop: accuracy lost against the full network; below 0 if some is gained.
        key: the smaller, the better the wishes are served.
    """

    kept: tuple[int, ...]
    thresholds: Thresholds
    policy: Policy
    costs: tuple[Cost, ...]
    mean_ops: float
    accuracy_drop: float
    key: tuple[float, ...]


def best_exits(
    answers: Answers, costs: ExitCosts, wishes: Wishes, *, policy_name: str = policies.DEFAULT
) -> list[Choice]:
    """Every set of at least two exits that keeps the limits, the best first.

    All sets are tried on cached answers, as in MESS (Laskaridis et al. 2021). What is lost is counted against the full
    network, also where its last exit is dropped. Among equals fewer exits win.

    Args:
        answers: of all exits to labelled clips.
        costs: of the network with all exits.
        wishes: limits and what is to be least; times of a device are those with all exits, so at most too long.
        policy_name: in POLICIES; fitted anew for each set.

    Raises:
        ImpossibleError: no set keeps the limits.
        ArgumentError: more than MOST_EXITS exits, or settings that do not fit.
        DataError: no labels, or clips of one class only.
    """
    if answers.exits == 1:
        raise ArgumentError(ONE_EXIT)
    if answers.exits > MOST_EXITS:
        raise ArgumentError(f"the network has {answers.exits} exits, but sets of exits are tried for 2 to {MOST_EXITS}")
    choices, impossible = [], []
    for kept in _sets(answers.exits):
        try:
            choices.append(with_kept(answers, costs, wishes, kept, policy_name=policy_name))
        except ImpossibleError as error:
            impossible.append(error)
    if not choices:
        order = list(wishes.limits)
        # The set that keeps most limits, and of these the one that comes nearest.
        raise min(impossible, key=lambda error: (-order.index(error.limit), error.nearest))
    return sorted(choices, key=lambda choice: (choice.key, len(choice.kept), choice.kept))


def with_kept(
    answers: Answers,
    costs: ExitCosts,
    wishes: Wishes,
    kept: tuple[int, ...],
    *,
    policy_name: str = policies.DEFAULT,
) -> Choice:
    """The best thresholds with these exits alone; arguments and errors of `best_exits`."""
    check_kept(kept, exits=answers.exits)
    check_device(wishes.device, exits=answers.exits)
    part = answers.of_exits(kept)
    policy = policies.fit(policy_name, part)
    spent = costs.of_exits(kept).with_policy(policy, Sizes.of(part))
    device = None if wishes.device is None else wishes.device.of_exits(kept)
    wanted = dataclasses.replace(wishes, device=device)
    of_these: Problem = dataclasses.replace(
        wish_problem(part, spent, wanted, policy=policy), reference=answers.correct[:, -1]
    )
    found = find(of_these, wanted, full_ops=costs.exits[-1].ops)
    totals = of_these.totals(found.thresholds)
    return Choice(
        kept=kept,
        thresholds=found.thresholds,
        policy=policy,
        costs=spent,
        mean_ops=totals["ops"] / len(answers),
        accuracy_drop=totals["lost"] / len(answers),
        key=found.key,
    )


def check_kept(kept: tuple[int, ...], *, exits: int) -> None:
    """ArgumentError unless `kept` are at least two exits of the network, rising."""
    if exits == 1:
        raise ArgumentError(ONE_EXIT)
    if len(kept) < 2 or list(kept) != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= exits:
        raise ArgumentError(
            f"exits is {','.join(str(index + 1) for index in kept) or 'none'}, but must be at least two of 1 to "
            f"{exits}, rising"
        )


def _sets(exits: int) -> Iterator[tuple[int, ...]]:
    for count in range(2, exits + 1):
        yield from itertools.combinations(range(exits), count)
