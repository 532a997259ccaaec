"""Measure a run's model file on real clips: `python -m bnn_exit.evaluate RUN`."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path

import audio_tasks
from audio_tasks.base import Task
from audio_tasks.split import SPLITS
from bnn_exit import files, pretrained
from bnn_exit.command_line import Parser, positive_int
from bnn_exit.display import json_line, show
from bnn_exit.errors import ArgumentError, DataError, one_of, run_command
from bnn_exit.evaluation.draw import draw
from bnn_exit.evaluation.report import Report
from bnn_exit.evaluation.split import measure_split
from bnn_exit.evaluation.sweep import sweep
from bnn_exit.evaluation.table import table
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import POLICIES
from bnn_exit.runs.folder import MODEL, RunFolder
from bnn_exit.runtime import session as runtime
from bnn_exit.settings.features import FeatureConfig

EPILOG = """\
examples:
  python -m bnn_exit.evaluate runs/words
  python -m bnn_exit.evaluate runs/words --data-dir DIR --backend reference --limit 50
  python -m bnn_exit.evaluate runs/words --split validation --json
  python -m bnn_exit.evaluate runs/words/model_lean.tflite   (another file of the run, as calibrate makes)
  python -m bnn_exit.evaluate NAME --data-dir DIR            (a model of python -m bnn_exit.models)

RUN is a folder that `python -m bnn_exit.train --out RUN` wrote. Every clip goes through RUN/model.tflite once for each
exit and once for each operating point; the figures go to RUN/metrics.json, the plots to RUN/plots/; those of
RUN/model_NAME.tflite to RUN/metrics_NAME.json and RUN/plots_NAME/. Those of a model that comes with the package are
only printed.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.evaluate",
        description="Accuracy, exits, cost and time of an exported model, for every exit and operating point.",
        epilog=EPILOG,
    )
    add_split_options(arguments)
    arguments.add_argument("--json", action="store_true", help="print the figures as JSON, not as a table")
    return arguments


def add_split_options(arguments: argparse.ArgumentParser) -> None:
    """What commands that run a split through a model take: the model, and which clips on which backend."""
    arguments.add_argument(
        "run", metavar="RUN", help="folder of a training run, a model file in one, or a name of bnn_exit.models"
    )
    arguments.add_argument("--split", default="test", help=f"{', '.join(SPLITS)} (default: test)")
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    arguments.add_argument(
        "--backend",
        default="auto",
        help="native, lce, reference, or auto: the first of these that is installed (default)",
    )
    arguments.add_argument("--limit", type=positive_int, metavar="N", help="only N clips, spread over the split")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    one_of("--split", options.split, SPLITS)
    words = sys.argv[1:] if argv is None else argv
    report = evaluate(
        options.run,
        split=options.split,
        data_dir=options.data_dir,
        backend=options.backend,
        limit=options.limit,
        command=shlex.join(["python", "-m", "bnn_exit.evaluate", *words]),
    )
    if options.json:
        show(json_line(report.to_dict()))
    else:
        show(table(report))
        if not is_shipped(options.run):
            show(f"\nwrote {beside_model(options.run, 'metrics.json')} and {beside_model(options.run, 'plots')}")
    return 0


def evaluate(
    run: str,
    *,
    split: str = "test",
    data_dir: str | None = None,
    backend: str = "auto",
    limit: int | None = None,
    command: str = "",
) -> Report:
    """Measure RUN/model.tflite on a split, write RUN/metrics.json and RUN/plots/, and return the figures.

    What the exits say about a whole split is kept in RUN/answers/ as well, for `bnn_exit.calibrate`.

    Args:
        run: folder of a training run, with config.json and model.tflite; or another model file in one; or the name of a
            model that comes with the package, for which nothing is written.
        split: "train", "validation" or "test".
        data_dir: takes the place of the data folder in the configuration; a model of the package has none.
        backend: "auto" or a name in `runtime.backends.BACKENDS`.
        limit: measure only this many clips, evenly spread over the split.
        command: how this was called, for the record.

    Raises:
        ArgumentError: a model of the package without `data_dir`.
        DataError: a file of the run is missing, the run is not binary, or the data has other labels than the model.
        ModelFileError: the model file is damaged, or does not leave where it must.
    """
    session, task, seed = open_model(run, data_dir=data_dir, backend=backend)
    measurement, labels, report = measure_split(session, task, split=split, limit=limit)
    report = dataclasses.replace(report, seed=seed, command=command)
    if is_shipped(run):
        return report
    files.write_json(beside_model(run, "metrics.json"), report.to_dict())
    # Those of the validation split are the network's own, from its training; other files of a run may lack exits.
    own = model_of(run).name == MODEL and POLICIES[session.metadata.policy].keeps_probabilities()
    if own and limit is None and split != "validation":
        names = tuple(task.split(split).ids)
        found = ExitLogits.from_probabilities(measurement.exit_probabilities, labels=labels, split=split, names=names)
        RunFolder(model_of(run).parent).save_exit_logits(found)
    shown = "balanced" if "balanced" in measurement.points else list(measurement.points)[-1]
    curve = sweep(measurement, labels, costs=session.metadata.exits)
    draw(beside_model(run, "plots"), report, curve, shown=shown)
    return report


def is_shipped(run: str) -> bool:
    """Whether `run` names a model that comes with the package; a folder of that name goes first."""
    return not Path(run).exists() and run in pretrained.models()


def model_of(run: str) -> Path:
    """The model file that `run` means: itself, or model.tflite of the folder."""
    return Path(run) if run.endswith(".tflite") else Path(run) / MODEL


def beside_model(run: str, name: str) -> Path:
    """Where a result about a model goes: `metrics.json` of model.tflite, `metrics_NAME.json` of model_NAME.tflite."""
    model, plain = model_of(run), Path(name)
    return model.with_name(plain.stem + model.stem.removeprefix(Path(MODEL).stem) + plain.suffix)


def open_model(run: str, *, data_dir: str | None, backend: str = "auto") -> tuple[runtime.Session, Task, int | None]:
    """The model file of a run or of the package on a backend, its data, and the seed of its training.

    Arguments and errors as `evaluate`.
    """
    if is_shipped(run):
        return _open_shipped(run, data_dir=data_dir, backend=backend)
    folder = RunFolder(model_of(run).parent)
    config = folder.config
    if config.model.precision != "binary":
        raise DataError(
            f"{folder} is a run of precision {config.model.precision!r}, which has no model.tflite to measure: give a "
            "binary run; accuracy on validation is in history.json and operating_points.json"
        )
    session = runtime.load(_file(folder, model_of(run).name), backend=backend, threads=1)
    return session, audio_tasks.load_again(config.task, data_dir=data_dir), config.training.seed


def _open_shipped(name: str, *, data_dir: str | None, backend: str) -> tuple[runtime.Session, Task, int | None]:
    entry = pretrained.models()[name]
    if data_dir is None:
        raise ArgumentError(f"--data-dir is missing: give the data of {name}, {entry.attribution}")
    session = runtime.load(name, backend=backend, threads=1)
    options = {**entry.options, "data_dir": data_dir}
    task = audio_tasks.load(entry.task, features=FeatureConfig.from_dict(dict(entry.features)), **options)
    return session, task, entry.training["seed"]


def _file(run: RunFolder, name: str) -> Path:
    path = run.path / name
    if not path.is_file():
        others = " or ".join(str(path) for path in sorted(run.path.glob("*.tflite"))) or "a run with model.tflite"
        own = f"python -m bnn_exit.train --resume {run} makes it"
        raise DataError(f"{run} has no {name}: {own if name == MODEL else f'give {others}'}")
    return path
