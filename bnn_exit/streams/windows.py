"""The windows of a recording, stored: what a detector is tried on again and again, without the network."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.policies import rule
from bnn_exit.runtime.stream import GATED

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows of one recording, each at the exit where it left.

    Attributes:
        probabilities: float32 [windows, classes]; zeros where the gate was closed.
        exit_indices: int16 [windows], 0-based; -1 where the gate was closed.
        hop_s: from the start of one window to that of the next, in seconds.
        window_s: length of a window.
    """

    probabilities: Floats
    exit_indices: npt.NDArray[np.int16]
    hop_s: float
    window_s: float

    def __len__(self) -> int:
        """Windows."""
        return len(self.exit_indices)

    def exit_counts(self, exits: int) -> npt.NDArray[np.int64]:
        """How many windows left at each exit [exits]; the others were gated."""
        ran = self.exit_indices[self.exit_indices != GATED]
        return np.bincount(ran, minlength=exits).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class ExitWindows:
    """The windows of one recording at every exit.

    Attributes:
        probabilities: float32 [windows, exits, classes].
        scores: float32 [windows, exits], as the file's policy gives them.
        gated: bool [windows], where a gate would be closed.
        hop_s, window_s: as of `Windows`.
    """

    probabilities: Floats
    scores: Floats
    gated: npt.NDArray[np.bool_]
    hop_s: float
    window_s: float

    def __len__(self) -> int:
        """Windows."""
        return len(self.scores)

    def at(self, thresholds: npt.ArrayLike) -> Windows:
        """The windows with these thresholds of the exits [exits - 1]: what a `Stream` gives, to the last bit."""
        exits = rule.exit_indices(self.scores, thresholds)
        probabilities = self.probabilities[np.arange(len(exits)), exits]
        probabilities[self.gated] = 0
        exits[self.gated] = GATED
        return Windows(probabilities, exits.astype(np.int16), self.hop_s, self.window_s)


def total_ops(counts: npt.NDArray[np.int64], costs: tuple[Cost, ...]) -> float:
    """Operations of the network for windows that left at each exit [exits]; a gated window costs none.

    A window that a skip gate sent past the early heads counts as if it had run them: an upper bound.
    """
    return float(counts @ np.array([cost.ops for cost in costs]))
