"""What the networks of `accuracy.py` were held to."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from typing import Any

Result = dict[str, Any]


def final(result: Result) -> float:
    """Accuracy of the last exit."""
    return result["exits"][-1]["accuracy"]


def _balanced(*keys: str) -> Callable[[Result], float]:
    def figure(result: Result) -> float:
        value = result["operating_points"]["balanced"]
        for key in keys:
            value = value[key]
        return value

    return figure


def _first_time(result: Result) -> float:
    first, last = (result["exits"][index]["time_us"]["native"] for index in (0, -1))
    return first / last


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar that some rows must reach.

    Attributes:
        what: is measured.
        rows: whose results the figure is made of.
        figure: of their results, in this order.
        relation: ">=" or "<=".
        limit: the bar.
        unit: "%" or "pp" of a share, or "KB" of bytes.
    """

    what: str
    rows: tuple[str, ...]
    figure: Callable[..., float]
    relation: str
    limit: float
    unit: str = "%"

    def judge(self, results: Mapping[str, Result]) -> dict[str, Any]:
        """`figure` and `met`, both None if a row is not measured."""
        entry = {"what": self.what, "rows": list(self.rows), "bar": f"{self.relation} {self.show(self.limit)}"}
        if any(row not in results for row in self.rows):
            return {**entry, "figure": None, "met": None}
        # A difference of two shares of 2400 clips must not miss its bar by a rounding of floats.
        figure = round(self.figure(*(results[row] for row in self.rows)), 9)
        met = figure >= self.limit if self.relation == ">=" else figure <= self.limit
        return {**entry, "figure": self.show(figure), "met": met}

    def show(self, value: float) -> str:
        """A value in the bar's unit."""
        return f"{value / 1000:.1f} KB" if self.unit == "KB" else f"{100 * value:.2f} {self.unit}"


def _beside(figure: Callable[[Result], float]) -> Callable[..., tuple[float, float]]:
    """Means of a figure over the first and over the second half of the rows."""

    def means(*results: Result) -> tuple[float, float]:
        half = len(results) // 2
        return statistics.mean(map(figure, results[:half])), statistics.mean(map(figure, results[half:]))

    return means


def _ratio(*results: Result) -> float:
    own, other = _beside(_balanced("mean_cost", "ops"))(*results)
    return own / other


def _below(*results: Result) -> float:
    own, other = _beside(_balanced("accuracy"))(*results)
    return other - own


BEST, SMALL, TEACHER = "words-large", "words-small", "words-teacher"
DEFAULT = tuple(f"words-{name}-seed{seed}" for name in ("glance", "standard") for seed in range(3))
"""Trainings of the standard recipe, and of the same with QuickNet."""
FOLDS = tuple(f"esc10-fold{fold}" for fold in range(1, 6))
BARS = (
    Bar("words, teacher: accuracy", (TEACHER,), final, ">=", 0.992),
    Bar("words, best: accuracy of the final exit", (BEST,), final, ">=", 0.990),
    Bar("words, best: file", (BEST,), lambda result: result["file"]["bytes"], "<=", 500_000, "KB"),
    Bar("words, best: `balanced` below the final exit", (BEST,), _balanced("drop"), "<=", 0.003, "pp"),
    Bar("words, best: mean ops of `balanced`", (BEST,), _balanced("relative_cost", "ops"), "<=", 0.30),
    Bar("words, best: mean time of `balanced`", (BEST,), _balanced("relative_time", "native"), "<=", 0.30),
    Bar("words, best: accuracy of exit 1", (BEST,), lambda result: result["exits"][0]["accuracy"], ">=", 0.960),
    Bar("words, best: ops of exit 1", (BEST,), lambda result: result["exits"][0]["relative_ops"], "<=", 0.30),
    Bar("words, best: time of exit 1", (BEST,), _first_time, "<=", 0.30),
    Bar("words, small: accuracy of the final exit", (SMALL,), final, ">=", 0.980),
    Bar("words, small: file", (SMALL,), lambda result: result["file"]["bytes"], "<=", 150_000, "KB"),
    Bar("words, standard: mean ops of `balanced`, in those of QuickNet", DEFAULT, _ratio, "<=", 0.85),
    Bar("words, standard: mean accuracy of `balanced` below QuickNet's", DEFAULT, _below, "<=", 0.0, "pp"),
    Bar("ESC-10: mean accuracy of five folds", FOLDS, lambda *folds: statistics.mean(map(final, folds)), ">=", 0.880),
    Bar(
        "words: full-precision twin above the binary network",
        ("words-float", BEST),
        lambda twin, binary: final(twin) - final(binary),
        "<=",
        0.003,
        "pp",
    ),
)


def judge(results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """Every bar with its figure and whether it is met, from row -> result."""
    return [bar.judge(results) for bar in BARS]


def lines(judged: list[dict[str, Any]]) -> list[str]:
    """A line for each bar that was judged."""
    found = []
    for bar in judged:
        state = {True: "met", False: "MISSED", None: "not measured"}[bar["met"]]
        figure = f": {bar['figure']}" if bar["met"] is not None else ""
        found.append(f"- {state}: {bar['what']}{figure} (bar: {bar['bar']})")
    return found
