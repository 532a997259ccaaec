"""Run clips through a front end and a model file: once for each forced exit and operating point, every time timed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.evaluation.times import Clock
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule
from bnn_exit.runtime.backends import Backend, check_forced

WARM_UP_CALLS = 3
"""Untimed runs before the first timed one: first calls allocate, and a processor raises its clock."""

Floats = npt.NDArray[np.float32]
FrontEnd = Callable[[Any], Any]
"""A clip to what the network takes."""

Infer = Callable[[Any, Any], tuple[Any, int, float]]
"""What the network takes, and thresholds, to probabilities [classes], exit index and score."""


@dataclasses.dataclass
class Passes:
    """One run of every clip with one set of thresholds.

    Attributes:
        thresholds: float32 [exits - 1], or [exits] with a skip gate: what the file was given.
        probabilities: float32 [clips, classes].
        exit_indices: int64 [clips], where the file left.
        scores: float32 [clips], at that exit.
        seconds: float64 [clips], of the network: the backend's call.
        front_end_seconds: float64 [clips], of the front end, right before that call; None if it is in the file.
    """

    thresholds: Floats
    probabilities: Floats
    exit_indices: npt.NDArray[np.int64]
    scores: Floats
    seconds: npt.NDArray[np.float64]
    front_end_seconds: npt.NDArray[np.float64] | None = None

    @property
    def whole_seconds(self) -> npt.NDArray[np.float64]:
        """Front end and network of each clip."""
        return self.seconds if self.front_end_seconds is None else self.front_end_seconds + self.seconds

    def outcomes(self, *, exits: int) -> npt.NDArray[np.int64]:
        """How each clip ended, of a model with so many exits: see `rule.outcomes`."""
        return rule.outcomes_at(self.exit_indices, self.scores, self.thresholds, exits=exits)

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


def timed_path(
    clip: Any, thresholds: npt.ArrayLike, *, front_end: FrontEnd | None, infer: Infer, now: Clock
) -> tuple[tuple[Any, int, float], float, float]:
    """One clip from samples to prediction: the output, and the seconds of the front end and of the network.

    One comes right after the other, so that their sum is that of the whole path. The one place that times it.
    """
    begin = now()
    inputs = clip if front_end is None else front_end(clip)
    between = now()
    output = infer(inputs, thresholds)
    end = now()
    return output, between - begin, end - between


def measure(
    backend: Backend,
    clips: Sequence[Any],
    thresholds: Mapping[str, npt.ArrayLike],
    *,
    exits: int,
    skips: bool = False,
    front_end: FrontEnd | None = None,
    now: Clock = time.perf_counter,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Measurement:
    """Run every clip with every setting; clips are the outer loop, so that a slow moment affects all settings.

    Each clip goes through front end and network once untimed before, so that all times are of warm caches.

    Args:
        backend: runs one clip.
        clips: waveforms, or without `front_end` what the model takes; indexable by clip.
        thresholds: operating point -> thresholds [exits - 1], or [exits] with a skip gate.
        exits: exits of the model.
        skips: whether it has a skip gate.
        front_end: makes of a clip what the model takes; None where it is in the file.
        now: the clock.
        progress: wraps the range of clips, such as `tqdm.tqdm`.

    Raises:
        ModelFileError: a clip does not leave at the forced exit.
    """
    settings = [rule.forcing_thresholds(k, exits=exits, skips=skips) for k in range(exits)]
    deepest = settings[-1]
    settings += [rule.check_thresholds(values, exits=exits, skips=skips) for values in thresholds.values()]

    def run(clip: Any, values: Floats) -> tuple[tuple[Any, int, float], float, float]:
        return timed_path(clip, values, front_end=front_end, infer=backend.infer, now=now)

    outputs: list[list[tuple[Any, int, float]]] = [[] for _ in settings]
    seconds = np.empty((2, len(settings), len(clips)))
    for number in progress(range(len(clips))):
        clip = clips[number]
        for _ in range(1 if number else WARM_UP_CALLS):
            run(clip, deepest)
        for index, values in enumerate(settings):
            output, front_end_s, network_s = run(clip, values)
            outputs[index].append(output)
            seconds[:, index, number] = front_end_s, network_s

    done = [
        Passes(
            thresholds=values,
            probabilities=np.array([output[0] for output in found], np.float32),
            exit_indices=np.array([output[1] for output in found], np.int64),
            scores=np.array([output[2] for output in found], np.float32),
            seconds=seconds[1, index],
            front_end_seconds=None if front_end is None else seconds[0, index],
        )
        for index, (values, found) in enumerate(zip_strict(settings, outputs))
    ]
    for k, passes in enumerate(done[:exits]):
        for number, (left_at, score) in enumerate(zip_strict(passes.exit_indices.tolist(), passes.scores.tolist())):
            check_forced(k, left_at, score, clip=f"clip {number}: ")
    return Measurement(forced=done[:exits], points=dict(zip_strict(thresholds, done[exits:])))
