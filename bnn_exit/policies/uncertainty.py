"""Policies that read only the probabilities of the exit itself."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.policies.base import Floats, Policy, Sizes

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits


@dataclasses.dataclass(frozen=True)
class Uncertainty(Policy):
    """A policy whose score is a function of one exit's probabilities."""

    work_per_class: ClassVar[int]

    @staticmethod
    def of(probabilities: npt.ArrayLike) -> Floats:
        """The score [...] of probabilities [..., classes]."""
        raise NotImplementedError

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        return self.of(self.probabilities(exit_logits))

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy."""
        return Cost(0, self.work_per_class * sizes.classes)


class Entropy(Uncertainty):
    """Entropy of the probabilities divided by that of the uniform distribution: in [0, 1].

    The entropy is BranchyNet's (Teerapittayanon, McDanel and Kung 2016, section III-C). Dividing by ln C makes a
    threshold mean the same whatever the number of classes.
    """

    name = "entropy"
    work_per_class = 2

    @staticmethod
    def of(probabilities: npt.ArrayLike) -> Floats:
        """-sum_c p_c ln p_c / ln C; see `entropy_nats`."""
        values = np.asarray(probabilities, np.float64)
        return np.clip(entropy_nats(values) / math.log(values.shape[-1]), 0.0, 1.0)


class EntropyNats(Uncertainty):
    """Entropy of the probabilities in nats, as in BranchyNet: in [0, ln C]."""

    name = "entropy_nats"
    work_per_class = 2

    @staticmethod
    def of(probabilities: npt.ArrayLike) -> Floats:
        """-sum_c p_c ln p_c; see `entropy_nats`."""
        return np.maximum(entropy_nats(probabilities), 0.0)

    def highest(self, classes: int) -> float:
        """The entropy of the uniform distribution."""
        return math.log(classes)


class MaxProbability(Uncertainty):
    """One minus the largest probability: in [0, 1). T-RecX (Ghanathe and Wilton 2023) and MSDNet (Huang et al. 2018)
    compare the largest probability itself."""

    name = "max_probability"
    work_per_class = 1

    @staticmethod
    def of(probabilities: npt.ArrayLike) -> Floats:
        """1 - max_c p_c."""
        return np.maximum(1 - np.asarray(probabilities, np.float64).max(axis=-1), 0.0)


class Margin(Uncertainty):
    """One minus the lead of the largest probability over the second: in [0, 1] (Daghero et al. 2022)."""

    name = "margin"
    work_per_class = 2

    @staticmethod
    def of(probabilities: npt.ArrayLike) -> Floats:
        """1 - (p_(1) - p_(2))."""
        two = np.partition(np.asarray(probabilities, np.float64), -2, axis=-1)[..., -2:]
        return np.clip(1 - (two[..., 1] - two[..., 0]), 0.0, 1.0)


def entropy_nats(probabilities: npt.ArrayLike) -> Floats:
    """-sum_c p_c ln p_c of probabilities [..., C], with 0 ln 0 = 0; shape [...], float64. NaN stays NaN.

    Raises:
        ArgumentError: fewer than two classes: there is nothing to be uncertain about.
    """
    values = np.asarray(probabilities, np.float64)
    if values.ndim == 0 or values.shape[-1] < 2:
        raise ArgumentError(f"probabilities has shape {values.shape}, but its last axis must hold at least 2 classes")
    # ln 1 = 0 stands in for ln 0: the product with p = 0 is then exactly 0 and no warning is raised.
    # Sorting makes the sum, and so the decision, independent of the order of the classes.
    return np.sort(-values * np.log(np.where(values > 0, values, 1 + values)), axis=-1).sum(axis=-1)
