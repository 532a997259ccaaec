"""Clips of any number, one after another, through a model file: every exit's answer, in tables of a few clips."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from bnn_exit.artifact import Artifact
from bnn_exit.audio import wav
from bnn_exit.audio.level import quietness
from bnn_exit.difficulty.table import UNKNOWN, Table, from_probabilities
from bnn_exit.errors import ArgumentError, ArtifactError, BnnExitError, memory_for, one_of
from bnn_exit.policies import rule
from bnn_exit.runtime.session import Session

BATCH = 64
"""Clips in a table of a stream: what is held in memory at once, beside one waveform."""

Clip = Union[str, "os.PathLike[str]", tuple[str, npt.ArrayLike], BnnExitError]
"""A path; a name and a waveform [samples] at the model's sample rate; or why there is no clip in this place."""


@dataclasses.dataclass
class Heard:
    """What happened to the clips of a stream.

    Attributes:
        scored: clips with a row.
        failed: clips that could not be used.
        resampled: sample rate in Hz -> scored clips that had it in place of the model's.
        quiet: scored clips far below the level of speech.
    """

    scored: int = 0
    failed: int = 0
    resampled: dict[int, int] = dataclasses.field(default_factory=dict)
    quiet: int = 0

    def add(self, row: _Heard, *, own_rate_hz: int) -> bool:
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
            yield f"{clips} of {self.scored} clips were resampled from {rate} Hz"
        if self.quiet:
            yield f"{self.quiet} of {self.scored} clips are far below the level of speech, where networks fail"

    def lines(self) -> Iterator[str]:
        """What a command tells at the end."""
        for note in self.notes():
            yield f"note: {note}"
        if self.failed:
            yield f"error: {self.failed} of {self.failed + self.scored} clips could not be used"


def chosen_thresholds(
    artifact: Artifact, *, operating_point: str = "balanced", thresholds: npt.ArrayLike | None = None
) -> npt.NDArray[np.float32]:
    """The thresholds [exits - 1] that an operating point's name or the numbers themselves stand for.

    Raises:
        ArgumentError: an unknown operating point, or thresholds of the wrong number or out of range.
    """
    points, exits = artifact.metadata.operating_points, len(artifact.metadata.exits)
    if thresholds is None:
        if not points:
            raise ArgumentError(f"{artifact.path} has no operating points: give {exits - 1} thresholds")
        thresholds = points[one_of("operating point", operating_point, points)].thresholds
    return rule.check_thresholds(thresholds, exits=exits)


def estimate(
    session: Session,
    clips: Iterable[Clip | npt.ArrayLike],
    *,
    operating_point: str = "balanced",
    thresholds: npt.ArrayLike | None = None,
    labels: Sequence[str | None] | None = None,
) -> Table:
    """How hard each clip is, in one table; `stream` is for more clips than fit in memory as rows.

    Files of another sample rate than the model's are resampled, with one warning that counts them and quiet clips.

    Args:
        session: from `bnn_exit.load`. Each clip is run once for each exit.
        clips: paths of audio files, waveforms [samples] at the model's sample rate, which are called by their number,
            or pairs of a name and a waveform.
        operating_point: decides where a clip leaves.
        thresholds: [exits - 1], in place of an operating point.
        labels: for each clip the name of its true class, None where it is not known.

    Raises:
        ArgumentError: an unknown operating point or label, no list of clips or none in it, or a waveform that is empty
            or holds NaN.
        DataError: an audio file that cannot be used.
    """
    if isinstance(clips, (str, os.PathLike)) or (isinstance(clips, np.ndarray) and clips.ndim < 2):
        given = f"one array of shape {clips.shape}" if isinstance(clips, np.ndarray) else repr(os.fspath(clips))
        raise ArgumentError(f"clips is {given}, but must be a list")
    listed = [_named(index, clip) for index, clip in enumerate(clips)]
    if not listed:
        raise ArgumentError("clips is empty, but must hold at least one clip")
    if labels is not None and len(labels) != len(listed):
        raise ArgumentError(f"labels has {len(labels)} entries, but there are {len(listed)} clips")
    known = None if labels is None else [_class_of(session, label) for label in labels]
    limits = chosen_thresholds(session.artifact, operating_point=operating_point, thresholds=thresholds)
    heard, rows = Heard(), []
    for clip in listed:
        rows.append(hear(session, clip))
        heard.add(rows[-1], own_rate_hz=session.metadata.features.sample_rate_hz)
    if notes := list(heard.notes()):
        warnings.warn("; ".join(notes), stacklevel=2)
    return table_of(session, rows, limits, known)


def _named(index: int, clip: Clip | npt.ArrayLike) -> Clip:
    return clip if isinstance(clip, (str, os.PathLike, tuple, BnnExitError)) else (str(index), clip)


