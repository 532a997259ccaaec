"""Operating points: named sets of thresholds that a model file carries."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.policies import rule

if TYPE_CHECKING:
    from bnn_exit.policies import Policy

FULL = "full"
"""The operating point that runs every clip to the last exit."""


def check_name(argument: str, name: str) -> None:
    """ArgumentError if a user may not give an operating point this name: it may stand in a file name, and "full" is
    taken.

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
        thresholds: one for each exit but the last, and then one for a skip gate.
        max_accuracy_drop: accuracy that may be lost against the last exit; 0 for "full", 1 where cost or time was
            limited instead.
        accuracy: share of correct predictions, in [0, 1].
        exit_shares: share of the clips that left at each exit; sums to 1.
        mean_cost: binary_macs, float_macs and ops of the average clip, all executed heads included.
        split: the split of the figures.
        sample_count: clips in that split.
        confidence: that the accuracy lost on new clips is at most max_accuracy_drop, if that was tested.
        skipped_share: share of the clips that a skip gate sent past the early heads; they are among those of the last
            exit. None without such a gate.
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
    skipped_share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists; a confidence or a share of None is left out."""
        values = dataclasses.asdict(self)
        for name in ("confidence", "skipped_share"):
            if values[name] is None:
                del values[name]
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
            ("skipped_share", point.skipped_share is None or _is_number(point.skipped_share), "a number"),
        ):
            if not is_right:
                raise ArgumentError(
                    f"{name} of operating point {point.name!r} is {getattr(point, name)!r}, but must be {kind}"
                )
        # The file says whether the network has a skip gate.
        exits = len(point.exit_shares)
        rule.check_thresholds(
            point.thresholds, exits=exits, skips=len(point.thresholds) == rule.num_thresholds(exits, skips=True)
        )
        return point


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _are_numbers(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(map(_is_number, values))


def _are_numbers_by_name(values: object) -> bool:
    return isinstance(values, Mapping) and _are_numbers(list(values.values()))


class OperatingPoints(dict[str, OperatingPoint]):
    """Named operating points of one network: a dict with the policy and the exits of its thresholds.

    Attributes:
        policy: fitted; gives the scores that the thresholds are compared with.
        exits: 0-based exits that the thresholds belong to; None means all.
    """

    def __init__(
        self, points: Mapping[str, OperatingPoint], *, policy: Policy, exits: tuple[int, ...] | None = None
    ) -> None:
        super().__init__(points)
        self.policy, self.exits = policy, exits
