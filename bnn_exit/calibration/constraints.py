"""Constraints on accuracy, cost and time as users state them, and the thresholds that are best under them."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from bnn_exit.calibration import threshold_search
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.objective import (
    AccuracyConstraint,
    Problem,
    ResourceConstraint,
    SearchObjective,
    Thresholds,
    check_standard_errors,
)
from bnn_exit.calibration.operating_points import STANDARD_ERRORS, problem
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, rule
from bnn_exit.text import counted

LIMITS = {
    "max_accuracy_drop": "accuracy that may be lost against the full network, in [0, 1]",
    "max_mean_cost": "ops of the average clip, as a share of the full network's; the work of the policy is added",
    "max_mean_us": "microseconds of the average clip on a device",
    "max_worst_us": "microseconds of any clip on a device: 95th percentile at the deepest exit that a clip may reach",
}
"""What can be limited."""

MINIMISE = {"ops": "ops", "time": "time_us", "loss": "lost"}
"""What can be minimised -> the quantity of a search."""


@dataclasses.dataclass(frozen=True)
class Constraints:
    """Limits, and what is minimised among the thresholds that satisfy them.

    Attributes:
        limits: name in LIMITS -> value, the most important first: where two exclude each other, the later one is
            reported as infeasible (as in DynO, Almeida et al. 2022).
        minimise: "ops", "time" or "loss"; None means ops where accuracy is limited, else loss.
        device: needed for times.
        standard_errors: of the accuracy lost, which must fit into max_accuracy_drop as well; larger is safer and
            slower.
    """

    limits: Mapping[str, float]
    minimise: str | None = None
    device: DeviceProfile | None = None
    standard_errors: float = STANDARD_ERRORS

    def __post_init__(self) -> None:
        plain = {n: v.item() if isinstance(v, np.generic) else v for n, v in self.limits.items()}
        object.__setattr__(self, "limits", plain)
        for name, value in self.limits.items():
            one_of("limit", name, LIMITS)
            _check_range(name, value)
            if name.endswith("_us") and self.device is None:
                raise ArgumentError(f"{name} is {value!r}, but no device is given to take times from")
        check_standard_errors(self.standard_errors)
        if self.minimise is not None:
            one_of("minimise", self.minimise, MINIMISE)
            if self.minimise == "time" and self.device is None:
                raise ArgumentError("minimise is 'time', but no device is given to take times from")
            if self.minimise != "loss" and "max_accuracy_drop" not in self.limits:
                raise ArgumentError(
                    f"minimise is {self.minimise!r} without max_accuracy_drop, so every clip would leave at once"
                )

    @property
    def minimised(self) -> str:
        """What is minimised: a name in MINIMISE."""
        return self.minimise or ("ops" if "max_accuracy_drop" in self.limits else "loss")

    def objective(self, names: Sequence[str], *, clips: int, full_ops: float) -> SearchObjective:
        """The objective of a search. The worst time is left out: it limits which exits may be reached, not how often.

        Args:
            names: the limits to use.
            clips: their number.
            full_ops: of the full network.
        """
        limits: list[AccuracyConstraint | ResourceConstraint] = []
        for name in names:
            allowed = self.limits[name] * unit(name, clips=clips, full_ops=full_ops)
            if name == "max_accuracy_drop":
                limits.append(AccuracyConstraint(allowed, self.standard_errors))
            elif name != "max_worst_us":
                limits.append(ResourceConstraint(RESOURCES[name], allowed))
        ties = {"loss": ("ops",), "ops": ("lost",), "time": ("lost", "ops")}[self.minimised]
        return SearchObjective(tuple(limits), minimised=MINIMISE[self.minimised], ties=ties)


class InfeasibleError(ArgumentError):
    """A limit that no thresholds satisfy beside those before it.

    Attributes:
        limit: its name.
        nearest: the nearest value that is feasible.
    """

    def __init__(self, constraints: Constraints, limit: str, nearest: float) -> None:
        self.limit, self.nearest = limit, nearest
        names = list(constraints.limits)
        before = [f"{name} {constraints.limits[name]:g}" for name in names[: names.index(limit)]]
        beside = f"beside {' and '.join(before)} " if before else ""
        margin = limit == "max_accuracy_drop" and constraints.standard_errors
        super().__init__(
            f"{limit} is {constraints.limits[limit]:g}, but {beside}the least that is feasible on these clips is "
            f"{_rounded_up(nearest)}{f', a margin of {margin:g} standard errors included' if margin else ''}"
        )


@dataclasses.dataclass(frozen=True)
class Found:
    """Thresholds that satisfy all limits; the smaller the key, the better on the same clips."""

    thresholds: Thresholds
    key: tuple[float, ...]


def thresholds_for(
    exit_logits: ExitLogits, costs: Sequence[Cost], constraints: Constraints, *, policy: Policy | None = None
) -> Thresholds:
    """The best thresholds under the constraints.

    Args:
        exit_logits: of all exits to labelled clips.
        costs: of leaving at each exit; the last is the full network's.
        constraints: limits and what is minimised.
        policy: fitted; None means the default one.

    Raises:
        InfeasibleError: limits that no thresholds satisfy.
        ArgumentError: costs or times that do not fit the exits.
        DataError: no labels, or clips of one class only.
    """
    of_these = constrained_problem(exit_logits, costs, constraints, policy=policy)
    check_mean_cost(constraints, most=max(cost.ops for cost in costs) / costs[-1].ops)
    return find(of_these, constraints, full_ops=costs[-1].ops).thresholds


def constrained_problem(
    exit_logits: ExitLogits, costs: Sequence[Cost], constraints: Constraints, *, policy: Policy | None = None
) -> Problem:
    """The problem of a search, with the times of the device; arguments and errors of `thresholds_for`."""
    device = constraints.device
    check_device(device, exits=exit_logits.exits)
    if device is None:
        return problem(exit_logits, costs, policy=policy)
    return problem(exit_logits, costs, policy=policy, times_us=device.mean_us, skipped_us=device.skipped_us)


def check_device(device: DeviceProfile | None, *, exits: int) -> None:
    """ArgumentError if a device was timed with another number of exits."""
    if device is not None and len(device.mean_us) != exits:
        raise ArgumentError(
            f"device {device.name} was timed with {counted(len(device.mean_us), 'exit')}, but the network has {exits}"
        )


def check_mean_cost(constraints: Constraints, *, most: float) -> None:
    """ArgumentError if max_mean_cost is above the cost of any clip, such as a percentage in place of a share.

    Args:
        constraints: may have this limit.
        most: ops of the full network and of the policy's work at every exit, as a share of the full network's.
    """
    value = constraints.limits.get("max_mean_cost", 0.0)
    if value > float(_rounded_up(most)):
        work = " and the rest is the work of the policy" if most > 1 else ""
        raise ArgumentError(
            f"max_mean_cost is {value!r}, but must be above 0 and at most {_rounded_up(most)} (1 is the full "
            f"network{work})"
        )


def find(of_these: Problem, constraints: Constraints, *, full_ops: float) -> Found:
    """The best thresholds under the constraints.

    Args:
        of_these: its exits are those of the device, if there is one.
        constraints: limits and what is minimised.
        full_ops: of the full network.

    Raises:
        InfeasibleError: for the first limit that is infeasible beside those before it.
    """
    names = list(constraints.limits)
    found = _search(of_these, constraints, names, full_ops=full_ops)
    if isinstance(found, Found):
        return found
    for count in range(1, len(names)):
        partial = _search(of_these, constraints, names[:count], full_ops=full_ops)
        if not isinstance(partial, Found):
            raise InfeasibleError(constraints, names[count - 1], partial)
    raise InfeasibleError(constraints, names[-1], found)


def _search(of_these: Problem, constraints: Constraints, names: Sequence[str], *, full_ops: float) -> Found | float:
    """The best thresholds; or, if a limit is violated, the nearest value of the last one."""
    clips = len(of_these.correct)
    objective = constraints.objective(names, clips=clips, full_ops=full_ops)

    def best(exits: int) -> tuple[Found, dict[str, float], bool]:
        shallow = of_these.first_exits(exits)
        thresholds = threshold_search.search(shallow, objective)
        totals = shallow.totals(thresholds)
        feasible = not any(float(limit.excess(totals)) for limit in objective.limits)
        # At the deepest exit that may be reached, every remaining clip leaves.
        rest = () if exits == of_these.exits else (rule.ALWAYS, *(0.0,) * (of_these.num_thresholds - exits))
        return Found((*thresholds, *rest), objective.key(totals)), totals, feasible

    limited = constraints.device is not None and "max_worst_us" in names
    worst = (
        np.maximum.accumulate(constraints.device.worst_us)
        if limited and constraints.device
        else np.zeros(of_these.exits)
    )
    reachable = int((worst <= constraints.limits["max_worst_us"]).sum()) if limited else of_these.exits
    totals: dict[str, float] = {}
    if reachable:
        found, totals, feasible = best(reachable)
        if feasible:
            return found
    if names[-1] == "max_worst_us":
        deeper = range(reachable + 1, of_these.exits + 1)
        return float(worst[next((exits for exits in deeper if best(exits)[2]), of_these.exits) - 1])
    if names[-1] == "max_accuracy_drop":
        value = AccuracyConstraint(0.0, constraints.standard_errors).value(totals) if totals else 1.0 * clips
    else:
        value = totals[RESOURCES[names[-1]]] if totals else math.inf
    return float(value) / unit(names[-1], clips=clips, full_ops=full_ops)


RESOURCES = {"max_mean_cost": "ops", "max_mean_us": "time_us"}
"""Limits of a mean -> the quantity of a search."""


def unit(name: str, *, clips: int, full_ops: float) -> float:
    """The total over the clips that corresponds to 1 in the unit of a limit."""
    return clips * (full_ops if name == "max_mean_cost" else 1.0)


def _check_range(name: str, value: float) -> None:
    bad = isinstance(value, bool) or not isinstance(value, numbers.Real)
    if name == "max_accuracy_drop":
        if bad or not 0 <= value <= 1:
            raise ArgumentError(f"{name} is {value!r}, but must be from 0 to 1 (0.005 is half a percent)")
    elif name == "max_mean_cost":
        # check_mean_cost checks the upper bound.
        if bad or not 0 < value < math.inf:
            raise ArgumentError(f"{name} is {value!r}, but must be above 0, such as 0.4 for 40 % of the full network")
    elif bad or not 0 < value < math.inf:
        raise ArgumentError(f"{name} is {value!r}, but must be a number of microseconds above 0")


def _rounded_up(value: float) -> str:
    """With four digits, rounded up: as a limit it is feasible."""
    if not 0 < value < math.inf:
        return f"{value:g}"
    digits = 3 - math.floor(math.log10(value))
    return f"{math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits:.10g}"
