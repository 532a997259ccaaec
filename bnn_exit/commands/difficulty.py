"""How hard are these clips? `python -m bnn_exit.difficulty MODEL CLIPS...`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bnn_exit import files
from bnn_exit.command_line import Parser, add_workers_option, numbers, positive_int, run_command
from bnn_exit.commands.output_file import keep_runs
from bnn_exit.difficulty import page, sources
from bnn_exit.difficulty.clips import tables
from bnn_exit.difficulty.progress import Progress
from bnn_exit.difficulty.summary import Summary
from bnn_exit.difficulty.table import UNKNOWN, Table, columns
from bnn_exit.display import show, shown, to_cell
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.scoring import ClipCounts
from bnn_exit.text import counted
from bnn_exit.workers import cores

DEFAULT_OPERATING_POINT = "balanced"
SHOWN = 10

EPILOG = """\
examples:
  python -m bnn_exit.difficulty model.tflite clips/ --csv difficulty.csv --html difficulty.html
  python -m bnn_exit.difficulty model.tflite words/ --labels folders
  python -m bnn_exit.difficulty model.tflite list.txt --labels labels.csv --operating-point fast
  find /corpus -name '*.wav' | python -m bnn_exit.difficulty NAME - --csv difficulty.csv

CLIPS are audio files, folders, .txt files with one path a line, or - for such lines on standard input, any number of
them: they are read as they are needed, on all cores, and memory does not grow. A clip that cannot be used gives one
line on stderr; the others are still scored, and the exit status is 1. The first clip far below the level of speech
gives a warning; a count follows at the end, and for many clips how fast they were scored.

difficulty: entropy of the mean probabilities of the exits (exit k weighs 1/k) divided by ln(classes), from
0 (easy) to 1 (hard). It is the sum of uncertainty (exits are not sure) and disagreement (they are sure of different
classes).
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.difficulty",
        description="How hard is each clip, which classes are hard, and which labels look wrong?",
        epilog=EPILOG,
    )
    arguments.add_argument("model", metavar="MODEL", help="the model file, or a name of python -m bnn_exit.models")
    arguments.add_argument("clips", nargs="+", metavar="CLIPS", help="audio file, folder, list (.txt), or - for stdin")
    arguments.add_argument("--csv", metavar="FILE", help="write a row for each clip")
    arguments.add_argument("--html", metavar="FILE", help="write a page with classes and the clips worth a look")
    arguments.add_argument(
        "--labels",
        metavar="folders|FILE.csv",
        help="the true classes: the name of each clip's folder, or a CSV file with the columns path and label",
    )
    choice = arguments.add_mutually_exclusive_group()
    choice.add_argument(
        "--operating-point",
        metavar="NAME",
        default=DEFAULT_OPERATING_POINT,
        help=f"where a clip leaves: full, accurate, balanced or fast (default: {DEFAULT_OPERATING_POINT})",
    )
    choice.add_argument("--thresholds", type=numbers, metavar="T1,T2,...", help="one for each exit but the last")
    arguments.add_argument(
        "--keep", type=positive_int, default=100, metavar="N", help="how many of the hardest clips the page lists (100)"
    )
    arguments.add_argument(
        "--backend",
        default="auto",
        help="native, lce, reference, or auto: the first of these that is installed (default)",
    )
    add_workers_option(arguments)
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_intermixed_args(argv)
    _check(options)
    session = runtime.load(options.model, backend=options.backend)
    thresholds = session.model_file.thresholds(operating_point=options.operating_point, thresholds=options.thresholds)
    clips, labels = Progress(options.clips), None
    if options.labels is not None:
        labels = sources.Labels(options.labels, class_names=session.labels, log=clips.log)
    summary = Summary(session.labels, exits=session.exits, labelled=labels is not None, keep=options.keep)
    counts = ClipCounts()
    with _csv(options.csv, session.exits) as write:
        for table in tables(
            session,
            clips,
            thresholds=thresholds,
            counts=counts,
            report=clips.log,
            workers=options.workers or cores(),
            label_of=labels or (lambda name: UNKNOWN),
        ):
            summary.add(table)
            write(table)
        if not summary.clips:
            raise DataError(f"none of the clips could be used ({counts.failed} failed): nothing was written")
    point = options.operating_point if options.thresholds is None else ", ".join(f"{t:g}" for t in options.thresholds)
    if options.html:
        page.write(options.html, summary, model=options.model, point=point)
    show(summary_text(summary, model=options.model, point=point))
    for line in _counts(counts, labels):
        clips.log(line)
    return 1 if counts.failed or (labels is not None and labels.strange) else 0


