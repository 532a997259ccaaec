"""From the probabilities of windows to events. `core/stream/detector.cpp` does the same, to the last bit."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.model_file.listening_points import ListeningPoint


@dataclasses.dataclass(frozen=True)
class Event:
    """One detection in a stream.

    Attributes:
        label: what was detected.
        label_index: its number among the labels of the model.
        start_s, end_s: of the averaged window in which the label was most probable, in seconds from the start of the
            stream.
        time_s: when the event was made: the end of the newest window.
        probability: mean over the averaged windows of what the listening point's score is.
        exit_index: exit of the newest window, 0-based.
    """

    label: str
    label_index: int
    start_s: float
    end_s: float
    time_s: float
    probability: float
    exit_index: int


class LabelScores:
    """What a listening point averages of each label that has a threshold.

    Attributes:
        indices: of these labels, in the order of the model, so that ties go to the first, whatever the order of the
            settings.
    """

    def __init__(self, point: ListeningPoint, labels: Sequence[str]) -> None:
        self.indices = [index for index, label in enumerate(labels) if label in point.thresholds]
        self._background: list[int] | None = None
        if point.score == "against_background":
            self._background = [index for index, label in enumerate(labels) if label not in point.thresholds]

    def of(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The scores [..., labels with a threshold] of probabilities [..., labels]."""
        given = np.asarray(probabilities, np.float64)
        values = given[..., self.indices]
        if self._background is None:
            return values
        # One after the other: an order that C has too.
        background = np.zeros(given.shape[:-1])
        for index in self._background:
            background = background + given[..., index]
        found: npt.NDArray[np.float64] = np.zeros(values.shape)
        return np.divide(values, values + background[..., None], out=found, where=values > 0)


class Detector:
    """Makes events by a listening point: a mean over windows, a threshold, N of M, hysteresis, a refractory time.

    A label makes an event when the mean of its scores over the last windows reaches its threshold, did so in
    `min_count` of the last `of_count` windows, and the label is armed. Of several labels the most probable makes the
    event. It is armed again when its mean was below `release * threshold` for the refractory time in all. The mean and
    the count are those of RecognizeCommands (TensorFlow, speech_commands); a refractory time that only counts below a
    leave threshold is that of micro_wake_word (ESPHome).

    Args:
        point: the settings.
        labels: of the model, in the order of its probabilities.

    Raises:
        ArgumentError: the point has a label that the model lacks.

    Example:
        >>> point = ListeningPoint("quick", operating_point="full", thresholds={"yes": 0.5}, span_ms=100)
        >>> detector = Detector(point, ["yes", "no"])
        >>> detector.push([0.9, 0.1], exit_index=0, start_s=0, end_s=1).label
        'yes'
    """

    def __init__(self, point: ListeningPoint, labels: Sequence[str]) -> None:
        point.check(labels=labels)
        self.point, self.labels = point, tuple(labels)
        self._scores = LabelScores(point, labels)
        self._indices = self._scores.indices
        self._thresholds = np.array([point.thresholds[self.labels[index]] for index in self._indices], np.float64)
        self._leave = self._thresholds * point.release
        self._refractory = [point.refractory_windows(self.labels[index]) for index in self._indices]
        self.reset()

    def reset(self) -> None:
        """Forget every window, as after a gap in the stream."""
        point, labels = self.point, len(self._indices)
        self._recent = np.zeros((point.windows, labels), np.float64)
        self._spans: deque[tuple[float, float]] = deque([(0.0, 0.0)] * point.windows, point.windows)
        self._above = np.zeros((point.of_count, labels), np.bool_)
        self._waits = [0] * labels
        self._oldest = self._oldest_flag = 0

    def push(
        self, probabilities: npt.ArrayLike | None, *, exit_index: int, start_s: float, end_s: float
    ) -> Event | None:
        """Take the next window.

        Args:
            probabilities: [labels], or None for a window that the gate kept from the network: zeros.
            exit_index: of the window, 0-based; -1 if the gate was closed.
            start_s, end_s: of the window, in seconds from the start of the stream.

        Returns:
            The event that this window makes, if any.
        """
        self._recent[self._oldest] = 0.0 if probabilities is None else self._scores.of(probabilities)
        self._spans.append((start_s, end_s))
        self._oldest = (self._oldest + 1) % len(self._recent)
        means = self._means()
        above = means >= self._thresholds
        self._above[self._oldest_flag] = above
        self._oldest_flag = (self._oldest_flag + 1) % len(self._above)
        counts = self._above.sum(axis=0)
        chosen = None
        for label, mean in enumerate(means):
            if self._waits[label]:
                self._waits[label] -= bool(mean < self._leave[label])
            elif above[label] and counts[label] >= self.point.min_count and (chosen is None or mean > means[chosen]):
                chosen = label
        if chosen is None:
            return None
        self._waits[chosen] = self._refractory[chosen]
        return self._event(chosen, float(means[chosen]), exit_index, end_s)

    def _means(self) -> npt.NDArray[np.float64]:
        # Oldest first, one after the other: an order that C has too. Means over pairs would differ in the last bit.
        total = np.zeros(len(self._indices))
        for row in range(len(self._recent)):
            total += self._recent[(self._oldest + row) % len(self._recent)]
        return total / len(self._recent)

    def _event(self, label: int, mean: float, exit_index: int, time_s: float) -> Event:
        order = (self._oldest + np.arange(len(self._recent))) % len(self._recent)
        best = int(np.argmax(self._recent[order, label]))
        start_s, end_s = self._spans[best]
        index = self._indices[label]
        return Event(self.labels[index], index, start_s, end_s, time_s, mean, exit_index)
