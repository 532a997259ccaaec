"""Which clips to look at and to listen to: the hardest, the overthought, and those whose label may be wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from bnn_exit.policies.uncertainty import Entropy

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
        difficulty: [clips], in [0, 1], larger is harder: DEFINITION.
        hardest: every clip.
        overthought: the clips that an early exit has right and the last exit wrong (Kaya, Hong and Dumitras 2019,
            "Shallow-Deep Networks", section 4).
        doubtful: the clips whose label looks wrong, the surest first: all exits give one other class, and the mean
            answer gives it at least the probability that it has on average in clips of its label (confident learning:
            Northcutt, Jiang and Chuang 2021, section 3.1).
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
    said, given = np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)
    clips, exits, classes = said.shape
    weights = 1 / np.arange(1, exits + 1)
    mean_answer = np.einsum("nkc,k->nc", said, weights / weights.sum())
    difficulty = Entropy.of(mean_answer)
    predicted = said.argmax(axis=-1)
    right = predicted == given[:, None]
    instead = predicted[:, -1]
    sureness = mean_answer[np.arange(clips), instead]
    usual = np.full(classes, np.inf)  # a class without clips cannot be told to be meant
    for index in np.unique(given):
        usual[index] = mean_answer[given == index, index].mean()
    suspected = (predicted == instead[:, None]).all(axis=1) & ~right[:, -1] & (sureness >= usual[instead])
    hardest = np.argsort(-difficulty, kind="stable")
    surest = np.argsort(-sureness, kind="stable")
    overthought = right[:, :-1].any(axis=1) & ~right[:, -1]
    return HardClips(difficulty, hardest, hardest[overthought[hardest]], surest[suspected[surest]])
