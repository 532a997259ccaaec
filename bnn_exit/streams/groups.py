"""Groups within which false accepts are not independent: the same speaker, or the same recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.streams import transcripts
from bnn_exit.streams.counts import Truth

_LEAST_S = 1.0
"""A rest of a recording that no utterance covers is a group of its own if it is longer."""


@dataclasses.dataclass(frozen=True)
class Groups:
    """Who speaks when in recordings.

    Attributes:
        names: of the groups, for messages.
        hours: [groups], how long each is.
        kind: "speakers" or "recordings".
    """

    names: tuple[str, ...]
    hours: npt.NDArray[np.float64]
    kind: str
    _spans: tuple[tuple[tuple[float, float, int], ...], ...]
    _rest: tuple[int, ...]

    @classmethod
    def of(cls, truths: Sequence[Truth]) -> Groups:
        """By the speakers of utterances; where nobody is known to speak, a recording is a group."""
        numbers: dict[str, int] = {}
        seconds: list[float] = []
        spans: list[list[tuple[float, float, int]]] = []
        rest: list[int] = []

        def number(name: str) -> int:
            if name not in numbers:
                numbers[name] = len(seconds)
                seconds.append(0.0)
            return numbers[name]

        spoken = False
        for index, truth in enumerate(truths):
            here, covered = [], 0.0
            speaking = (utterance for utterance in truth.utterances if utterance.speaker)
            for start, end, utterance in transcripts.spans(speaking, seconds=truth.seconds):
                group = number(f"speaker {utterance.speaker}")
                seconds[group] += end - start
                covered += end - start
                here.append((start, end, group))
                spoken = True
            left = truth.seconds - covered
            group = number(f"recording {index + 1}") if left > _LEAST_S or not here else here[0][2]
            seconds[group] += max(0.0, left)
            spans.append(here)
            rest.append(group)
        return cls(
            tuple(numbers),
            np.array(seconds) / 3600,
            "speakers" if spoken else "recordings",
            tuple(map(tuple, spans)),
            tuple(rest),
        )

    def __len__(self) -> int:
        """Groups."""
        return len(self.names)

    def count(self, times: Iterable[tuple[int, float]]) -> npt.NDArray[np.int64]:
        """Events of each group [groups], from (number of the recording, seconds) of each."""
        counts = np.zeros(len(self), np.int64)
        for recording, second in times:
            found = (group for start, end, group in self._spans[recording] if start <= second < end)
            counts[next(found, self._rest[recording])] += 1
        return counts
