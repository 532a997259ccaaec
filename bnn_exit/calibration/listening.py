"""Thresholds of exits and detector for streams: fewest operations and most hits under a rate of false accepts."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from bnn_exit.calibration.rates import RateTest, check_groups, hours_needed, passed, rate_tests
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.pairs import zip_strict
from bnn_exit.streams.counts import Counts, Truth, count
from bnn_exit.streams.groups import Groups
from bnn_exit.streams.matching import TOLERANCE_S
from bnn_exit.streams.replay import Replay, with_threshold
from bnn_exit.streams.windows import ExitWindows, total_ops

LEVELS = tuple(float(value) for value in 1 / (1 + np.exp(-np.arange(8.0, -1.6, -0.25))))
"""Thresholds of the detector from strict to loose. They are fixed, so that no recording decides what is tested."""
_COARSE = LEVELS[4::8]
"""Of these, the ones at which exits are compared."""
EXIT_STEPS = 16
"""Thresholds of an exit that are tried, from a thousandth of the highest score up."""
EXIT_HALVINGS = 4
"""How often the way from the best of them to the next one is halved."""
CONFIDENCE = 0.95
"""Of a bound that is shown where none was asked for."""

Thresholds = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Recordings:
    """Recordings whose windows went through every exit, and what is known of them."""

    windows: Sequence[ExitWindows]
    truths: Sequence[Truth]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a listening point must keep.

    Attributes:
        false_accepts_per_hour: largest rate, above 0.
        confidence: with which the rate holds on new audio; None limits the rate that was counted.
        delay_ms: that 95 % of the hits may take from the end of the word; None for any.
        recall_loss: share of the words that early exits may lose against the last exit, in [0, 1].

    Raises:
        ArgumentError: a value out of its range.
    """

    false_accepts_per_hour: float
    confidence: float | None = None
    delay_ms: float | None = None
    recall_loss: float = 0.01

    def __post_init__(self) -> None:
        hours_needed(self.false_accepts_per_hour, confidence=CONFIDENCE if self.confidence is None else self.confidence)
        if self.delay_ms is not None and not -60_000 <= self.delay_ms <= 60_000:
            raise ArgumentError(f"max_delay_ms is {self.delay_ms!r}, but must be from -60000 to 60000")
        if not 0 <= self.recall_loss <= 1:
            raise ArgumentError(f"max_recall_loss is {self.recall_loss!r}, but must be from 0 to 1 (0.01 is a percent)")


@dataclasses.dataclass(frozen=True)
class ListeningChoice:
    """Thresholds that were chosen, and what they reached.

    Attributes:
        exit_thresholds: [exits - 1].
        threshold: of the detector, for every label.
        test: of the false accepts, with their bound.
        groups, kind: how many groups the bound is of, and what they are.
        guaranteed: whether the bound is below the limit with the confidence that was asked for.
        words, recall: of the positives, and the share that was found; None without words.
        full_recall: with every window at the last exit.
        delay_s: that 95 % of the hits do not exceed; None without hits.
        exit_shares: of the windows of the negatives.
        relative_ops: mean operations of such a window as a share of exit 1's.
    """

    exit_thresholds: Thresholds
    threshold: float
    test: RateTest
    groups: int
    kind: str
    guaranteed: bool
    words: int
    recall: float | None
    full_recall: float | None
    delay_s: float | None
    exit_shares: tuple[float, ...]
    relative_ops: float


