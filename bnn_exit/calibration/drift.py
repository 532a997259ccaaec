"""Drift: whether clips from the field differ from the calibration clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics
from bnn_exit.errors import ArgumentError, missing_package
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, rule
from bnn_exit.text import counted

LEVEL = 0.01
"""Probability of a false alarm."""

_EXPECTED = 5.0
"""Expected clips that a chi-square test needs in each cell; exits with fewer are merged."""


@dataclasses.dataclass(frozen=True)
class Drift:
    """How clips from the field differ from those of calibration.

    Attributes:
        p_values: of tests: "score_1", "score_2" and so on (two-sample Kolmogorov-Smirnov on the score of each exit
            that compares one, over all clips) and "exit_shares" (chi-square on where clips leave); small if
            the clips differ. The last is left out if the clips are too few for it, or all leave at one exit.
        corrected: the same after Holm's correction for as many tests; never smaller.
        level: a corrected p-value of at most this is an alarm; it bounds the probability of a false alarm.
        calibration_shares, field_shares: of the clips, at each exit.
        field_clips: number of clips from the field.
    """

    p_values: dict[str, float]
    corrected: dict[str, float]
    level: float
    calibration_shares: tuple[float, ...]
    field_shares: tuple[float, ...]
    field_clips: int

    @property
    def found(self) -> bool:
        """Whether any test raises an alarm."""
        return min(self.corrected.values()) <= self.level

    def sentence(self) -> str:
        """The finding, and what to do."""
        here, there = 100 * self.field_shares[0], 100 * self.calibration_shares[0]
        first = f"{here:.1f} % leave at exit 1, {there:.1f} % in calibration"
        figures = ", ".join(f"{name.replace('_', ' ')} p = {p:.2g}" for name, p in self.corrected.items())
        if "exit_shares" not in self.corrected:
            few = f"too few clips to compare exit shares: {self.field_clips} from the field"
            same = 1.0 in self.field_shares and self.field_shares == self.calibration_shares
            figures += ", all leave at one exit" if same else f", {few}"
        if self.found:
            return f"drift: {first} ({figures}); calibrate again with labelled clips from there"
        return f"no drift found: {first} ({figures})"


def drift(
    calibration: ExitLogits, field: ExitLogits, thresholds: Sequence[float], *, policy: Policy, level: float = LEVEL
) -> Drift:
    """Compare clips from the field, which need no labels, with those of calibration.

    Args:
        calibration: exit logits of the clips that the thresholds were chosen on.
        field: exit logits of the same network for later clips.
        thresholds: in use.
        policy: in use.
        level: above 0 and below 1. Larger finds more drift and gives more false alarms.

    Raises:
        ArgumentError: networks, thresholds or a level that do not fit.
    """
    stats = scipy_stats()
    if (calibration.exits, calibration.classes) != (field.exits, field.classes):
        raise ArgumentError(
            f"the clips from the field have {counted(field.exits, 'exit')} and {field.classes} classes, but "
            f"calibration has {calibration.exits} and {calibration.classes}: they are of another network"
        )
    if not 0 < level < 1:
        raise ArgumentError(f"level is {level!r}, but must be above 0 and below 1, such as {LEVEL}")
    limits = rule.check_thresholds(thresholds, exits=field.exits, skips=policy.skips())
    scores = [policy.scores(each).astype(np.float32) for each in (calibration, field)]
    left = [rule.exit_indices(each, limits) for each in scores]
    counts = np.stack([np.bincount(each, minlength=field.exits) for each in left])
    merged = _merged(counts)
    p_values = {
        f"score_{index + 1}": float(stats.ks_2samp(scores[0][:, index], scores[1][:, index]).pvalue)
        for index in range(max(1, policy.num_thresholds(field.exits)))
    }
    if merged.shape[1] > 1:
        p_values["exit_shares"] = float(stats.chi2_contingency(merged, correction=False).pvalue)
    here, there = (tuple(metrics.exit_shares(each, exits=field.exits).tolist()) for each in left)
    return Drift(p_values, holm(p_values), level, here, there, field_clips=len(field))


def scipy_stats() -> Any:
    """SciPy's statistics; MissingPackageError without it."""
    try:
        from scipy import stats
    except ImportError as error:
        raise missing_package("scipy", purpose="a test for drift", extra="train") from error
    return stats


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """Holm's (1979) step-down correction: alarms on any of them stay as rare as on one, however they depend."""
    corrected, largest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def _merged(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[2, exits] with neighbouring exits put together until the smaller sample expects enough clips at each."""
    share = counts.sum(axis=1).min() / counts.sum()
    columns: list[npt.NDArray[np.int64]] = []
    waiting = np.zeros(2, np.int64)
    for column in counts.T:
        waiting = waiting + column
        if waiting.sum() * share >= _EXPECTED:
            columns.append(waiting)
            waiting = np.zeros(2, np.int64)
    if columns:
        columns[-1] = columns[-1] + waiting
        return np.stack(columns, axis=1)
    return waiting[:, None]
