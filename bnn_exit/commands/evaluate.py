"""Measure a run's model file on real clips: `python -m bnn_exit.evaluate RUN`."""

from __future__ import annotations

import argparse

from bnn_exit import files
from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands.evaluate_stream import add_stream_options, check_stream_options, evaluate_stream
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
from bnn_exit.display import json_line, show
from bnn_exit.evaluation.draw import draw
from bnn_exit.evaluation.report import Report
from bnn_exit.evaluation.sweep import sweep
from bnn_exit.evaluation.table import table
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import POLICIES
from bnn_exit.runs.folder import MODEL, RunFolder

EPILOG = """\
examples:
  python -m bnn_exit.evaluate runs/words
  python -m bnn_exit.evaluate runs/words --data-dir DIR --backend reference --limit 50
  python -m bnn_exit.evaluate runs/words --split validation --json
  python -m bnn_exit.evaluate runs/words/model_lean.tflite   (another file of the run, as calibrate makes)
  python -m bnn_exit.evaluate NAME --data-dir DIR            (a model of python -m bnn_exit.models)
  python -m bnn_exit.evaluate runs/words --stream day.wav --events day.tsv     (recordings of any length)

RUN is a folder that `python -m bnn_exit.train --out RUN` wrote. Every clip goes through RUN/model.tflite once for each
exit and once for each operating point; the figures go to RUN/metrics.json, the plots to RUN/plots/; those of
RUN/model_NAME.tflite to RUN/metrics_NAME.json and RUN/plots_NAME/. Those of a model that comes with the package are
only printed. Each clip is timed from samples to probabilities: the front end, the network right after it, and both.
Times are of warm caches, because every clip goes through both once just before.

--stream counts events, not windows: misses, false accepts an hour with their bounds, delays, exits and cost; the
figures go to RUN/stream_metrics.json, the DET curve to RUN/stream_det.png. An event is a hit if its label is right and
it comes between the start of the word and its end + 1 s (--tolerance-s); a word is found once, and every other event is
a false accept.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.evaluate",
        description="Accuracy, exits, cost and time of an exported model, for every exit and operating point.",
        epilog=EPILOG,
    )
    add_split_options(arguments)
    add_stream_options(arguments)
    arguments.add_argument("--json", action="store_true", help="print the figures as JSON, not as a table")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    given = parser().parse_args(argv)
    check_stream_options(given)
    if given.stream is not None:
        return evaluate_stream(given, command=command_line("evaluate", argv))
    options = SplitOptions.of(given)
    report = evaluate(options, command=command_line("evaluate", argv))
    if given.json:
        show(json_line(report.to_dict()))
    else:
        show(table(report))
        if not is_shipped(options.run):
            show(f"\nwrote {beside_model(options.run, 'metrics.json')} and {beside_model(options.run, 'plots')}")
    return 0


def evaluate(options: SplitOptions, *, command: str = "") -> Report:
    """Measure a model file on a split, write metrics.json and plots/ beside it, and return the figures.

    Nothing is written for a model of the package. The logits of a whole split are stored in RUN/exit_logits/, for
    `bnn_exit.calibrate`. Arguments and errors as of `measure_model`.
    """
    measured = measure_model(options, command=command)
    run, report, points = options.run, measured.report, measured.measurement.points
    if is_shipped(run):
        return report
    files.write_json(beside_model(run, "metrics.json"), report.to_dict())
    # Validation logits come from training, with all exits; other files of a run may lack exits.
    own = model_of(run).name == MODEL and POLICIES[measured.session.metadata.policy].keeps_probabilities()
    if own and options.limit is None and options.split != "validation":
        RunFolder(model_of(run).parent).save_exit_logits(_exit_logits(measured, options.split))
    shown = "balanced" if "balanced" in points else list(points)[-1]
    curve = sweep(measured.measurement, measured.labels, costs=measured.session.metadata.exits)
    draw(beside_model(run, "plots"), report, curve, shown=shown)
    return report


def _exit_logits(measured: MeasuredModel, split: str) -> ExitLogits:
    return ExitLogits.from_probabilities(
        measured.measurement.exit_probabilities,
        labels=measured.labels,
        split=split,
        names=tuple(measured.task.split(split).ids),
        gate_scores=measured.measurement.exit_scores[:, -1] if measured.session.metadata.skips else None,
    )
