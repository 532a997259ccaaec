"""THE exit decision: calibration, metrics and the runtime all call these functions.

Leave at exit k if score_k < threshold_k; the last exit always answers (BranchyNet: Teerapittayanon, McDanel and Kung
2016, "BranchyNet: Fast Inference via Early Exiting from Deep Neural Networks", section III-C, algorithm 1). A policy
is a score; the comparison is the same for every policy.

A policy with a skip gate has one threshold more, the last one, for the score of the last exit: a clip whose score there
is below it skips every early head and leaves at the last exit. So 0 turns the gate off, as it turns an exit off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError
from bnn_exit.text import counted

Array = npt.NDArray[Any]

ALWAYS = 1000.0
"""A threshold above every score of every policy: the exit always answers."""

SKIP_GATES = ("skip_gate",)
"""Names of the policies with a skip gate. They stand here, because whoever runs a file loads no policy."""


def num_thresholds(exits: int, *, skips: bool = False) -> int:
    """How many thresholds there are: one for each exit but the last, and one more for a skip gate (`skips`)."""
    return exits if skips else exits - 1


def skip_threshold(thresholds: npt.ArrayLike, *, exits: int) -> float | None:
    """The threshold of the skip gate, or None if these thresholds have none."""
    values = np.asarray(thresholds, np.float64)
    return float(values[-1]) if len(values) == num_thresholds(exits, skips=True) else None


def leaves(score: npt.ArrayLike, threshold: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """THE rule: score < threshold, elementwise, in float32 as in the model file.

    Threshold 0 never leaves, one above the highest score of the policy always, a NaN score (or threshold) never leaves.
    """
    return np.asarray(np.less(np.asarray(score, np.float32), np.asarray(threshold, np.float32)))


def exit_indices(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The exit (0-based) at which each clip leaves: the first that it may leave at, else the last.

    Args:
        scores: [clips, exits].
        thresholds: [exits - 1], or [exits] with that of a skip gate at the end.

    Raises:
        ArgumentError: scores that are not two-dimensional or whose width does not fit the thresholds.
    """
    return np.minimum(outcomes(scores, thresholds), np.shape(scores)[-1] - 1)


def outcomes(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """How each clip ends: the exit (0-based) where it leaves, or the number of exits if it skips the early heads.

    These are the places in `LeavingCosts.outcomes`, because a clip that skips costs less at the last exit. Arguments
    and errors as of `exit_indices`.

    Example:
        >>> outcomes([[0.1, 0.5, 0.9], [0.1, 0.5, 0.2]], [0.2, 0.2, 0.3])  # the second skips: 0.2 < 0.3
        array([0, 3])
    """
    values, limits = np.asarray(scores), np.asarray(thresholds)
    if limits.ndim != 1:
        raise ArgumentError(f"thresholds has shape {limits.shape}, but must be one-dimensional: one value an exit")
    count = len(limits)
    if values.ndim != 2 or values.shape[1] not in (count + 1, count or 1):
        raise ArgumentError(
            f"scores has shape {values.shape}, but must be [clips, exits] with {count + 1} exits for {count} thresholds"
            f" ({count} with a skip gate)"
        )
    exits = values.shape[1]
    found = first_leaving(values[:, : exits - 1], limits[: exits - 1])
    return np.where(leaves(values[:, -1], limits[-1]), exits, found) if count == exits else found


def first_leaving(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The first of the early exits that each clip may leave at, else their number; of scores and thresholds of the
    early exits alone: [clips, exits - 1] and [exits - 1]."""
    values = np.asarray(scores)
    # A last column that always leaves turns "the first exit that leaves" into one argmax.
    stay_or_leave = np.ones((len(values), values.shape[1] + 1), np.bool_)
    stay_or_leave[:, :-1] = leaves(values, thresholds)
    return stay_or_leave.argmax(axis=1)


def outcomes_at(
    exit_indices: npt.ArrayLike, scores: npt.ArrayLike, thresholds: npt.ArrayLike, *, exits: int
) -> npt.NDArray[np.int64]:
    """`outcomes` of clips that a file ran: from the exits where they left and their scores there, both [clips]."""
    left, gate = np.asarray(exit_indices, np.int64), skip_threshold(thresholds, exits=exits)
    if gate is None:
        return left
    return np.where((left == exits - 1) & leaves(scores, gate), exits, left)


def predicted_labels(probabilities: npt.ArrayLike, exit_index: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The label [clips] that each clip gets at its exit, from probabilities [clips, exits, classes]."""
    values, exits = np.asarray(probabilities), np.asarray(exit_index)
    return values[np.arange(len(values)), exits].argmax(axis=-1)


def check_thresholds(
    thresholds: npt.ArrayLike | Sequence[float], *, exits: int, skips: bool = False
) -> npt.NDArray[np.float32]:
    """The thresholds as float32 [exits - 1], or [exits] with a skip gate (`skips`).

    Raises:
        ArgumentError: not numbers, the wrong number of them, or one that is negative, NaN or infinite.
    """
    try:
        values = np.asarray(thresholds, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"thresholds is {thresholds!r}, but must be numbers, one for each exit but the last") from (
            error
        )
    needed = num_thresholds(exits, skips=skips)
    if values.ndim == 0 and thresholds is not None:
        raise ArgumentError(f"thresholds is a single number ({_listed(values)}), but must be a list of {needed}")
    if values.shape != (needed,):
        count = f"{values.size} value{'' if values.size == 1 else 's'}"
        raise ArgumentError(
            f"thresholds has {count} ({_listed(values)}), but a model of {counted(exits, 'exit')} takes {needed}: "
            f"one for each exit but the last{', and then one for its skip gate' if skips else ''}"
        )
    with np.errstate(over="ignore"):
        limits = values.astype(np.float32)
    if not np.all(np.isfinite(limits) & (limits >= 0)):
        raise ArgumentError(
            f"thresholds is {_listed(values)}, but each must be a finite number of at least 0 "
            f"(0 turns an exit off, {ALWAYS:g} makes it always answer)"
        )
    return limits


def forcing_thresholds(exit_index: int, *, exits: int, skips: bool = False) -> npt.NDArray[np.float32]:
    """Thresholds float32 [exits - 1] with which every clip leaves at `exit_index`, whatever its scores (except NaN).

    With a skip gate (`skips`) they are [exits], and the gate is off: every head on the way is executed.
    """
    thresholds = np.zeros(num_thresholds(exits, skips=skips), np.float32)
    if exit_index < exits - 1:
        thresholds[exit_index] = ALWAYS
    return thresholds


def skipping_thresholds(*, exits: int) -> npt.NDArray[np.float32]:
    """Thresholds float32 [exits] with which every clip skips the early heads."""
    thresholds = np.zeros(num_thresholds(exits, skips=True), np.float32)
    thresholds[-1] = ALWAYS
    return thresholds


def _listed(values: Array) -> str:
    return ", ".join(f"{value:g}" for value in values.ravel()) or "none"
