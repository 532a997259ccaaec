"""Times of several backends from samples to probabilities, on the same clips, with warm or with cold caches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import machine
from bnn_exit.evaluation.passes import WARM_UP_CALLS, timed_path
from bnn_exit.evaluation.times import Clock
from bnn_exit.runtime.session import Session

FRONT_END = "front end"
Seconds = dict[str, npt.NDArray[np.float64]]
"""Row -> the seconds of its calls."""

Calls = Mapping[str, Callable[[Session, Any], object]]
"""Row -> a call on a waveform."""

BLOCK = 20
"""Clips of a turn with warm caches: the first ones after another backend are slower, for all that they share."""

_ASSUMED_CACHE_BYTES, _MOST_BYTES = 32 << 20, 256 << 20


def whole(setting: str) -> str:
    """The row of the front end and a setting together."""
    return f"{FRONT_END} + {setting}"


def path_times(
    sessions: Mapping[str, Session],
    waveforms: Sequence[Any],
    settings: Mapping[str, npt.ArrayLike],
    *,
    rounds: int,
    clocks: Mapping[str, Clock],
    calls: Calls | None = None,
    displace: Callable[[], object] | None = None,
) -> dict[str, Seconds]:
    """Backend -> the seconds of every row on every clip.

    Backends take turns, so that a slow moment of the machine affects all alike. With warm caches a turn is `BLOCK`
    clips long, and each clip goes through the path once untimed, as `measure` of `evaluation.passes` does it. With cold
    ones it is one clip long, and `displace` comes before every call.

    Args:
        sessions: by name of the backend.
        waveforms: the clips.
        settings: row -> thresholds [exits - 1]. Two more rows are made of them: `FRONT_END`, of the front end in every
            setting, and `whole`, of both. A file with the front end inside has neither.
        rounds: how often each clip is run.
        clocks: by name of the backend.
        calls: further rows.
        displace: empties the caches; None keeps them warm.
    """
    turns = {
        name: _Turn(session, settings, calls or {}, now=clocks[name], displace=displace)
        for name, session in sessions.items()
    }
    visits = [waveform for _ in range(rounds) for waveform in waveforms]
    block = BLOCK if displace is None else 1
    for start in range(0, len(visits), block):
        for turn in turns.values():
            turn.run(visits[start : start + block])
    return {name: {row: np.array(values) for row, values in turn.rows.items()} for name, turn in turns.items()}


class _Turn:
    """What one backend does with some clips, and the seconds of its rows so far."""

    def __init__(
        self,
        session: Session,
        settings: Mapping[str, npt.ArrayLike],
        calls: Calls,
        *,
        now: Clock,
        displace: Callable[[], object] | None,
    ) -> None:
        self._session, self._settings, self._calls = session, settings, calls
        self._now, self._displace = now, displace
        self._front_end = session.inputs if session.metadata.input == "log_mel" else None
        self.rows: dict[str, list[float]] = {}

    def run(self, waveforms: Sequence[Any]) -> None:
        """Time every row on these clips."""
        for number, waveform in enumerate(waveforms):
            if self._displace is None:
                for _ in range(1 if number else WARM_UP_CALLS):
                    self._path(waveform, (0.0,) * self._session.metadata.num_thresholds)
            for setting, thresholds in self._settings.items():
                if self._displace is not None:
                    self._displace()
                front_end_s, network_s = self._path(waveform, thresholds)
                self._add(setting, network_s)
                if self._front_end is not None:
                    self._add(FRONT_END, front_end_s)
                    self._add(whole(setting), front_end_s + network_s)
            for row, call in self._calls.items():
                self._add(row, self._timed(functools.partial(call, self._session, waveform)))

    def _path(self, waveform: Any, thresholds: npt.ArrayLike) -> tuple[float, float]:
        _, front_end_s, network_s = timed_path(
            waveform, thresholds, front_end=self._front_end, infer=self._session.infer, now=self._now
        )
        return front_end_s, network_s

    def _timed(self, call: Callable[[], object]) -> float:
        (self._displace or call)()
        begin = self._now()
        call()
        return self._now() - begin

    def _add(self, row: str, seconds: float) -> None:
        self.rows.setdefault(row, []).append(seconds)


def displacer() -> tuple[Callable[[], object], int]:
    """A walk over more memory than the last-level cache holds, which displaces what was in it; and its bytes."""
    size = min(2 * (machine.cache_bytes() or _ASSUMED_CACHE_BYTES), _MOST_BYTES)
    # Written to: pages of zeros that nothing wrote to are all the same one.
    buffer = np.ones(size // 8, np.int64)
    return buffer.sum, buffer.nbytes
