"""Write the report of a run: `python -m bnn_exit.report RUN`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bnn_exit import files
from bnn_exit.calibration.modes import modes_of_clips
from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands.measured_model import (
    MeasuredModel,
    SplitOptions,
    add_split_options,
    beside_model,
    command_line,
    is_shipped,
    measure_model,
    model_of,
)
from bnn_exit.commands.output_file import output_file
from bnn_exit.display import show, shown
from bnn_exit.evaluation.split import spread
from bnn_exit.report.page import page, plotting_library
from bnn_exit.report.source import Source
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime.session import Session

EPILOG = """\
examples:
  python -m bnn_exit.report runs/words
  python -m bnn_exit.report runs/words --split validation --out words.html
  python -m bnn_exit.report runs/words --data-dir DIR --limit 1000
  python -m bnn_exit.report runs/words/model_lean.tflite     (another file of the run; writes report_lean.html)
  python -m bnn_exit.report NAME --data-dir DIR              (a model of python -m bnn_exit.models)

Every clip goes through RUN/model.tflite once for each exit and once for each operating point, as evaluate does it. The
page holds the outputs of every exit for every clip: its sliders set the thresholds and update accuracy, exits, cost,
time and the confusion matrix. It also shows the calibration of each exit, the difficulty of each class, and clips to
listen to: the hardest, those that an early exit classifies correctly and the last does not, and doubtful labels.

The page is one file, needs no network, and stays below 10 MB up to some 100,000 clips. It holds recordings of the data
set: mind its licence when you pass it on.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.report",
        description="One HTML page about a trained model: thresholds to try, calibration, hard classes and clips.",
        epilog=EPILOG,
    )
    add_split_options(arguments)
    arguments.add_argument("--out", metavar="FILE", help="the page (default: RUN/report.html)")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    given = parser().parse_args(argv)
    options = SplitOptions.of(given)
    beside = f"{options.run}.html" if is_shipped(options.run) else beside_model(options.run, "report.html")
    out = output_file(given.out, Path(beside), run=RunFolder(model_of(options.run).parent))
    plotting_library()  # before the clips are run: that takes minutes
    data = page(source_of(options, command=command_line("report", argv))).encode(errors="backslashreplace")
    files.write_bytes(out, data)
    show(f"wrote {shown(out)} ({len(data) / 1e6:.1f} MB)")
    return 0


def source_of(options: SplitOptions, *, command: str = "") -> Source:
    """A measured pass of a model over a split, with its clips; arguments and errors as of `measure_model`."""
    measured = measure_model(options, command=command)
    session, task, report = measured.session, measured.task, measured.report
    clips = task.split(options.split)
    indices = spread(len(clips), options.limit)
    return Source(
        report=report,
        probabilities=measured.measurement.exit_probabilities,
        scores=measured.measurement.exit_scores,
        labels=measured.labels,
        costs=session.metadata.exits,
        names=[clips.ids[index] for index in indices],
        waveform=lambda clip: np.asarray(clips.waveform(int(indices[clip])), np.float32),
        features=task.features,
        about={
            "Policy": session.metadata.policy,
            "Thresholds": chosen_on(session),
            "Operating modes": _modes(measured),
            "Seed": "not known" if report.seed is None else str(report.seed),
            "Data": ", ".join(text for text in (task.attribution, task.licence) if text) or "unknown",
            "Command": command,
        },
    )


def _modes(measured: MeasuredModel) -> str:
    """How many operating modes the file has on these clips."""
    measurement = measured.measurement
    right = measurement.exit_probabilities.argmax(axis=-1) == measured.labels[:, None]
    found = modes_of_clips(measurement.exit_scores, right, measured.session.metadata.exits)
    return (
        f"{len(found.points)} Pareto-optimal, with thresholds chosen on these clips: accuracy spans "
        f"{100 * found.accuracy_span:.2f} points, ops a factor of {found.ops_ratio:.2f}"
    )


def chosen_on(session: Session) -> str:
    """Which clips chose the thresholds of the operating points."""
    splits = {(point.split, point.sample_count) for point in session.operating_points.values()}
    if not splits:
        return "the file has no operating points"
    return " and ".join(f"chosen on {count:,} clips of the {split} split" for split, count in sorted(splits))
