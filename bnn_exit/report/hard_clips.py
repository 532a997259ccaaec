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
    "Difficulty is the entropy of the exits' mean answer, in which exit k has the weight 1/k, divided by the largest "
    "possible: 0 if all exits are certain of one class, 1 if together they have no idea."
)


@dataclasses.dataclass(frozen=True)
class HardClips:
    """Clips by number, each list hardest first save the last.

    Attributes:
        difficulty: [clips], in [0, 1], larger is harder: `difficulty.Table`.
        hardest: every clip.
        overthought: the clips that an early exit has right and the last exit wrong.
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
    said = np.asarray(probabilities, np.float64)
    exits = said.shape[1]
    # Where clips leave plays no part here.
    table = difficulty.from_probabilities(
        said, np.zeros(said.shape[:2]), thresholds=np.zeros(exits - 1), labels=np.asarray(labels, np.int64)
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
