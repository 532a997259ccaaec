"""Reliability bins and the expected calibration error: whether 90 % confidence means 90 % accuracy."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError

BINS = 15
"""Bins of equal width, as in Guo et al. 2017."""


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How far the confidence of one exit agrees with its accuracy.

    The confidence is the largest probability (Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural
    Networks", section 2). Bin m of M holds the clips with a confidence in (m / M, (m + 1) / M].

    Attributes:
        counts: clips in each bin, [bins].
        confidence: mean confidence in each bin, [bins], in [0, 1]; NaN in an empty bin.
        accuracy: share of correct predictions in each bin, [bins], in [0, 1]; NaN in an empty bin.
        error: expected calibration error (equation 3): the mean over clips of |accuracy - confidence| of their bin, in
            [0, 1]; 0 is best.
    """

    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    error: float


def reliability(probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = BINS) -> Reliability:
    """The reliability of one exit.

    Args:
        probabilities: [clips, classes].
        labels: [clips], true classes, 0-based.
        bins: how many; more show more and scatter more.

    Raises:
        ArgumentError: shapes that do not fit, no clips, fewer than one bin.
    """
    values, true = np.asarray(probabilities, np.float64), np.asarray(labels)
    if values.ndim != 2 or true.shape != values.shape[:1] or not len(values):
        raise ArgumentError(
            f"probabilities and labels have the shapes {values.shape} and {true.shape}, "
            "but must be [clips, classes] and [clips] with at least one clip"
        )
    if bins < 1:
        raise ArgumentError(f"bins is {bins}, but must be at least 1")
    confidence = values.max(axis=1)
    right = values.argmax(axis=1) == true
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, confidence, minlength=bins), np.bincount(place, right, minlength=bins)
    mean_confidence, mean_right = (
        np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums
    )
    return Reliability(counts, mean_confidence, mean_right, float(np.abs(sums[0] - sums[1]).sum() / len(values)))