def choose_exits(
    positives: Recordings,
    *,
    point: ListeningPoint,
    labels: Sequence[str],
    highest: float,
    recall_loss: float,
    tolerance_s: float = TOLERANCE_S,
) -> Thresholds:
    """The boldest thresholds of the exits, the first exit first, that lose few words at any threshold of the detector.

    The first exit saves most, so it is given the largest threshold that it can have while the others are off; then the
    next. No negative is looked at.

    Args:
        positives: recordings with words.
        point: whose span, counts and refractory times are used.
        labels: of the model.
        highest: that a score can be.
        recall_loss: share of the words that may be lost against the last exit.
        tolerance_s: how long after a word its event may come.
    """
    exits = positives.windows[0].scores.shape[1]
    words = sum(len(truth.words) for truth in positives.truths)

    def hits(thresholds: Thresholds) -> np.ndarray:
        found = counts_at(positives, thresholds, point=point, labels=labels, levels=_COARSE, tolerance_s=tolerance_s)
        return np.array([sum(each.hits.values()) for each in found])

    chosen = (0.0,) * (exits - 1)
    least = hits(chosen) - recall_loss * words - 1e-9
    for index in range(exits - 1):
        chosen = _boldest(chosen, index, lambda bold: bool((hits(bold) >= least).all()), highest=highest)
    return chosen


def _boldest(thresholds: Thresholds, index: int, keeps: Callable[[Thresholds], bool], *, highest: float) -> Thresholds:
    """`thresholds` with the largest one of exit `index` that keeps the words: of some steps, then up to the next."""

    def with_own(value: float) -> Thresholds:
        return (*thresholds[:index], float(np.float32(value)), *thresholds[index + 1 :])

    steps = [float(step) for step in highest * np.geomspace(1e-3, 1.0, EXIT_STEPS)]
    kept = next((number for number in reversed(range(EXIT_STEPS)) if keeps(with_own(steps[number]))), None)
    if kept is None:
        return thresholds
    bold = steps[kept]
    if kept + 1 < EXIT_STEPS:
        above = steps[kept + 1]
        for _ in range(EXIT_HALVINGS):
            middle = math.sqrt(bold * above)
            bold, above = (middle, above) if keeps(with_own(middle)) else (bold, middle)
    return with_own(bold)


def check_enough(groups: Groups, limits: Limits) -> None:
    """Whether recordings without a single false accept could show what `limits` ask for, before they are listened to.

    Raises:
        DataError: too few hours or groups for the confidence, and how many would do.
    """
    if limits.confidence is None:
        return
    limit, hours = limits.false_accepts_per_hour, float(groups.hours.sum())
    needed = hours_needed(limit, confidence=limits.confidence)
    if hours < needed:
        raise DataError(
            f"{_wanted(limits)}: {hours:.2f} hours are too few to show it; even without a false accept it takes "
            f"{needed:.1f} hours (leave --confidence out to choose by what is counted)"
        )
    check_groups(len(groups))


def choose_threshold(
    negatives: Recordings,
    positives: Recordings | None,
    exit_thresholds: Thresholds,
    *,
    point: ListeningPoint,
    labels: Sequence[str],
    costs: tuple[Cost, ...],
    limits: Limits,
    tolerance_s: float = TOLERANCE_S,
) -> ListeningChoice:
    """The detector threshold with the most hits among those that keep the rate of false accepts.

    With a confidence, thresholds are tested from strict to loose until one fails (`rates.passed`), so the bound holds
    whichever of those that passed is taken.

    Args:
        negatives: recordings in which every event that is no word of a transcript is a false accept.
        positives: recordings with words; without them the loosest threshold is taken.
        exit_thresholds: of the exits [exits - 1].
        point, labels, tolerance_s: as of `choose_exits`.
        costs: of leaving at each exit.
        limits: what must be kept.

    Raises:
        DataError: too few hours or groups for a bound, or no threshold that keeps the limits.
    """
    groups = Groups.of(negatives.truths)
    check_enough(groups, limits)
    counted = functools.partial(counts_at, point=point, labels=labels, levels=LEVELS, tolerance_s=tolerance_s)
    confidence = CONFIDENCE if limits.confidence is None else limits.confidence
    false = counted(negatives, exit_thresholds)
    table = np.array([groups.count(each.false_times) for each in false])
    tests = rate_tests(table, groups.hours, limit_per_hour=limits.false_accepts_per_hour, confidence=confidence)
    allowed = _allowed(tests, limits)
    found: list[Counts] | None = None
    full = None
    if positives is not None:
        found = counted(positives, exit_thresholds)
        full = counted(positives, (0.0,) * len(exit_thresholds))
        allowed = _in_time(allowed, found, limits.delay_ms)
        best = max(allowed, key=lambda step: (sum(found[step].hits.values()), -step))
    else:
        best = allowed[-1]
    exits = sum(each.at(exit_thresholds).exit_counts(len(costs)) for each in negatives.windows)
    windows = sum(map(len, negatives.windows))
    return ListeningChoice(
        exit_thresholds=exit_thresholds,
        threshold=LEVELS[best],
        test=tests[best],
        groups=len(groups),
        kind=groups.kind,
        guaranteed=limits.confidence is not None,
        words=0 if found is None else sum(found[best].words.values()),
        recall=None if found is None else found[best].recall,
        full_recall=None if full is None else full[best].recall,
        delay_s=None if found is None else delay_of(found[best]),
        exit_shares=tuple(float(each) / windows for each in np.asarray(exits)),
        relative_ops=total_ops(np.asarray(exits), costs) / windows / costs[0].ops,
    )


