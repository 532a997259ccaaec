"""Runs a model over recordings of any length and stores what its windows say."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bnn_exit.audio.long_file import BLOCK, LongFile, open_file
from bnn_exit.errors import DataError
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint
from bnn_exit.runtime.detector import Event
from bnn_exit.runtime.session import Session
from bnn_exit.runtime.stream import Stream, gate_of, hop_samples, windows_of
from bnn_exit.streams.windows import ExitWindows, Windows

MEMORY = 1 << 28
"""Bytes of stored windows of one recording that stay in memory; more go to a temporary file."""

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclasses.dataclass(frozen=True)
class Listened:
    """A recording that a stream has listened to.

    Attributes:
        name: path of the recording.
        seconds: its length.
        rate_hz: its own sample rate.
        windows: where each left, and what it said.
        events: of the detector.
        cpu_s: processor time of the stream, reading and decoding of the file left out.
    """

    name: str
    seconds: float
    rate_hz: int
    windows: Windows
    events: tuple[Event, ...]
    cpu_s: float


def listen(
    session: Session,
    path: str | os.PathLike[str],
    *,
    point: ListeningPoint,
    operating_point: str | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Listened:
    """Run a `Stream` over a recording.

    Args:
        session: the model.
        path: an audio file of any length and sample rate.
        point: how events are made, and how far windows are apart.
        operating_point: a name in the file, in place of the point's.
        warn: gets a line about a recording that is constant.

    Raises:
        DataError: a file that cannot be read, has NaN samples, or is shorter than a window.
        ArgumentError: a point of another model.
    """
    stream = Stream(session, listening_point=point, operating_point=operating_point)
    rate = session.metadata.sound.sample_rate_hz
    events: list[Event] = []
    with open_file(path, sample_rate_hz=rate) as file:
        count = _window_count(file, session, hop_samples(session, point.hop_ms))
        store = _Store((count, len(session.labels)))
        exits, cpu_s, number = np.zeros(count, np.int16), 0.0, 0
        for block in _watched(file, warn):
            begin = time.process_time()
            found = stream.windows(block)
            cpu_s += time.process_time() - begin
            for window in found:
                store.values[number], exits[number] = window.probabilities, window.exit_index
                events += [] if window.event is None else [window.event]
                number += 1
        windows = Windows(store.values, exits, point.hop_ms / 1000, session.metadata.clip_samples / rate)
        return Listened(file.name, file.seconds, file.rate_hz, windows, tuple(events), cpu_s)


@dataclasses.dataclass(frozen=True)
class Scored:
    """A recording whose windows went through every exit.

    Attributes:
        name, seconds, rate_hz: as of `Listened`.
        windows: at every exit.
    """

    name: str
    seconds: float
    rate_hz: int
    windows: ExitWindows


def score(
    session: Session,
    path: str | os.PathLike[str],
    *,
    hop_ms: float,
    gate: GateSettings | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Scored:
    """Run every window of a recording through every exit; arguments and errors as of `listen`."""
    metadata = session.metadata
    rate, hop = metadata.sound.sample_rate_hz, hop_samples(session, hop_ms)
    with open_file(path, sample_rate_hz=rate) as file:
        count = _window_count(file, session, hop)
        store = _Store((count, session.exits, len(session.labels)))
        scores, gated = np.zeros((count, session.exits), np.float32), np.zeros(count, np.bool_)
        for number, (inputs, is_open) in enumerate(_inputs(session, file, hop=hop, gate=gate, warn=warn)):
            for exit_index in range(session.exits):
                probabilities, uncertainty = session.infer_exit(inputs, exit_index)
                store.values[number, exit_index], scores[number, exit_index] = probabilities, uncertainty
            gated[number] = not is_open
        windows = ExitWindows(store.values, scores, gated, hop_ms / 1000, metadata.clip_samples / rate)
        return Scored(file.name, file.seconds, file.rate_hz, windows)


def _inputs(
    session: Session, file: LongFile, *, hop: int, gate: GateSettings | None, warn: Callable[[str], None]
) -> Iterator[tuple[Any, bool]]:
    """The network's input for each window, and whether the gate is open."""
    maker = windows_of(session, hop=hop)
    door = None if gate is None else gate_of(session, gate)
    for block in _watched(file, warn):
        for inputs, new_frames in maker.push(block):
            if door is not None and new_frames is not None:
                door.push(new_frames)
            yield inputs, door is None or door.is_open


def _watched(file: LongFile, warn: Callable[[str], None]) -> Iterator[Any]:
    """The blocks of a file; warns if all of its samples are one value."""
    low, high = np.inf, -np.inf
    for block in file.blocks(BLOCK):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        yield block
    if low == high:
        what = "only zeros" if low == 0 else f"the same value, {low:g}, throughout"
        warn(f"warning: {file.name} holds {what}: was the microphone on?")


def _window_count(file: LongFile, session: Session, hop: int) -> int:
    size = session.metadata.clip_samples
    if file.samples < size:
        raise DataError(
            f"{file.name} lasts {file.seconds:.2f} s, less than a window of {size / file.sample_rate_hz:g} s: there is "
            "nothing to listen to"
        )
    return (file.samples - size) // hop + 1


class _Store:
    """Float32 values in memory, or in a file without a name if there are many."""

    def __init__(self, shape: Sequence[int]) -> None:
        size = 4 * int(np.prod(shape))
        self.values: Any
        if size <= MEMORY:
            self.values = np.zeros(tuple(shape), np.float32)
        else:
            with tempfile.TemporaryFile() as file:
                self.values = np.memmap(file, np.float32, "w+", shape=tuple(shape))
