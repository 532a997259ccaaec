"""Which clips to look at and to listen to: the hardest, the overthought, and those whose label may be wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from bnn_exit import difficulty

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DEFINITION = (
    "Difficulty is the entropy of the mean probabilities of the exits (exit k has the weight 1/k), divided by its "
    "maximum: 0 if all exits are certain of one class, 1 if their mean is uniform."
)


@dataclasses.dataclass(frozen=True)
class HardClips:
    """Clips by number, each list hardest first, except the last.

    Attributes:
        difficulty: [clips], in [0, 1], larger is harder: `difficulty.Table`.
        hardest: every clip.
        overthought: the clips that an early exit classifies correctly and the last exit does not.
        doubtful: the clips whose label looks wrong, the surest first: `difficulty.Summary.suspects`.
    """

    difficulty: Floats
    hardest: Integers
    overthought: Integers
    doubtful: Integers


def find(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> HardClips:
    """The hard clips among some.

    Args:
        probabilities: [clips, exits, classes], each row sums to 1.
        labels: [clips], given classes, 0-based.
    """
    values = np.asarray(probabilities, np.float64)
    exits = values.shape[1]
    # The thresholds are not used here.
    table = difficulty.from_probabilities(
        values, np.zeros(values.shape[:2]), thresholds=np.zeros(exits - 1), labels=np.asarray(labels, np.int64)
    )
    summary = difficulty.Summary(table.class_names, exits=exits, labelled=True, keep=len(table))
    summary.add(table)
    return HardClips(
        table.difficulty,
        hardest=_numbers(row["path"] for row in summary.hardest),
        overthought=_numbers(row["path"] for row in summary.overthought),
        doubtful=_numbers(suspect.name for suspect in summary.suspects()),
    )


def _numbers(names: Iterable[str]) -> Integers:
    return np.array([int(name) for name in names], np.int64)