def _check(options: argparse.Namespace) -> None:
    """ArgumentError for mistakes that are known before the first clip."""
    if options.labels is not None and options.labels != sources.FOLDERS and not os.path.isfile(options.labels):
        raise ArgumentError(
            f"--labels is {options.labels!r}, but must be {sources.FOLDERS!r} or a CSV file that is there"
        )
    written = [("--csv", options.csv), ("--html", options.html)]
    taken = {os.path.abspath(each): "the model" for each in [options.model]}
    taken |= {os.path.abspath(each): "among the clips" for each in options.clips}
    if options.labels:
        taken[os.path.abspath(options.labels)] = "--labels"
    for name, path in written:
        if path is None:
            continue
        if Path(path).is_dir():
            raise ArgumentError(f"{name} is {path!r}, which is a folder, but must be a file to write")
        place = os.path.abspath(path)
        if place in taken:
            raise ArgumentError(f"{name} is {path!r}, which is {taken[place]}, but must be a file to write")
        keep_runs(name, path, Path(path))
        taken[place] = name


@contextlib.contextmanager
def _csv(path: str | None, exits: int) -> Iterator[Callable[[Table], Any]]:
    """What writes the rows of a table, as they come, to a file that takes its place at the end."""
    if path is None:
        yield lambda table: None
        return
    with files.replacing(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)
        writer = csv.DictWriter(text, columns(exits))
        writer.writeheader()
        yield lambda table: writer.writerows(
            {name: to_cell(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in table.rows()
        )
        text.flush()
        text.detach()


def _counts(counts: ClipCounts, labels: sources.Labels | None) -> Iterator[str]:
    if labels is not None and labels.without:
        strange = sum(labels.strange.values())
        yield f"note: {labels.without} clips without a label ({strange} of them with one that the model does not know)"
    yield from counts.lines()


def summary_text(summary: Summary, *, model: str, point: str) -> str:
    """The figures for a terminal."""
    shares = " ".join(f"{100 * count / summary.clips:.1f}" for count in summary.exit_counts)
    mean = summary.difficulty / summary.clips
    lines = [
        f"{shown(model)}, thresholds {shown(point)}: {counted(summary.clips, 'clip')}, mean difficulty {mean:.4f}",
        f"clips that leave at each exit (%): {shares}",
    ]
    if summary.accuracy is not None:
        lines.append(f"accuracy {100 * summary.accuracy:.2f} %, overthinking {summary.overthinking} clips")
    width = max(len("class"), *(len(shown(each.name)) for each in summary.classes()), 0) if summary.classes() else 5
    lines += ["", f"{'class':<{width}} {'clips':>7} {'difficulty':>10} {'uncertainty':>11}  most confused with"]
    for each in summary.classes():
        confused = f"{shown(each.confused_with)} ({each.confusion:.3f})" if each.confused_with else "none"
        figures = f"{each.clips:>7} {each.difficulty:>10.4f} {each.uncertainty:>11.4f}"
        lines.append(f"{shown(each.name):<{width}} {figures}  {confused}")
    lines += ["", "hardest clips"]
    for row in summary.hardest[:SHOWN]:
        label = f", labelled {shown(row['label'])}" if row["label"] is not None else ""
        lines.append(
            f"{row['difficulty']:.4f}  {shown(row['path'])}  {shown(row['prediction'])} at exit {row['exit']}{label}"
        )
    suspects = summary.suspects() if summary.labelled else []
    if suspects:
        lines += ["", f"labels that look wrong: {len(suspects)}"]
        for suspect in suspects[:SHOWN]:
            lines.append(
                f"{suspect.probability:.4f}  {shown(suspect.name)}  {shown(suspect.label)}, "
                f"but every exit predicts {shown(suspect.instead)}"
            )
    return "\n".join(lines)
