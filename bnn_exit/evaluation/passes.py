"""Run clips through a model file: once for each forced exit and once for each operating point, and time every call."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule
from bnn_exit.runtime.backends import Backend, check_forced

WARM_UP_CALLS = 3
"""Calls before the first timed one, for each setting: first calls allocate and fill caches."""

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass
class Passes:
    """One run of every clip with one set of thresholds.

    Attributes:
        thresholds: float32 [exits - 1], what the file was given.
        probabilities: float32 [clips, classes].
        exit_indices: int64 [clips], where the file left.
        scores: float32 [clips], at that exit.
        seconds: float64 [clips], of the backend's call alone.
    """

    thresholds: Floats
    probabilities: Floats
    exit_indices: npt.NDArray[np.int64]
    scores: Floats
    seconds: npt.NDArray[np.float64]

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The label of each clip."""
        return self.probabilities.argmax(axis=-1)


@dataclasses.dataclass
class Measurement:
    """Every clip through every exit and every operating point.

    Attributes:
        forced: one entry an exit: the passes in which every clip is forced to leave there.
        points: the passes of each operating point, by name.
    """

    forced: list[Passes]
    points: dict[str, Passes]

    @property
    def exit_probabilities(self) -> Floats:
        """Probabilities of every exit for every clip: [clips, exits, classes]."""
        return np.stack([passes.probabilities for passes in self.forced], axis=1)

    @property
    def exit_scores(self) -> Floats:
        """The score of every clip at every exit, as the file computes it: [clips, exits]."""
        return np.stack([passes.scores for passes in self.forced], axis=1)

    def agreement(self, name: str) -> float:
        """Share of clips that left, at an operating point, as `rule.exit_indices` predicts."""
        passes = self.points[name]
        expected = rule.exit_indices(self.exit_scores, passes.thresholds)
        return float(np.mean(passes.exit_indices == expected))


def measure(
    backend: Backend,
    inputs: Sequence[Any],
    thresholds: Mapping[str, npt.ArrayLike],
    *,
    exits: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Measurement:
    """Run every clip with every setting; clips are the outer loop, so that a slow moment affects all settings.

    Args:
        backend: runs one clip.
        inputs: the clips in the form that the model takes; indexable by clip.
        thresholds: operating point -> thresholds [exits - 1].
        exits: exits of the model.
        progress: wraps the range of clips, such as `tqdm.tqdm`.

    Raises:
        ModelFileError: a clip does not leave at the forced exit.
    """
    settings = [rule.forcing_thresholds(k, exits=exits) for k in range(exits)]
    settings += [rule.check_thresholds(values, exits=exits) for values in thresholds.values()]
    clips = len(inputs)
    for values in settings:
        for _ in range(WARM_UP_CALLS):
            backend.infer(inputs[0], values)

    outputs: list[list[tuple[Any, int, float]]] = [[] for _ in settings]
    seconds = np.empty((len(settings), clips))
    for clip in progress(range(clips)):
        data = inputs[clip]
        for index, values in enumerate(settings):
            begin = time.perf_counter()
            output = backend.infer(data, values)
            seconds[index, clip] = time.perf_counter() - begin
            outputs[index].append(output)

    done = [
        Passes(
            thresholds=values,
            probabilities=np.array([output[0] for output in found], np.float32),
            exit_indices=np.array([output[1] for output in found], np.int64),
            scores=np.array([output[2] for output in found], np.float32),
            seconds=seconds[index],
        )
        for index, (values, found) in enumerate(zip_strict(settings, outputs))
    ]
    for k, passes in enumerate(done[:exits]):
        for clip, (left_at, score) in enumerate(zip_strict(passes.exit_indices.tolist(), passes.scores.tolist())):
            check_forced(k, left_at, score, clip=f"clip {clip}: ")
    return Measurement(forced=done[:exits], points=dict(zip_strict(thresholds, done[exits:])))


@dataclasses.dataclass(frozen=True)
class Times:
    """Times of some calls, in microseconds.

    Attributes:
        minimum, median, mean: of the calls.
        p95: their 95th percentile.
    """

    minimum: float
    median: float
    mean: float
    p95: float

    @classmethod
    def of(cls, seconds: npt.ArrayLike) -> Times:
        """Of calls that took these seconds [calls]."""
        values = np.asarray(seconds, np.float64) * 1e6
        return cls(
            float(values.min()), float(np.median(values)), float(values.mean()), float(np.percentile(values, 95))
        )


def time_us(seconds: npt.ArrayLike) -> dict[str, float]:
    """The same as JSON values."""
    return dataclasses.asdict(Times.of(seconds))


def spread_us(seconds: npt.ArrayLike) -> float:
    """How far the median of seconds [calls] may be off: half of its 95 % confidence interval, in microseconds.

    From the ranks of the values, which holds for any distribution; infinite for one call.
    """
    values = np.sort(np.asarray(seconds, np.float64)) * 1e6
    if len(values) < 2:
        return math.inf
    first = max(0, math.floor(len(values) / 2 - 0.98 * math.sqrt(len(values))))
    return float(values[-1 - first] - values[first]) / 2


def difference_us(seconds: npt.ArrayLike, earlier: npt.ArrayLike) -> dict[str, float | None]:
    """`time_us` of what calls take beyond the calls that they are paired with, and its `spread`.

    A figure is None where it cannot be measured: all of them if the median is not beyond twice its spread, or one that
    is not above 0.
    """
    longer, shorter = np.asarray(seconds, np.float64), np.asarray(earlier, np.float64)
    spread = spread_us(longer - shorter)
    found: dict[str, float | None] = {**time_us(longer - shorter)}
    # The smallest difference belongs to an earlier call that was disturbed; that of the smallest times to none.
    found["minimum"] = 1e6 * float(longer.min() - shorter.min())
    measurable = (found["median"] or 0.0) > 2 * spread
    figures = {name: value if measurable and value is not None and value > 0 else None for name, value in found.items()}
    return {**figures, "spread": spread if math.isfinite(spread) else None}
