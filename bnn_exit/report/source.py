"""What a report is made of: a measured pass over a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.evaluation.report import Report
from bnn_exit.settings.values import Features
from bnn_exit.text import counted


@dataclasses.dataclass(frozen=True)
class Source:
    """A measured pass over a split, and the clips to show.

    Attributes:
        report: the figures, as `measure_split` gives them.
        probabilities: float32 [clips, exits, classes], of every exit.
        scores: float32 [clips, exits], what every exit compares with its threshold, as the file computes it.
        labels: int64 [clips], true classes, 0-based.
        costs: cumulative cost of leaving at each exit.
        names: what each clip is called.
        waveform: clip number -> float32 [samples] in [-1, 1], or values [samples, channels].
        features: settings of the log-mel, or of the values.
        about: further facts for the head of the page: what -> text.

    Raises:
        ArgumentError: arrays that do not fit together.
        DataError: NaN or infinity among the probabilities or scores.
    """

    report: Report
    probabilities: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    costs: Sequence[Cost]
    names: Sequence[str]
    waveform: Callable[[int], npt.NDArray[np.float32]]
    features: Features
    about: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        clips, exits, classes = self.probabilities.shape
        widths = (len(self.scores), len(self.labels), len(self.names))
        if set(widths) != {clips} or self.scores.shape[1] != exits or len(self.costs) != exits:
            raise ArgumentError(
                f"scores {self.scores.shape}, labels [{len(self.labels)}], names [{len(self.names)}] and costs "
                f"[{len(self.costs)}] do not fit probabilities {self.probabilities.shape}"
            )
        if len(self.report.labels) != classes:
            raise ArgumentError(f"labels has {len(self.report.labels)} names, but the exits have {classes} classes")
        bad = ~(np.isfinite(self.probabilities).all(axis=(1, 2)) & np.isfinite(self.scores).all(axis=1))
        if bad.any():
            first = self.names[int(bad.argmax())]
            raise DataError(
                f"the exits give NaN or infinity for {bad.sum()} of {counted(clips, 'clip')} (first: {first}): the "
                "network diverged, train it again with a lower learning rate"
            )
