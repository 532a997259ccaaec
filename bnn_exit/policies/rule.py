"""THE exit decision: calibration, metrics and the runtime all call these functions.

Leave at exit k if score_k < threshold_k; the last exit always answers (BranchyNet: Teerapittayanon, McDanel and Kung
2016, "BranchyNet: Fast Inference via Early Exiting from Deep Neural Networks", section III-C, algorithm 1). A policy
is a score; the comparison is the same for every policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError

Array = npt.NDArray[Any]

ALWAYS = 1000.0
"""A threshold above every score of every policy: the exit always answers."""


def leaves(score: npt.ArrayLike, threshold: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """THE rule: score < threshold, elementwise, in float32 as in the model file.

    Threshold 0 never leaves, one above the highest score of the policy always, a NaN score (or threshold) never leaves.
    """
    return np.asarray(np.less(np.asarray(score, np.float32), np.asarray(threshold, np.float32)))


def exit_indices(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The exit (0-based) at which each clip exit_logits: the first that it may leave at, else the last.

    Args:
        scores: [clips, exits], or [clips, exits - 1]: the last exit's score is never compared.
        thresholds: [exits - 1].

    Raises:
        ArgumentError: scores that are not two-dimensional or whose width does not fit the thresholds.
    """
    values, limits = np.asarray(scores), np.asarray(thresholds)
    if limits.ndim != 1:
        raise ArgumentError(f"thresholds has shape {limits.shape}, but must be one-dimensional: one value an exit")
    last = len(limits)
    if values.ndim != 2 or values.shape[1] not in (last, last + 1):
        raise ArgumentError(
            f"scores has shape {values.shape}, but must be [clips, exits] with {last + 1} exits for {last} thresholds"
        )
    # A last column that always leaves turns "the first exit that leaves" into one argmax.
    stay_or_leave = np.ones((len(values), last + 1), np.bool_)
    stay_or_leave[:, :last] = leaves(values[:, :last], limits)
    return stay_or_leave.argmax(axis=1)


def predicted_labels(probabilities: npt.ArrayLike, exit_index: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The label [clips] that each clip gets at its exit, from probabilities [clips, exits, classes]."""
    values, exits = np.asarray(probabilities), np.asarray(exit_index)
    return values[np.arange(len(values)), exits].argmax(axis=-1)


def check_thresholds(thresholds: npt.ArrayLike | Sequence[float], *, exits: int) -> npt.NDArray[np.float32]:
    """The thresholds as float32 [exits - 1].

    Raises:
        ArgumentError: not numbers, the wrong number of them, or one that is negative, NaN or infinite.
    """
    try:
        values = np.asarray(thresholds, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"thresholds is {thresholds!r}, but must be numbers, one for each exit but the last") from (
            error
        )
    if values.ndim == 0 and thresholds is not None:
        raise ArgumentError(f"thresholds is a single number ({_listed(values)}), but must be a list of {exits - 1}")
    if values.shape != (exits - 1,):
        count = f"{values.size} value{'' if values.size == 1 else 's'}"
        raise ArgumentError(
            f"thresholds has {count} ({_listed(values)}), but a model of {exits} exits takes {exits - 1}: "
            "one for each exit but the last"
        )
    with np.errstate(over="ignore"):
        limits = values.astype(np.float32)
    if not np.all(np.isfinite(limits) & (limits >= 0)):
        raise ArgumentError(
            f"thresholds is {_listed(values)}, but each must be a finite number of at least 0 "
            f"(0 turns an exit off, {ALWAYS:g} makes it always answer)"
        )
    return limits


def forcing_thresholds(exit_index: int, *, exits: int) -> npt.NDArray[np.float32]:
    """Thresholds float32 [exits - 1] with which every clip leaves at `exit_index`, whatever its scores (except NaN)."""
    thresholds = np.zeros(exits - 1, np.float32)
    thresholds[exit_index : exit_index + 1] = ALWAYS
    return thresholds


def _listed(values: Array) -> str:
    return ", ".join(f"{value:g}" for value in values.ravel()) or "none"