def counts_at(
    recordings: Recordings,
    exit_thresholds: Thresholds,
    *,
    point: ListeningPoint,
    labels: Sequence[str],
    levels: Sequence[float],
    tolerance_s: float,
) -> list[Counts]:
    """The counts of recordings for each threshold of the detector."""
    events: list[list[list]] = [[] for _ in levels]
    for windows in recordings.windows:
        replay = Replay(windows.at(exit_thresholds), point, labels)
        for found, level in zip_strict(events, levels):
            found.append(replay.events(with_threshold(point, level)))
    own = [label for label in labels if label in point.thresholds]
    return [count(found, recordings.truths, labels=own, tolerance_s=tolerance_s) for found in events]


def delay_of(counts: Counts) -> float | None:
    """Seconds after the end of the word that 95 % of the hits do not exceed; None without hits."""
    if not counts.delays_s:
        return None
    ordered = np.sort(counts.delays_s)
    return float(ordered[max(0, int(np.ceil(0.95 * len(ordered) - 1e-9)) - 1)])


def _wanted(limits: Limits) -> str:
    rate = f"at most {limits.false_accepts_per_hour:g} false accepts an hour"
    return rate if limits.confidence is None else f"{rate}, confidence {limits.confidence:g}"


def _allowed(tests: Sequence[RateTest], limits: Limits) -> list[int]:
    """The steps that keep the rate; DataError, with what would do, if there is none."""
    limit, strictest = limits.false_accepts_per_hour, tests[0]
    if limits.confidence is None:
        steps = [step for step, test in enumerate(tests) if test.events <= limit * test.hours]
        if steps:
            return steps
        raise DataError(
            f"{_wanted(limits)}: the strictest threshold has {strictest.events} in {strictest.hours:.2f} hours: train "
            "the model with such recordings as --negatives"
        )
    steps = list(range(passed(tests, confidence=limits.confidence)))
    if steps:
        return steps
    needed = hours_needed(limit, confidence=limits.confidence)
    clustered = hours_needed(limit, confidence=limits.confidence, design_effect=strictest.design_effect)
    raise DataError(
        f"{_wanted(limits)}: the strictest threshold has {strictest.events} in {strictest.hours:.2f} hours, whose "
        f"bound is {strictest.bound_per_hour:.2f} an hour (design effect {strictest.design_effect:.1f}); about "
        f"{max(clustered, needed):.0f} hours without a false accept would do"
    )


def _in_time(steps: list[int], found: Sequence[Counts], delay_ms: float | None) -> list[int]:
    if delay_ms is None:
        return steps
    delays = {step: delay for step in steps if (delay := delay_of(found[step])) is not None}
    kept = [step for step, delay in delays.items() if 1000 * delay <= delay_ms + 1e-6]
    if not kept:
        best = f"the shortest is {1000 * min(delays.values()):.0f} ms" if delays else "no word is found at all"
        raise DataError(
            f"no threshold has 95 % of the hits within {delay_ms:g} ms of the end of the word: {best}; a shorter "
            "--span-ms reports sooner"
        )
    return kept