def _class_of(session: Session, label: str | None) -> int:
    return UNKNOWN if label is None else session.labels.index(one_of("label", label, session.labels))


def stream(
    session: Session,
    clips: Iterable[Clip],
    *,
    thresholds: npt.ArrayLike,
    heard: Heard,
    tell: Callable[[str], None],
    label_of: Callable[[str], int] = lambda name: UNKNOWN,
) -> Iterator[Table]:
    """Tables of up to BATCH clips each. A clip that cannot be used is told in one line and left out.

    Args:
        session: from `bnn_exit.load`.
        clips: taken one by one, so they may be without end.
        thresholds: [exits - 1].
        heard: is counted up.
        tell: gets a line for each clip that failed, for the first of each other sample rate and for the first quiet
            one.
        label_of: from a clip's name to its class, -1 if not known.
    """
    batch: list[_Heard] = []
    for row in hear_all(session, clips, heard=heard, tell=tell):
        batch.append(row)
        if len(batch) == BATCH:
            yield table_of(session, batch, thresholds, [label_of(each.name) for each in batch])
            batch = []
    if batch:
        yield table_of(session, batch, thresholds, [label_of(each.name) for each in batch])


def hear_all(session: Session, clips: Iterable[Clip], *, heard: Heard, tell: Callable[[str], None]) -> Iterator[_Heard]:
    """What every exit says about each clip, one after another; arguments as `stream`."""
    own_rate = session.metadata.features.sample_rate_hz
    for clip in clips:
        try:
            row = hear(session, clip)
        except BnnExitError as error:
            heard.failed += 1
            tell(f"error: {error_line(error, clip)}")
            continue
        if heard.add(row, own_rate_hz=own_rate):
            tell(f"note: {row.name}: {row.rate_hz} Hz, resampled to the model's {own_rate} Hz")
        if row.quiet and heard.quiet == 1:
            tell(f"warning: {row.name}: {row.quiet}")
        yield row


@dataclasses.dataclass(frozen=True)
class _Heard:
    name: str
    rate_hz: int
    probabilities: npt.NDArray[np.float32]
    scores: list[float]
    quiet: str | None


def hear(session: Session, clip: Clip, *, data: bytes | None = None) -> _Heard:
    """What every exit says about one clip.

    Args:
        session: from `bnn_exit.load`.
        clip: a path, or a name and a waveform; an error in its place is raised.
        data: the audio file at this path, where it has been read already.

    Raises:
        DataError: an audio file that cannot be used, or too little memory for it.
        ArgumentError: a waveform that is empty, not one-dimensional or holds NaN.
        ArtifactError: the network gave no answer.
    """
    own_rate = session.metadata.features.sample_rate_hz
    if isinstance(clip, BnnExitError):
        raise clip
    if isinstance(clip, tuple):
        name, waveform, rate = str(clip[0]), clip[1], own_rate
    else:
        name = os.fspath(clip)
        wanted = {"sample_rate_hz": own_rate, "max_samples": session.metadata.clip_samples}
        recording = wav.load(name, **wanted) if data is None else wav.decode(data, name=name, **wanted)
        waveform, rate = recording.waveform, recording.rate_hz
    with memory_for(name):
        inputs = session.inputs(waveform)
        answers = [
            session.run(inputs, rule.forcing_thresholds(index, exits=session.exits)) for index in range(session.exits)
        ]
    probabilities, scores = [], []
    for index, (said, left_at, score) in enumerate(answers):
        if left_at != index or not np.isfinite(said).all():
            raise ArtifactError(
                f"{name}: exit {index + 1} was told to answer and gave none (exit {left_at + 1}, score {score}): "
                "the model's weights are damaged, export it again"
            )
        probabilities.append(said)
        # A file may give a certain exit -0.0.
        scores.append(score + 0.0)
    return _Heard(
        name, rate, np.stack(probabilities), scores, quietness(waveform, normalised=session.metadata.normalises_level)
    )


def error_line(error: BnnExitError, clip: Clip) -> str:
    """The error in one line that names the clip."""
    message = " ".join(str(error).split())
    name = "" if isinstance(clip, BnnExitError) else str(clip[0]) if isinstance(clip, tuple) else os.fspath(clip)
    return message if name in message else f"{name}: {message}"


def table_of(session: Session, heard: Sequence[_Heard], thresholds: npt.ArrayLike, labels: Any = None) -> Table:
    """The rows of clips that were heard; arguments as `from_probabilities`."""
    return from_probabilities(
        np.stack([each.probabilities for each in heard]),
        np.array([each.scores for each in heard]),
        thresholds=thresholds,
        labels=labels,
        names=[each.name for each in heard],
        class_names=session.labels,
    )
