"""The detector on stored windows: the events of `runtime.detector.Detector`, for many thresholds in little time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.runtime.detector import Event, LabelScores
from bnn_exit.streams.windows import Windows


class Replay:
    """The means of a recording, from which events follow for any thresholds.

    The detector takes windows one by one. Here the means of all windows are computed at once, in the same order of
    additions, and only those windows are looked at one by one in which a label is above its threshold.

    Args:
        windows: of one recording.
        point: whose span, labels and hop are used; the hop is that of the windows.
        labels: of the model.

    Raises:
        ArgumentError: a point of another hop.
    """

    def __init__(self, windows: Windows, point: ListeningPoint, labels: Sequence[str]) -> None:
        if abs(point.hop_ms - 1000 * windows.hop_s) > 1e-6:
            raise ArgumentError(f"hop_ms is {point.hop_ms:g}, but the windows are {1000 * windows.hop_s:g} ms apart")
        self._windows, self._point, self._labels = windows, point, tuple(labels)
        scores = LabelScores(point, labels)
        self._indices, self._values = scores.indices, scores.of(windows.probabilities)
        self._means = np.zeros(self._values.shape)
        # Oldest first, as the detector adds them: no mean differs in its last bit.
        for shift in range(min(point.windows, len(windows)) - 1, -1, -1):
            self._means[shift:] += self._values[: len(windows) - shift]
        self._means /= point.windows

    def events(self, point: ListeningPoint | None = None) -> list[Event]:
        """The events of a point with the same span, labels and hop; None takes the one that was given."""
        point = self._point if point is None else self._checked(point)
        names = [self._labels[index] for index in self._indices]
        thresholds = np.array([point.thresholds[name] for name in names])
        candidates = self._means >= thresholds
        if point.min_count > 1:
            sums = np.cumsum(np.pad(candidates, ((point.of_count, 0), (0, 0))), axis=0, dtype=np.int64)
            candidates &= sums[point.of_count :] - sums[: -point.of_count] >= point.min_count
        waits = [point.refractory_windows(name) for name in names]
        armed_from = np.zeros(len(names))
        found = []
        for row in np.flatnonzero(candidates.any(axis=1)).tolist():
            possible = candidates[row] & (armed_from <= row)
            if not possible.any():
                continue
            label = int(np.argmax(np.where(possible, self._means[row], -1.0)))
            found.append(self._event(row, label))
            armed_from[label] = self._armed_again(row, label, thresholds[label] * point.release, waits[label])
        return found

    def _checked(self, point: ListeningPoint) -> ListeningPoint:
        for name in ("span_ms", "hop_ms"):
            if getattr(point, name) != getattr(self._point, name):
                raise ArgumentError(f"{name} is {getattr(point, name):g}, but the means are of another")
        if point.score != self._point.score:
            raise ArgumentError(f"score is {point.score}, but the means are of {self._point.score}")
        if set(point.thresholds) != set(self._point.thresholds):
            raise ArgumentError("thresholds are of other labels than those of the means")
        return point

    def _armed_again(self, row: int, label: int, leave: float, wait: int) -> float:
        """The first window in which a label that made an event may make another one."""
        # In pieces: the wait is short, and the recording may be a day.
        first, step = row + 1, 64 * wait
        while first < len(self._means):
            below = np.flatnonzero(self._means[first : first + step, label] < leave)
            if len(below) >= wait:
                return first + int(below[wait - 1]) + 1
            wait -= len(below)
            first += step
        return np.inf

    def _event(self, row: int, label: int) -> Event:
        windows, index = self._windows, self._indices[label]
        first = max(0, row - self._point.windows + 1)
        best = first + int(np.argmax(self._values[first : row + 1, label]))
        start_s = best * windows.hop_s
        return Event(
            label=self._labels[index],
            label_index=index,
            start_s=start_s,
            end_s=start_s + windows.window_s,
            time_s=row * windows.hop_s + windows.window_s,
            probability=float(self._means[row, label]),
            exit_index=int(windows.exit_indices[row]),
        )


def shifted(point: ListeningPoint, shift: float) -> ListeningPoint:
    """The point with every threshold moved by `shift` on the logit scale: above 0 is stricter, 0 changes nothing."""
    if shift == 0:
        return point
    values = {label: _moved(threshold, shift) for label, threshold in point.thresholds.items()}
    return dataclasses.replace(point, thresholds=values)


def _moved(threshold: float, shift: float) -> float:
    if threshold >= 1:
        return 1.0
    odds = threshold / (1 - threshold) * float(np.exp(shift))
    return float(np.clip(odds / (1 + odds), 1e-9, 1.0))


def with_threshold(point: ListeningPoint, threshold: float) -> ListeningPoint:
    """The point with one threshold for all of its labels."""
    return dataclasses.replace(point, thresholds=dict.fromkeys(point.thresholds, float(threshold)))
