"""Uncertainty of probabilities that were made honest: each exit's logits divided by a temperature of its own."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.policies.base import Floats, Policy, Sizes, log_softmax, softmax
from bnn_exit.policies.uncertainty import Entropy, Margin, MaxProbability, Uncertainty

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits

_LOWEST, _HIGHEST = 0.02, 50.0


@dataclasses.dataclass(frozen=True)
class Scaled(Policy):
    """An uncertainty after temperature scaling (Guo et al. 2017, section 4.2).

    One temperature for all exits would only bend the scale of a threshold; one for each makes their scores comparable.

    Attributes:
        temperatures: of each exit; above 1 makes it less sure of itself.
    """

    temperatures: tuple[float, ...] = ()

    uncertainty = Entropy

    def __post_init__(self) -> None:
        for each in self.temperatures:
            # A value of another shape fits no network, which `fits` reports.
            if not isinstance(each, tuple) and not 0 < each < math.inf:
                raise ArgumentError(f"temperatures holds {each!r}, but must hold finite numbers above 0")

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> Scaled:
        return cls(
            tuple(fit_temperature(exit_logits.logits[:, k], exit_logits.truth) for k in range(exit_logits.exits))
        )

    @classmethod
    def twin(cls) -> str:
        """See Policy."""
        return "scaled"

    def fits(self, *, exits: int, classes: int) -> bool:
        """See Policy."""
        return len(self.temperatures) == exits and not any(isinstance(each, tuple) for each in self.temperatures)

    def probabilities(self, exit_logits: ExitLogits) -> Floats:
        """See Policy; the most probable class stays the same."""
        return softmax(exit_logits.logits / np.asarray(self.temperatures, np.float64)[:, None])

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        return self.uncertainty.of(self.probabilities(exit_logits))

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy."""
        return Cost(0, (self.uncertainty.work_per_class + 1) * sizes.classes)


def _scaled(kind: type[Uncertainty]) -> type[Scaled]:
    return type(f"Scaled{kind.__name__}", (Scaled,), {"name": f"scaled_{kind.name}", "uncertainty": kind})


ScaledEntropy, ScaledMaxProbability, ScaledMargin = _scaled(Entropy), _scaled(MaxProbability), _scaled(Margin)


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The temperature of the least cross entropy, from 0.02 to 50.

    The cross entropy is convex in the inverse temperature b: its slope, the mean of E_p[z] - z_label with p = softmax(b
    z), rises with b, so halving an interval finds where it is 0.

    Args:
        logits: [clips, classes].
        labels: [clips].
    """
    values = np.asarray(logits, np.float64)
    values = values - values.max(axis=-1, keepdims=True)
    right = values[np.arange(len(values)), np.asarray(labels)].mean()
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        if (np.exp(log_softmax(middle * values)) * values).sum(axis=-1).mean() > right:
            high = middle
        else:
            low = middle
    return float(1 / low)
