"""Probabilities and scores of every exit for any number of clips."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Union

import numpy as np
import numpy.typing as npt

from bnn_exit.audio.level import quietness
from bnn_exit.errors import BnnExitError, ModelFileError, memory_for
from bnn_exit.runtime.clips import read_clip
from bnn_exit.runtime.session import Session
from bnn_exit.workers import OrderedMap, speed

Clip = Union[str, "os.PathLike[str]", tuple[str, npt.ArrayLike], BnnExitError]
"""A path; a name and a waveform [samples] or values [samples, channels] at the model's sample rate; or why there is no
clip in this place."""

MANY = 20
"""Clips from which on commands print how fast they were."""


@dataclasses.dataclass(frozen=True)
class ScoredClip:
    """The outputs of every exit for one clip.

    Attributes:
        name: what the clip is called.
        rate_hz: sample rate that it had.
        probabilities: float32 [exits, classes].
        scores: what each exit compares with its threshold; low is certain.
        quiet: why the clip is too quiet, or None.
    """

    name: str
    rate_hz: float
    probabilities: npt.NDArray[np.float32]
    scores: list[float]
    quiet: str | None


@dataclasses.dataclass
class ClipCounts:
    """How many clips were scored, failed, were resampled or are quiet, and how long it took.

    Attributes:
        scored: clips with a row.
        failed: clips that could not be used.
        resampled: sample rate in Hz other than the model's -> scored clips of this rate.
        quiet: scored clips far below the level of speech.
        seconds: from the first clip on.
        workers: processes that scored them.
    """

    scored: int = 0
    failed: int = 0
    resampled: dict[float, int] = dataclasses.field(default_factory=dict)
    quiet: int = 0
    seconds: float = 0.0
    workers: int = 1

    def add(self, row: ScoredClip, *, own_rate_hz: float) -> bool:
        """Count a scored clip; whether it is the first of a sample rate that is not the model's."""
        self.scored += 1
        self.quiet += row.quiet is not None
        if row.rate_hz == own_rate_hz:
            return False
        self.resampled[row.rate_hz] = self.resampled.get(row.rate_hz, 0) + 1
        return self.resampled[row.rate_hz] == 1

    def notes(self) -> Iterator[str]:
        """What was resampled, by sample rate, and how many clips are quiet."""
        for rate, clips in sorted(self.resampled.items()):
            yield f"{clips} of {self.scored} clips were resampled from {rate:g} Hz"
        if self.quiet:
            yield f"{self.quiet} of {self.scored} clips are far below the level of speech, where networks fail"

    def lines(self) -> Iterator[str]:
        """The lines that a command prints at the end."""
        for note in self.notes():
            yield f"note: {note}"
        if self.failed:
            yield f"error: {self.failed} of {self.failed + self.scored} clips could not be used"
        if self.scored > MANY:
            yield speed(self.scored, "clip", seconds=self.seconds, workers=self.workers)


def score_clips(
    session: Session,
    clips: Iterable[Clip],
    *,
    counts: ClipCounts,
    report: Callable[[str], None],
    workers: int = 1,
) -> Iterator[ScoredClip]:
    """Score clips, in their order. A clip that cannot be used is reported in one line and left out.

    Args:
        session: from `bnn_exit.load`.
        clips: read as they are needed, so the iterator may be endless.
        counts: updated for each clip.
        report: gets a line for each clip that failed, for the first of each other sample rate and for the first quiet
            one.
        workers: processes, as for `OrderedMap`.
    """
    own_rate = session.metadata.features.sample_rate_hz
    rows = OrderedMap(functools.partial(score_clip, session), clips, workers=workers)
    begin = time.perf_counter()
    for clip, row in rows:
        counts.seconds, counts.workers = time.perf_counter() - begin, rows.workers
        if isinstance(row, BnnExitError):
            counts.failed += 1
            report(f"error: {error_line(row, clip)}")
            continue
        if isinstance(row, OSError):
            raise row
        if counts.add(row, own_rate_hz=own_rate):
            report(f"note: {row.name}: {row.rate_hz:g} Hz, resampled to the model's {own_rate:g} Hz")
        if row.quiet and counts.quiet == 1:
            report(f"warning: {row.name}: {row.quiet}")
        yield row


def score_clip(session: Session, clip: Clip, *, data: bytes | None = None) -> ScoredClip:
    """Run one clip through every exit.

    Args:
        session: from `bnn_exit.load`.
        clip: a path, or a name and a waveform; an error in its place is raised.
        data: the bytes of the file at this path, where it has been read already.

    Raises:
        DataError: a file that cannot be used, or too little memory for it.
        ArgumentError: a waveform that is empty, not one-dimensional or holds NaN.
        ModelFileError: a clip does not leave at the forced exit, or an exit gives NaN.
    """
    own_rate = session.metadata.features.sample_rate_hz
    if isinstance(clip, BnnExitError):
        raise clip
    if isinstance(clip, tuple):
        name, waveform, rate = str(clip[0]), clip[1], own_rate
    else:
        name = os.fspath(clip)
        waveform, rate = read_clip(session.metadata, name, data=data)
    with memory_for(name):
        inputs = session.inputs(waveform)
        exits = [session.infer_exit(inputs, index) for index in range(session.exits)]
    for index, (probabilities, score) in enumerate(exits):
        if not np.isfinite(probabilities).all():
            raise ModelFileError(
                f"{name}: exit {index + 1} gives NaN or infinity (score {score}): the weights in the file are damaged, "
                "export it again"
            )
    # A file may give a certain exit -0.0.
    scores = [score + 0.0 for _, score in exits]
    return ScoredClip(
        name,
        rate,
        np.stack([probabilities for probabilities, _ in exits]),
        scores,
        None if session.metadata.takes_values else quietness(waveform, normalised=session.metadata.normalises_level),
    )


def error_line(error: BnnExitError, clip: Clip) -> str:
    """The error in one line that names the clip."""
    message = " ".join(str(error).split())
    name = "" if isinstance(clip, BnnExitError) else str(clip[0]) if isinstance(clip, tuple) else os.fspath(clip)
    return message if name in message else f"{name}: {message}"
