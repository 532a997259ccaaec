"""What a candidate costs, known before it is trained, and whether that is within the budget.

The time of each exit follows from the work of the network and the rates of the device. The mean time also needs to know
where clips will leave, which only training tells. Until then, a share EARLY_SHARE of the clips that reach an exit is
assumed to leave there, and the rest to go on; after training the thresholds of the trial say it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bnn_exit.calibration.operator_rates import OperatorRates
from bnn_exit.errors import ArgumentError
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.features import FeatureConfig

if TYPE_CHECKING:
    from bnn_exit.models.multi_exit import MultiExitModel

EARLY_SHARE = 0.6
"""Of the clips that reach an exit before the last one. Those of words have 0.6 to 0.9 at usual thresholds."""

FILE_BYTES = 12_000
"""What a file holds beside weights: operators, labels, thresholds with their figures. An upper estimate."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a network costs, before training.

    Attributes:
        exits_us: microseconds of a clip that leaves at each exit, front end included.
        mean_us: of the average clip, with the shares that are assumed.
        kb: of the model file, in units of 1000 bytes.
    """

    exits_us: tuple[float, ...]
    mean_us: float
    kb: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"exits_us": list(self.exits_us), "mean_us": self.mean_us, "kb": self.kb}


def predicted(
    network: MultiExitModel, rates: OperatorRates, features: FeatureConfig, *, clip_samples: int, early_share: float
) -> Prediction:
    """The cost of a network on a device of these rates.

    Args:
        network: its weights do not matter.
        rates: of the device.
        features, clip_samples: what the front end computes.
        early_share: of the clips that reach an exit, from 0 to 1, that are assumed to leave there.
    """
    times = rates.profile(network.work(), features, clip_samples=clip_samples).mean_us
    mean_us = sum(share * time for share, time in zip_strict(assumed_shares(len(times), early_share), times))
    return Prediction(times, mean_us, (network.costs()[-1].bytes + FILE_BYTES) / 1000)


def assumed_shares(exits: int, early_share: float) -> list[float]:
    """Of the clips that leave at each exit.

    Example:
        >>> assumed_shares(3, 0.5)
        [0.5, 0.25, 0.25]
    """
    shares = [early_share * (1 - early_share) ** index for index in range(exits - 1)]
    return [*shares, (1 - early_share) ** (exits - 1)]


@dataclasses.dataclass(frozen=True)
class Budget:
    """The limits of a search; None is no limit.

    Attributes:
        max_mean_us: microseconds of the average clip, front end included.
        max_kb: of the model file, in units of 1000 bytes.
        min_accuracy: on validation, from 0 to 1.
    """

    max_mean_us: float | None = None
    max_kb: float | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_mean_us", "max_kb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ArgumentError(f"--{name.replace('_', '-')} is {value!r}, but must be above 0")
        if self.max_mean_us is None and self.max_kb is None:
            raise ArgumentError("the search has no budget: give --max-mean-us, --max-kb or both")
        if self.min_accuracy is not None and not 0 < self.min_accuracy <= 1:
            raise ArgumentError(f"--min-accuracy is {self.min_accuracy!r}, but must be above 0 and at most 1")

    def excess(self, cost: Mapping[str, Any]) -> float:
        """The largest ratio of a cost to its limit: at most 1 is within the budget.

        Args:
            cost: has `mean_us` and `kb`.
        """
        limits = {"mean_us": self.max_mean_us, "kb": self.max_kb}
        return max(cost[name] / limit for name, limit in limits.items() if limit is not None)

    def __str__(self) -> str:
        parts = []
        if self.max_mean_us is not None:
            parts.append(f"--max-mean-us {self.max_mean_us:g}")
        if self.max_kb is not None:
            parts.append(f"--max-kb {self.max_kb:g}")
        if self.min_accuracy is not None:
            parts.append(f"--min-accuracy {self.min_accuracy:g}")
        return " and ".join(parts)
