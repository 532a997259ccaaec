"""The difficulty of clips: files or waveforms through a model file, in one table or in tables of a few clips."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.difficulty.table import UNKNOWN, Table, from_probabilities
from bnn_exit.errors import ArgumentError, BnnExitError, one_of
from bnn_exit.runtime.scoring import Clip, ClipCounts, ScoredClip, score_clip, score_clips
from bnn_exit.runtime.session import Session
from bnn_exit.text import counted
from bnn_exit.workers import OrderedMap

BATCH = 64
"""Clips in a table of `tables`: what is held in memory at once, beside one waveform."""


def estimate(
    session: Session,
    clips: Iterable[Clip | npt.ArrayLike],
    *,
    operating_point: str = "balanced",
    thresholds: npt.ArrayLike | None = None,
    labels: Sequence[str | None] | None = None,
    workers: int = 1,
) -> Table:
    """How hard each clip is, in one table; `tables` is for more clips than fit in memory as rows.

    Files of another sample rate than the model's are resampled, with one warning that counts them and quiet clips.

    Args:
        session: from `bnn_exit.load`. Each clip is run once for each exit.
        clips: paths of audio files, waveforms [samples] at the model's sample rate, which are called by their number,
            or pairs of a name and a waveform.
        operating_point: decides where a clip leaves.
        thresholds: [exits - 1], in place of an operating point.
        labels: for each clip the name of its true class, None where it is not known.
        workers: processes that run many clips: more is faster and takes more memory, the table is the same. With 1 it
            is this process alone. More are started as by `multiprocessing`, each of which imports the script: what
            begins its work must stand below `if __name__ == "__main__":`.

    Raises:
        ArgumentError: an unknown operating point or label, no list of clips or none in it, a waveform that is empty or
            holds NaN, or no possible number of workers.
        DataError: an audio file that cannot be used.
        BnnExitError: a worker was killed.

    Example:
        >>> if __name__ == "__main__":
        ...     table = estimate(session, paths, workers=os.cpu_count())
    """
    if isinstance(clips, (str, os.PathLike)) or (isinstance(clips, np.ndarray) and clips.ndim < 2):
        given = f"one array of shape {clips.shape}" if isinstance(clips, np.ndarray) else repr(os.fspath(clips))
        raise ArgumentError(f"clips is {given}, but must be a list")
    listed = [_named(index, clip) for index, clip in enumerate(clips)]
    if not listed:
        raise ArgumentError("clips is empty, but must hold at least one clip")
    if labels is not None and len(labels) != len(listed):
        raise ArgumentError(f"labels has {len(labels)} entries, but there are {counted(len(listed), 'clip')}")
    known = None if labels is None else [_class_of(session, label) for label in labels]
    limits = session.model_file.thresholds(operating_point=operating_point, thresholds=thresholds)
    counts, rows = ClipCounts(), []
    for _, row in OrderedMap(functools.partial(score_clip, session), listed, workers=workers):
        if isinstance(row, (BnnExitError, OSError)):
            raise row
        rows.append(row)
        counts.add(rows[-1], own_rate_hz=session.metadata.features.sample_rate_hz)
    if notes := list(counts.notes()):
        warnings.warn("; ".join(notes), stacklevel=2)
    return table_of(session, rows, limits, known)


def _named(index: int, clip: Clip | npt.ArrayLike) -> Clip:
    return clip if isinstance(clip, (str, os.PathLike, tuple, BnnExitError)) else (str(index), clip)


def _class_of(session: Session, label: str | None) -> int:
    return UNKNOWN if label is None else session.labels.index(one_of("label", label, session.labels))


def tables(
    session: Session,
    clips: Iterable[Clip],
    *,
    thresholds: npt.ArrayLike,
    counts: ClipCounts,
    report: Callable[[str], None],
    workers: int = 1,
    label_of: Callable[[str], int] = lambda name: UNKNOWN,
) -> Iterator[Table]:
    """Tables of up to BATCH clips each; arguments as of `scoring.score_clips`, and:

    Args:
        thresholds: [exits - 1].
        label_of: from a clip's name to its class, -1 if not known.
    """
    batch: list[ScoredClip] = []
    for row in score_clips(session, clips, counts=counts, report=report, workers=workers):
        batch.append(row)
        if len(batch) == BATCH:
            yield table_of(session, batch, thresholds, [label_of(each.name) for each in batch])
            batch = []
    if batch:
        yield table_of(session, batch, thresholds, [label_of(each.name) for each in batch])


def table_of(session: Session, clips: Sequence[ScoredClip], thresholds: npt.ArrayLike, labels: Any = None) -> Table:
    """The rows of clips that were scored; arguments as `from_probabilities`."""
    return from_probabilities(
        np.stack([each.probabilities for each in clips]),
        np.array([each.scores for each in clips]),
        thresholds=thresholds,
        skips=session.metadata.skips,
        labels=labels,
        names=[each.name for each in clips],
        class_names=session.labels,
    )
