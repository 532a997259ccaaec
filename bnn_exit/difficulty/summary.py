"""Figures of each class over many clips, summed table by table: memory depends on classes, not on clips."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnn_exit.difficulty.table import UNKNOWN, Table

SUSPECTS = 1000
"""Candidates for label errors that are kept."""


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """One class.

    Attributes:
        name: of the class.
        clips: how many have this label (or this prediction of the last exit, if no labels are known).
        difficulty, uncertainty, disagreement: means over them, in [0, 1], larger is harder.
        confused_with: the other class with the highest mean probability; "" if all others have 0.
        confusion: that probability, in [0, 1].
        errors: clips with a wrong prediction at the operating point; None without labels.
        overthinking: clips that an earlier exit classifies correctly and the last does not; None without labels.
    """

    name: str
    clips: int
    difficulty: float
    uncertainty: float
    disagreement: float
    confused_with: str
    confusion: float
    errors: int | None
    overthinking: int | None


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A clip whose label looks wrong.

    Attributes:
        name: of the clip.
        label: that it has.
        instead: the class that every exit gives it.
        probability: of that class in the mean probabilities.
    """

    name: str
    label: str
    instead: str
    probability: float


class Summary:
    """Figures of all clips, of each class, and the few clips worth a look.

    Args:
        class_names: of the network.
        exits: of the network.
        labelled: whether true classes are known; clips without one are then in no class. Otherwise a clip is counted
            with the class that the last exit gives it.
        keep: how many of the hardest and of the overthought clips are kept.

    Attributes:
        clips: added so far.
        unlabelled: those of them without a label.
        exit_counts: int64 [exits], clips that leave at each exit.
        difficulty: sum over all clips.
        hardest: rows as `Table.rows` gives them, hardest first, at most `keep`.
        overthought: the same of overthought clips.
    """

    def __init__(self, class_names: Sequence[str], *, exits: int, labelled: bool, keep: int = 100) -> None:
        classes = len(class_names)
        self.class_names = tuple(class_names)
        self.labelled = labelled
        self.clips = self.unlabelled = 0
        self.difficulty = 0.0
        self.exit_counts = np.zeros(exits, np.int64)
        self._sums = {name: np.zeros(classes) for name in ("difficulty", "uncertainty", "disagreement")}
        self._counts = {name: np.zeros(classes, np.int64) for name in ("clips", "errors", "overthinking")}
        self._probabilities = np.zeros((classes, classes))
        self._hardest, self._overthought, self._candidates = _Largest(keep), _Largest(keep), _Largest(SUSPECTS)

    def add(self, table: Table) -> None:
        """Count the clips of a table."""
        self.clips += len(table)
        self.difficulty += float(table.difficulty.sum())
        self.exit_counts += np.bincount(table.exit_index, minlength=len(self.exit_counts))
        group = table.labels if self.labelled else table.predictions[:, -1]
        member = group != UNKNOWN
        self.unlabelled += int((~member).sum())
        for name, sums in self._sums.items():
            np.add.at(sums, group[member], getattr(table, name)[member])
        wrong = table.predicted != table.labels
        for name, mask in (("clips", member), ("errors", member & wrong), ("overthinking", table.overthinking)):
            np.add.at(self._counts[name], group[mask], 1)
        np.add.at(self._probabilities, group[member], table.mean_probabilities[member])
        self._remember(table)

    def _remember(self, table: Table) -> None:
        agreed = (table.predictions == table.predictions[:, :1]).all(axis=1)
        suspected = agreed & (table.labels != UNKNOWN) & (table.predictions[:, -1] != table.labels)
        overthinking = table.overthinking
        for index, row in enumerate(table.rows()):
            self._hardest.offer(row["difficulty"], row)
            if overthinking[index]:
                self._overthought.offer(row["difficulty"], row)
            if suspected[index]:
                instead = int(table.predictions[index, -1])
                self._candidates.offer(float(table.mean_probabilities[index, instead]), (row, instead))

    @property
    def hardest(self) -> list[dict[str, Any]]:
        """See the class."""
        return self._hardest.items()

    @property
    def overthought(self) -> list[dict[str, Any]]:
        """See the class."""
        return self._overthought.items()

    @property
    def accuracy(self) -> float | None:
        """Accuracy at the operating point over the labelled clips, in [0, 1]; None without labels."""
        clips = int(self._counts["clips"].sum())
        return 1 - int(self._counts["errors"].sum()) / clips if self.labelled and clips else None

    @property
    def overthinking(self) -> int:
        """Clips that an earlier exit classifies correctly and the last does not."""
        return int(self._counts["overthinking"].sum())

    def classes(self) -> list[ClassFigures]:
        """Figures of each class that has clips, hardest first."""
        found = []
        for index in np.flatnonzero(self._counts["clips"]).tolist():
            clips = int(self._counts["clips"][index])
            others = self._probabilities[index] / clips
            others[index] = 0
            other = int(others.argmax())
            found.append(
                ClassFigures(
                    name=self.class_names[index],
                    clips=clips,
                    **{name: float(sums[index]) / clips for name, sums in self._sums.items()},
                    confused_with=self.class_names[other] if others[other] > 0 else "",
                    confusion=float(others[other]),
                    errors=int(self._counts["errors"][index]) if self.labelled else None,
                    overthinking=int(self._counts["overthinking"][index]) if self.labelled else None,
                )
            )
        return sorted(found, key=lambda each: (-each.difficulty, each.name))

    def suspects(self) -> list[Suspect]:
        """Clips whose label looks wrong, the most certain first; of the SUSPECTS surest candidates.

        Confident learning (Northcutt, Jiang and Chuang 2021, section 3.1): a clip of another label counts as class j if
        its probability of j is at least the mean of that probability over the clips labelled j. The probability is that
        of the mean probabilities, and, beyond the paper, every exit must predict j. The clips should not be those that
        the network was trained on: it has learned their labels, wrong ones too.
        """
        counts = self._counts["clips"]
        limits = np.where(counts > 0, self._probabilities.diagonal() / np.maximum(counts, 1), np.inf)
        return [
            Suspect(row["path"], row["label"], self.class_names[instead], probability)
            for probability, (row, instead) in self._candidates.ranked()
            if probability >= limits[instead]
        ]


class _Largest:
    """The items of the largest values, at most so many; of equal values the first that came."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, Any]] = []
        self._seen = 0

    def offer(self, value: float, item: Any) -> None:
        self._seen += 1
        entry = (value, -self._seen, item)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif self._size and entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[tuple[float, Any]]:
        return [(value, item) for value, _, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]

    def items(self) -> list[Any]:
        return [item for _, item in self.ranked()]
