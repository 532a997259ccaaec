"""The way of a chunk: checked, recognised, counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bnn_exit.listening.clips import RecentSound
from bnn_exit.listening.meter import Meter
from bnn_exit.listening.signal_watch import SignalWatch
from bnn_exit.listening.source import Chunk, Tell
from bnn_exit.listening.tally import Tally
from bnn_exit.text import counted

QUIET_S = 10.0
"""Sound from one line about lost samples to the next."""


class Stream(Protocol):
    """What is used of `bnn_exit.Stream`."""

    def windows(self, samples: NDArray[np.float32]) -> list[Any]:
        """The windows that the samples complete."""
        ...

    def reset(self, *, lost_samples: int = 0) -> None:
        """Begin again after a gap."""
        ...


class Listener:
    """Takes chunks to windows and events, and counts."""

    def __init__(
        self,
        stream: Stream,
        *,
        tally: Tally,
        tell: Tell,
        on_window: Callable[[Any], None],
        on_event: Callable[[Any], None],
        watch: SignalWatch | None = None,
        meter: Meter | None = None,
        recent: RecentSound | None = None,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        """
        Args:
            stream: the recognition, at the rate of the chunks.
            tally: is kept up to date.
            tell: is told what is wrong with the sound.
            on_window, on_event: are given each window, and each event after its window.
            watch, meter: see the sound.
            recent: keeps the sound for events.
            cpu_clock: seconds of processor time.
        """
        self._stream, self._tally, self._tell = stream, tally, tell
        self._on_window, self._on_event = on_window, on_event
        self._watch, self._meter, self._recent = watch, meter, recent
        self._cpu_clock = cpu_clock
        self._told_not_finite = False
        self._quiet_until = 0

    def run(self, chunks: Iterable[Chunk]) -> None:
        """All chunks of a source."""
        start = self._cpu_clock()
        for chunk in chunks:
            self.push(chunk)
            self._tally.cpu_s = self._cpu_clock() - start

    def push(self, chunk: Chunk) -> None:
        """One chunk."""
        if chunk.gap:
            self._gap(chunk.lost)
            self._tell_of_gap(chunk.lost)
        if not np.isfinite(chunk.samples).all():
            self._gap(len(chunk.samples))
            if not self._told_not_finite:
                self._tell("samples that are NaN or infinite are left out: check the driver of the microphone")
                self._told_not_finite = True
            return
        for line in self._watch.push(chunk.samples) if self._watch else []:
            self._tell(line)
        if self._recent:
            self._recent.push(chunk.samples)
        self._tally.samples += len(chunk.samples)
        for window in self._stream.windows(chunk.samples):
            self._take(window)
        if self._meter:
            self._meter.push(chunk.samples)

    def _gap(self, lost: int) -> None:
        self._tally.gaps += 1
        self._tally.lost += lost
        self._stream.reset(lost_samples=lost)
        if self._recent:
            self._recent.skip(lost)

    def _tell_of_gap(self, lost: int) -> None:
        # A machine that is too slow loses samples all the time. The summary counts all of them.
        if self._tally.samples + self._tally.lost < self._quiet_until:
            return
        self._quiet_until = self._tally.samples + self._tally.lost + round(QUIET_S * self._tally.rate_hz)
        told = f"{counted(lost, 'sample')} {'was' if lost == 1 else 'were'} lost"
        if not lost:
            told = "samples were lost, it is unknown how many"
        self._tell(f"{told}: recognition begins again after the gap")

    def _take(self, window: Any) -> None:
        if window.exit_index < 0:
            self._tally.gated += 1
        else:
            self._tally.left_at[window.exit_index] += 1
        self._on_window(window)
        if window.event is not None:
            self._tally.events[window.event.label] += 1
            self._on_event(window.event)
