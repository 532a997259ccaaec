"""Listening points: named detector settings that a model file carries, from windows of a stream to events."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit import pretrained
from bnn_exit.errors import ArgumentError, one_of

MAX_MS = 60_000.0
"""Of a hop, a span and a hang-over."""
MAX_REFRACTORY_MS = 3_600_000.0
MAX_WINDOWS = 1000
"""Windows that a detector looks back on."""
SCORES = {"probability": "probability", "against_background": "probability against background"}
"""What of a label is averaged, and in words. probability: its own. against_background: that which it has among itself
and all labels without a threshold; it can find more words at few false accepts, because the network need not be sure
which of the words was said."""
USUAL_SCORE = "probability"
"""Of files of earlier versions."""


@dataclasses.dataclass(frozen=True)
class GateSettings:
    """When a window of a stream is worth running the network: an energy gate on its log-mel frames.

    The noise floor falls to the level of a quieter frame at once and rises slowly.

    Attributes:
        margin_db: how far above the floor a frame must be to be loud, in 0..100. Larger skips more windows and misses
            quieter sounds.
        rise_db_per_s: how fast the floor rises, above 0, at most 100. Larger gets used to a new noise sooner, and to a
            long sound too.
        hang_over_ms: how long the gate stays open after the last loud frame, in 0..60000. Larger skips fewer windows.
            Below the detector's span and the length of a clip, the end of a word may be lost.
    """

    margin_db: float = 9.0
    rise_db_per_s: float = 1.0
    hang_over_ms: float = 1000.0

    def __post_init__(self) -> None:
        _make_plain(self)
        _require(_within(self.margin_db, 0, 100), "margin_db", self.margin_db, "a number from 0 to 100")
        _require(
            _within(self.rise_db_per_s, 0, 100) and self.rise_db_per_s > 0,
            "rise_db_per_s",
            self.rise_db_per_s,
            "a number above 0 and at most 100",
        )
        _require(
            _within(self.hang_over_ms, 0, MAX_MS), "hang_over_ms", self.hang_over_ms, f"a number from 0 to {MAX_MS:g}"
        )


@dataclasses.dataclass(frozen=True)
class ListeningPoint:
    """How events are made of the probabilities of windows; `bnn_exit.runtime.detector` applies it.

    Attributes:
        name: what a user asks for, such as "balanced".
        operating_point: the operating point in the file whose thresholds the exits use.
        thresholds: label -> mean of its score, above 0 and at most 1, that makes an event. Larger gives fewer false
            accepts and more misses. A label without one is background: it never makes an event.
        hop_ms: from the start of one window to that of the next. Smaller costs more and reports sooner.
        span_ms: the mean is over the windows of this span. Larger gives fewer false accepts and reports later.
        release: share of its threshold, in 0..1, below which the mean of a label must fall before the label can make
            another event. Smaller gives fewer double events.
        min_count, of_count: how many of the last how many means must reach the threshold. Larger min_count gives fewer
            false accepts and reports later.
        refractory_ms: how long the mean must stay below `release * threshold`, in all, before the label can make
            another event; one number, or one for each label that has a threshold.
        gate: the energy gate ahead of the network; None runs it on every window.
        score: a name in SCORES: what is averaged.
        figures: what the point reached: numbers and texts, such as false_accepts_per_hour, bound_per_hour, confidence,
            recall, hours, split.

    Raises:
        ArgumentError: a value out of its range, or a mean over more than 1000 windows.

    Example:
        >>> ListeningPoint("balanced", operating_point="balanced", thresholds={"yes": 0.8}).windows
        5
    """

    name: str
    operating_point: str
    thresholds: Mapping[str, float]
    hop_ms: float = 100.0
    span_ms: float = 500.0
    release: float = 0.5
    min_count: int = 1
    of_count: int = 1
    refractory_ms: float | Mapping[str, float] = 1000.0
    gate: GateSettings | None = None
    score: str = USUAL_SCORE
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        _make_plain(self)
        for name in ("name", "operating_point"):
            _require(isinstance(getattr(self, name), str), name, getattr(self, name), "text")
        _require(
            isinstance(self.thresholds, Mapping) and len(self.thresholds) > 0,
            "thresholds",
            self.thresholds,
            "a threshold for at least one label",
        )
        for label, threshold in self.thresholds.items():
            _require(
                _within(threshold, 0, 1) and threshold > 0,
                f"threshold of {label!r}",
                threshold,
                "a number above 0 and at most 1",
            )
        for name in ("hop_ms", "span_ms"):
            value = getattr(self, name)
            _require(_within(value, 0, MAX_MS) and value > 0, name, value, f"a number above 0 and at most {MAX_MS:g}")
        _require(_within(self.release, 0, 1), "release", self.release, "a number from 0 to 1")
        for name in ("min_count", "of_count"):
            value = getattr(self, name)
            _require(_is_whole(value) and 1 <= value <= MAX_WINDOWS, name, value, f"from 1 to {MAX_WINDOWS}")
        _require(self.min_count <= self.of_count, "min_count", self.min_count, f"at most of_count, {self.of_count}")
        self._check_refractory()
        _require(self.gate is None or isinstance(self.gate, GateSettings), "gate", self.gate, "GateSettings or None")
        one_of("score", self.score, SCORES)
        _require(
            isinstance(self.figures, Mapping)
            and all(isinstance(key, str) and _is_figure(value) for key, value in self.figures.items()),
            "figures",
            self.figures,
            "numbers and texts by name",
        )
        _require(
            self.span_ms / self.hop_ms < MAX_WINDOWS + 0.5,
            "span_ms",
            self.span_ms,
            f"at most {MAX_WINDOWS} hops of {self.hop_ms:g} ms",
        )

    def _check_refractory(self) -> None:
        value = self.refractory_ms
        if isinstance(value, Mapping):
            _require(
                set(value) == set(self.thresholds),
                "refractory_ms",
                dict(value),
                f"a time for each of {', '.join(map(str, self.thresholds))}, and for no other label",
            )
        times = value.values() if isinstance(value, Mapping) else [value]
        _require(
            all(_within(time, 0, MAX_REFRACTORY_MS) for time in times),
            "refractory_ms",
            value,
            f"from 0 to {MAX_REFRACTORY_MS:g}",
        )

    @property
    def windows(self) -> int:
        """Windows that the mean is over: at least 1."""
        return max(1, rounded(self.span_ms / self.hop_ms))

    def refractory_windows(self, label: str) -> int:
        """Windows below the leave threshold until a label can make another event: at least 1."""
        times = self.refractory_ms
        return max(1, rounded((times[label] if isinstance(times, Mapping) else times) / self.hop_ms))

    def check(self, *, labels: Sequence[str], operating_points: Sequence[str] | None = None) -> None:
        """ArgumentError, naming the nearest, unless the point is of a model with these labels and operating points.

        Args:
            labels: of the model.
            operating_points: of the model; None leaves them unchecked.
        """
        for label in self.thresholds:
            one_of(f"label of listening point {self.name!r}", label, labels)
        if self.score == "against_background" and set(self.thresholds) >= set(labels):
            raise ArgumentError(
                f"score of listening point {self.name!r} is 'against_background', but every label has a threshold: "
                "leave out those that are background"
            )
        if operating_points is not None:
            one_of(f"operating point of listening point {self.name!r}", self.operating_point, operating_points)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; without a score that is the usual one, as in files of earlier versions."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name != "score" or value != USUAL_SCORE}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ListeningPoint:
        """The point that `to_dict` wrote.

        Raises:
            ArgumentError: an unknown or missing name, or a value that breaks a rule.
        """
        given = {"score": USUAL_SCORE, **values} if isinstance(values, Mapping) else values
        read = dict(_all_of(cls, given, "a listening point"))
        if read["gate"] is not None:
            read["gate"] = GateSettings(**_all_of(GateSettings, read["gate"], "a gate"))
        return cls(**read)


def how_to_make_one(model: str | os.PathLike[str]) -> str:
    """A command for whoever has a model file without a listening point. A line to copy, but for NEGATIVES.

    Args:
        model: the file, or the name of a model of the package.
    """
    path = Path(model)
    name = path.stem if path.parent == pretrained.FOLDER else os.fspath(model)
    return (
        f"python -m bnn_exit.calibrate {shlex.quote(name)} --stream NEGATIVES --max-false-accepts-per-hour 0.5 makes "
        "one, of hours of sound without the words (NEGATIVES)"
    )


def rounded(value: float) -> int:
    """The nearest whole number, halves upwards: the same in C and Python."""
    return math.floor(value + 0.5)


def _all_of(kind: type, values: Any, what: str) -> Mapping[str, Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    if not isinstance(values, Mapping):
        raise ArgumentError(f"{what} is {values!r}, but must be settings by name")
    for name in values:
        one_of(f"name in {what}", name, names)
    missing = [name for name in names if name not in values]
    if missing:
        raise ArgumentError(f"{what} lacks {', '.join(missing)}")
    return values


def _make_plain(settings: Any) -> None:
    """Numbers of NumPy, such as a mean of probabilities, become those of Python, which JSON has."""
    for field in dataclasses.fields(settings):
        object.__setattr__(settings, field.name, _plain(getattr(settings, field.name)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _within(value: object, lowest: float, highest: float) -> bool:
    # False for NaN too.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and lowest <= value <= highest


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_figure(value: object) -> bool:
    return isinstance(value, str) or _within(value, -sys.float_info.max, sys.float_info.max)


def _require(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise ArgumentError(f"{name} is {value!r}, but must be {rule}")
