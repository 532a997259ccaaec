"""Which class's mean features are nearest: exits that need no training."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from bnn_exit.cost import Cost
from bnn_exit.errors import DataError
from bnn_exit.pairs import zip_strict
from bnn_exit.policies.base import Floats, Policy, Sizes, lengths, softmax

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits


@dataclasses.dataclass(frozen=True)
class ClassMeans(Policy):
    """E2CM (Gormez, Dasari and Koyuncu 2022): early exits predict the class whose mean is nearest.

    With d_c the distance to the mean of class c, each divided by the mean distance of that class's own clips, an exit
    predicts softmax_c(-d_c); the score is one minus its largest probability. The last exit's output is the network's
    own. The paper's exact statistic could not be read; dividing by the mean is ours.

    Attributes:
        means: for each exit but the last, [classes, size].
        spreads: for each exit but the last, [classes]: the mean distance of a class's clips to its mean.
    """

    means: tuple[tuple[tuple[float, ...], ...], ...] = ()
    spreads: tuple[tuple[float, ...], ...] = ()

    name = "class_means"
    needs_features = True
    runs_heads = False

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> ClassMeans:
        labels = exit_logits.truth
        absent = sorted(set(range(exit_logits.classes)) - set(labels.tolist()))
        if absent:
            raise DataError(f"class {absent[0]} has no clip in the {exit_logits.split} split, so it has no mean")
        means, spreads = [], []
        for features in cls._features(exit_logits)[:-1]:
            mean = cls._centre(np.stack([features[labels == c].mean(axis=0) for c in range(exit_logits.classes)]))
            own = cls._distances(features, mean)[np.arange(len(labels)), labels]
            spread = [max(float(own[labels == c].mean()), 1e-6) for c in range(exit_logits.classes)]
            means.append(tuple(map(tuple, mean.tolist())))
            spreads.append(tuple(spread))
        return cls(tuple(means), tuple(spreads))

    @classmethod
    def _features(cls, exit_logits: ExitLogits) -> list[Floats]:
        if not exit_logits.features:
            raise DataError(f"policy {cls.name} needs the features of every exit, but the exit logits hold none")
        return [np.asarray(each, np.float64) for each in exit_logits.features]

    @staticmethod
    def _centre(means: Floats) -> Floats:
        return means

    @staticmethod
    def _distances(features: Floats, means: Floats) -> Floats:
        """[clips, classes], Euclidean."""
        squares = (features**2).sum(axis=1)[:, None] - 2 * features @ means.T + (means**2).sum(axis=1)
        return np.sqrt(np.maximum(squares, 0))

    def probabilities(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        found = [
            softmax(-self._distances(features, np.asarray(mean)) / np.asarray(spread))
            for features, mean, spread in zip_strict(self._features(exit_logits)[:-1], self.means, self.spreads)
        ]
        return np.stack([*found, softmax(exit_logits.logits[:, -1])], axis=1)

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        return np.maximum(1 - self.probabilities(exit_logits).max(axis=-1), 0.0)

    def fits(self, *, exits: int, classes: int) -> bool:
        """See Policy."""
        return lengths(self.means) == lengths(self.spreads) == [classes] * (exits - 1)

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy: a distance, its division and an exponential for each class."""
        return Cost(0, (sizes.features[exit_index] + 3) * sizes.classes)


@dataclasses.dataclass(frozen=True)
class ClassMeans1Bit(ClassMeans):
    """Class means of one bit a feature: signs of features, signs of means, and the share of them that differ.

    Between numbers of +1 and -1 the distance is a Hamming distance, which is a binary product: what E2CM becomes in a
    binary network.
    """

    name = "class_means_1bit"

    @classmethod
    def _features(cls, exit_logits: ExitLogits) -> list[Floats]:
        return [np.where(each >= 0, 1.0, -1.0) for each in super()._features(exit_logits)]

    @staticmethod
    def _centre(means: Floats) -> Floats:
        return np.where(means >= 0, 1.0, -1.0)

    @staticmethod
    def _distances(features: Floats, means: Floats) -> Floats:
        """[clips, classes]: share of the bits that differ."""
        size = features.shape[1]
        return (size - features @ means.T) / (2 * size)

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy: binary products."""
        return Cost(sizes.features[exit_index] * sizes.classes, 3 * sizes.classes)
