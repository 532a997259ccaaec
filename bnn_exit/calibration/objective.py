"""The problem of a threshold search: the clips, the constraints and the objective."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError
from bnn_exit.policies import rule

Thresholds = tuple[float, ...]
Totals = Mapping[str, Any]
"""Quantity -> its sum over the clips, for one set of thresholds or an array of many: "lost", "differing", resources."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a search needs to know about the clips.

    Attributes:
        scores: float32 [clips, exits - 1].
        correct: bool [clips, exits], whether the exit's prediction is right.
        resources: name -> float64 [exits], used by a clip that leaves at each exit: "ops", "time_us". Rounded to ten
            digits, so that sums are exact and equal totals are equal bit for bit.
            With `gate`, or made by `at_gate`, [clips, exits] is possible too.
        reference: bool [clips], whether the full network is right; None takes the last exit.
        gate: float32 [clips], the score of a skip gate, whose threshold is then the last one; None without a gate.
        skipped: name -> used by a clip that skips the early heads; of the same names as `resources`.
    """

    scores: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]
    resources: Mapping[str, npt.NDArray[np.float64]]
    reference: npt.NDArray[np.bool_] | None = None
    gate: npt.NDArray[np.float32] | None = None
    skipped: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resources", {name: _summable(values) for name, values in self.resources.items()})

    @property
    def num_thresholds(self) -> int:
        """One for each exit but the last, and one for a skip gate."""
        return rule.num_thresholds(self.exits, skips=self.gate is not None)

    def at_gate(self, threshold: float) -> Problem:
        """The problem of the other thresholds, with this one of the skip gate.

        A clip that skips cannot leave early, which NaN as a score says, and uses less at the last exit.
        """
        assert self.gate is not None
        skips = rule.leaves(self.gate, threshold)
        resources = {}
        for name, values in self.resources.items():
            table = np.broadcast_to(values, self.correct.shape).copy()
            table[skips, -1] = self.skipped[name]
            resources[name] = table
        scores = np.where(skips[:, None], np.float32(np.nan), self.scores)
        return dataclasses.replace(self, scores=scores, resources=resources, gate=None, skipped={})

    @property
    def exits(self) -> int:
        """Number of exits."""
        return self.correct.shape[1]

    @property
    def lost(self) -> npt.NDArray[np.int64]:
        """[clips, exits]: 1 where the exit is wrong and the full network right, -1 the other way round, else 0."""
        reference = self.correct[:, -1] if self.reference is None else self.reference
        return reference[:, None].astype(np.int64) - self.correct

    def quantities(self) -> dict[str, npt.NDArray[np.float64]]:
        """Each quantity that totals are made of: [clips, exits]."""
        lost = self.lost.astype(np.float64)
        used = {name: np.broadcast_to(values, lost.shape) for name, values in self.resources.items()}
        return {"lost": lost, "differing": np.abs(lost), **used}

    def totals(self, thresholds: Sequence[float]) -> dict[str, float]:
        """Each resource, clips lost against the full network, and clips that differ from it in being right."""
        if self.gate is not None:
            return self.at_gate(thresholds[-1]).totals(thresholds[:-1])
        exits = rule.first_leaving(self.scores, np.asarray(thresholds, np.float32))
        clips = np.arange(len(exits))
        return {name: float(values[clips, exits].sum()) for name, values in self.quantities().items()}

    def first_exits(self, count: int) -> Problem:
        """The same clips with the first `count` exits only: all remaining clips leave at the last of them.

        Without the last exit, to which it sends clips, a skip gate is off.
        """
        if count == self.exits:
            return self
        reference = self.correct[:, -1] if self.reference is None else self.reference
        return Problem(
            scores=self.scores[:, : count - 1],
            correct=self.correct[:, :count],
            resources={name: values[..., :count] for name, values in self.resources.items()},
            reference=reference,
        )


def check_standard_errors(value: float) -> None:
    """ArgumentError if a margin is no number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
        raise ArgumentError(
            f"standard_errors is {value!r}, but must be a number of at least 0 (larger is safer and slower)"
        )


@dataclasses.dataclass(frozen=True)
class AccuracyConstraint:
    """What may be lost: the clips lost and `standard_errors` of their number together at most `clips`.

    The search picks the thresholds that look best on these clips, so on others they lose more; the margin compensates
    for that. The standard error of a paired difference is the root of the number of clips that differ.

    Raises:
        ArgumentError: standard errors that are no number of at least 0.
    """

    clips: float
    standard_errors: float = 0.0

    def __post_init__(self) -> None:
        check_standard_errors(self.standard_errors)

    def value(self, totals: Totals) -> npt.NDArray[np.float64]:
        """The number of clips that is limited."""
        return np.asarray(totals["lost"]) + self.standard_errors * np.sqrt(np.asarray(totals["differing"]))

    def excess(self, totals: Totals) -> npt.NDArray[np.float64]:
        """By how many clips the constraint is violated; 0 where it holds."""
        # A share of the clips, such as 0.29 of 100, is rarely a whole number in floats.
        return np.maximum(self.value(totals) - self.clips - 1e-6, 0.0)


@dataclasses.dataclass(frozen=True)
class ResourceConstraint:
    """What may be used: the sum of a resource over all clips at most `total`."""

    resource: str
    total: float

    def excess(self, totals: Totals) -> npt.NDArray[np.float64]:
        """By how much the constraint is violated; 0 where it holds."""
        # Resources are rounded, so a limit that was read off a mean of theirs may be missed by as much.
        return np.maximum(np.asarray(totals[self.resource]) - self.total * (1 + 1e-9), 0.0)


@dataclasses.dataclass(frozen=True)
class SearchObjective:
    """The objective of a search: limits first, in this order, then what is minimised.

    Attributes:
        limits: the first matters most: a later one decides only among thresholds that violate those before it as
            little as possible. (as in DynO, Almeida et al. 2022.)
        minimised: a quantity: a resource, or "lost".
        ties: among equals in that, these decide, in order.
    """

    limits: tuple[AccuracyConstraint | ResourceConstraint, ...]
    minimised: str = "ops"
    ties: tuple[str, ...] = ("lost",)

    def key(self, totals: Totals) -> tuple[float, ...]:
        """Smaller is better."""
        excess = [float(limit.excess(totals)) for limit in self.limits]
        return (*excess, *(float(totals[name]) for name in (self.minimised, *self.ties)))

    def best(self, totals: Totals) -> int:
        """The place, in flattened arrays of totals, of the least key."""
        ranked = [limit.excess(totals) for limit in self.limits]
        ranked += [np.asarray(totals[name], np.float64) for name in (self.minimised, *self.ties)]
        left = np.ones(ranked[0].shape, np.bool_)
        for values in ranked:
            left &= values == values[left].min()
        return int(left.argmax())


def _summable(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The values as multiples of a power of two so large that sums over a million clips are exact in float64."""
    exact = np.asarray(values, np.float64)
    unit = 2.0 ** (np.frexp(np.abs(exact).max(initial=0.0))[1] - 32)
    return np.rint(exact / unit) * unit
