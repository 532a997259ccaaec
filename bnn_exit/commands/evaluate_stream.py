"""Measure a model file on recordings of any length: `python -m bnn_exit.evaluate MODEL --stream FILES`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bnn_exit import files, machine
from bnn_exit.audio.long_file import open_file
from bnn_exit.commands import listening_points
from bnn_exit.commands.measured_model import beside_model, is_shipped, model_of
from bnn_exit.display import json_line, show
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.evaluation.det_plot import det_plot
from bnn_exit.evaluation.stream_report import StreamReport, stream_report
from bnn_exit.evaluation.stream_table import stream_table
from bnn_exit.model_file.listening_points import ListeningPoint, how_to_make_one
from bnn_exit.pairs import zip_strict
from bnn_exit.progress import progress_bar
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.session import Session
from bnn_exit.runtime.stream import DEFAULT_POINT
from bnn_exit.settings.values import sound_features
from bnn_exit.streams.background import background_labels, simple_point
from bnn_exit.streams.counts import Truth
from bnn_exit.streams.distinct import check_distinct
from bnn_exit.streams.labelled import Word, read_events
from bnn_exit.streams.matching import TOLERANCE_S, check_tolerance
from bnn_exit.streams.recorded import Listened, listen
from bnn_exit.streams.replay import with_threshold
from bnn_exit.streams.transcripts import Utterance, read_utterances

THRESHOLD = 0.8
"""Of every label, for a file without a listening point."""
ROUNDING_S = 0.01
"""By so much may what a table says end after its recording: people and programs round times."""
METRICS, PICTURE = "stream_metrics.json", "stream_det.png"


def add_stream_options(arguments: argparse.ArgumentParser) -> None:
    """Add the options of `--stream`."""
    group = arguments.add_argument_group("recordings in place of a split")
    group.add_argument("--stream", nargs="+", metavar="FILE", help="audio files of any length")
    group.add_argument(
        "--events",
        metavar="TSV",
        help="labelled events: file, start_s, end_s, label; without it every event is a false accept",
    )
    group.add_argument(
        "--transcripts",
        metavar="TSV",
        help="utterances: stream, start, samples, transcript; an event is no false accept if its label is spoken then",
    )
    group.add_argument(
        "--listening-point",
        metavar="NAME",
        help=f"of the file, or a JSON file (default: {DEFAULT_POINT}, or its only one)",
    )
    group.add_argument("--operating-point", metavar="NAME", help="of the exits, in place of the listening point's")
    group.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help=f"of all labels (default: the point's; without one {THRESHOLD})",
    )
    group.add_argument("--background", metavar="A,B", help="labels that make no event, for a file without a point")
    group.add_argument(
        "--tolerance-s",
        type=float,
        metavar="S",
        help=f"how long after a word its event may come (default: {TOLERANCE_S:g})",
    )
    group.add_argument("--out", metavar="DIR", help="where figures and picture go (default: beside the model file)")


STREAM_ONLY = ("events", "transcripts", "listening_point", "operating_point", "threshold", "background", "tolerance_s")
"""Options that go with --stream alone, beside --out."""


def check_stream_options(options: argparse.Namespace) -> None:
    """ArgumentError for options that do not go with or without --stream."""
    for name in (*STREAM_ONLY, "out"):
        if options.stream is None and getattr(options, name) is not None:
            raise ArgumentError(f"--{name.replace('_', '-')} goes with --stream alone")
    if options.stream is not None:
        for name, usual in (("limit", None), ("split", "test"), ("data_dir", None)):
            if getattr(options, name) != usual:
                raise ArgumentError(f"--{name.replace('_', '-')} is of a split, and does not go with --stream")


def evaluate_stream(options: argparse.Namespace, *, command: str) -> int:
    """Measure, print and write; the exit status."""
    session = open_model(options.run, backend=options.backend)
    target = _targets(options)
    report = measure_stream(session, options, command=command)
    title = f"{Path(options.run).name}, {report.hours:.2f} hours, {report.labels['all'].words} words"
    if target is not None:
        files.write_json(target[0], report.to_dict())
    show(json_line(report.to_dict()) if options.json else stream_table(report))
    if target is not None:
        # Last: a board has no package that draws.
        det_plot(target[1], {report.point.name: report.det}, title=title)
        if not options.json:
            show(f"\nwrote {target[0]} and {target[1]}")
    return 0


def measure_stream(session: Session, options: argparse.Namespace, *, command: str = "") -> StreamReport:
    """The figures of a model on recordings.

    Raises:
        ArgumentError: a setting out of range, a listening point of another model.
        DataError: a recording or a table that cannot be used.
    """
    tolerance_s = check_tolerance(TOLERANCE_S if options.tolerance_s is None else options.tolerance_s)
    point = chosen_point(session, options)
    operating_point = options.operating_point or point.operating_point
    # Before hours of audio are listened to: what is wrong with the tables.
    truths = read_truths(session, options.stream, events=options.events, transcripts=options.transcripts, point=point)
    listened = listen_to_all(session, options.stream, point=point, operating_point=operating_point)
    return stream_report(
        listened,
        truths,
        point=point,
        operating_point=operating_point,
        labels=session.labels,
        costs=session.metadata.exits,
        backend=session.backend,
        provenance=machine.provenance(),
        tolerance_s=tolerance_s,
        command=command,
    )


def open_model(run: str, *, backend: str = "auto") -> Session:
    """The model file of a run, a file itself, or a model of the package."""
    # What is no folder is a file or a name, of which `load` knows those of the package and tells the nearest.
    session = runtime.load(model_of(run) if os.path.isdir(run) else run, backend=backend, threads=1)
    sound_features(session.metadata.features, what="--stream")
    return session


def chosen_point(session: Session, options: argparse.Namespace) -> ListeningPoint:
    """The listening point that was asked for, or a simple one for a file that has none."""
    point = listening_points.chosen_point(session, options.listening_point, name=options.run, needed=False)
    if point is None:
        background = None if options.background is None else options.background.split(",")
        threshold = THRESHOLD if options.threshold is None else options.threshold
        usual = DEFAULT_POINT if DEFAULT_POINT in session.operating_points else next(iter(session.operating_points), "")
        point = simple_point(
            session.metadata,
            threshold=threshold,
            operating_point=options.operating_point or usual,
            background=background,
        )
        left_out = ", ".join(background_labels(session.metadata, background)) or "none"
        _warn(
            f"note: the file has no listening point: every label has the threshold {threshold:g}, background is "
            f"{left_out}; {how_to_make_one(options.run)}"
        )
        return point
    if options.background is not None:
        raise ArgumentError(f"--background goes with a file without a listening point, but this one has {point.name!r}")
    return point if options.threshold is None else with_threshold(point, options.threshold)


def listen_to_all(
    session: Session,
    paths: Sequence[str],
    *,
    point: ListeningPoint,
    operating_point: str,
    warn: Callable[[str], None] | None = None,
) -> list[Listened]:
    """Listen to recordings, one after another, with a bar on a terminal."""
    report = _warn if warn is None else warn
    return [
        listen(session, path, point=point, operating_point=operating_point, warn=report)
        for path in progress_bar(paths, desc="recordings", unit="file")
    ]


def read_truths(
    session: Session,
    paths: Sequence[str],
    *,
    events: str | None,
    transcripts: str | None,
    point: ListeningPoint,
    needs: str = "transcript",
    what: str = "--stream",
) -> list[Truth]:
    """What is known of recordings, from the tables of labelled events and of utterances; errors as of the readers.

    Args:
        session: the model.
        paths: the recordings.
        events: the table of labelled events.
        transcripts: the table of utterances.
        point: whose labels are looked for.
        needs: as of `read_utterances`.
        what: as of `read_events`.
    """
    lengths, rates = [], []
    for path in paths:
        with open_file(path, sample_rate_hz=session.metadata.sound.sample_rate_hz) as file:
            lengths.append(file.seconds)
            rates.append(file.rate_hz)
    check_distinct(paths)
    words: list[tuple[Word, ...]] = [()] * len(paths)
    utterances: list[tuple[Utterance, ...]] = [()] * len(paths)
    if events is not None:
        silent = set(session.labels) - set(point.thresholds)
        words = read_events(events, files=paths, labels=session.labels, background=silent, what=what)
    if transcripts is not None:
        utterances = read_utterances(transcripts, files=paths, rates_hz=rates, needs=needs)
    for path, seconds, found, said in zip_strict(paths, lengths, words, utterances):
        tables: list[tuple[str | None, str, Sequence[Word | Utterance]]]
        tables = [(events, "event", found), (transcripts, "utterance", said)]
        for table, kind, spans in tables:
            last = max((each.end_s for each in spans), default=0.0)
            if last > seconds + ROUNDING_S:
                raise DataError(
                    f"{table}: an {kind} ends at {last:g} s, but {path} lasts {seconds:.2f} s: is the table of another "
                    "recording?"
                )
    return [Truth(*known) for known in zip_strict(lengths, words, utterances)]


def _targets(options: argparse.Namespace) -> tuple[Path, Path] | None:
    """Where figures and picture go; an error if they cannot, before hours of audio are listened to."""
    if options.out is not None:
        folder = files.expanded(options.out)
        folder.mkdir(parents=True, exist_ok=True)
        found = folder / METRICS, folder / PICTURE
    elif is_shipped(options.run):
        return None
    else:
        found = beside_model(options.run, METRICS), beside_model(options.run, PICTURE)
    if not os.access(found[0].parent, os.W_OK):
        raise DataError(f"{found[0].parent} cannot be written to: give a folder of yours with --out")
    return found


def _warn(line: str) -> None:
    show(line, file=sys.stderr)
