"""Shared by `evaluate` and `report`: runs a model file over a split of its data."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import audio_tasks
from audio_tasks.base import Task
from audio_tasks.split import SPLITS
from bnn_exit import pretrained
from bnn_exit.command_line import positive_int
from bnn_exit.errors import ArgumentError, DataError, nearest, one_of
from bnn_exit.evaluation.passes import Measurement
from bnn_exit.evaluation.report import Report
from bnn_exit.evaluation.split import measure_split
from bnn_exit.runs.folder import MODEL, RunFolder
from bnn_exit.runtime import session as runtime
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.run import CONFIG


@dataclasses.dataclass(frozen=True)
class SplitOptions:
    """Which model, and which clips on which backend.

    Attributes:
        run: folder of a training run, with config.json and model.tflite; or another model file in one; or the name of a
            model that comes with the package.
        split: "train", "validation" or "test".
        data_dir: takes the place of the data folder in the configuration; a model of the package has none.
        negatives: takes the place of the folder of negatives, likewise.
        backend: "auto" or a name in `runtime.backends.BACKENDS`.
        limit: measure only this many clips, evenly spread over the split.
    """

    run: str
    split: str = "test"
    data_dir: str | None = None
    negatives: str | None = None
    backend: str = "auto"
    limit: int | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> SplitOptions:
        """From command-line options; ArgumentError for an unknown split."""
        one_of("--split", options.split, SPLITS)
        return cls(**{field.name: getattr(options, field.name) for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class MeasuredModel:
    """A model file that was run over a split.

    Attributes:
        session: the model.
        task: its data.
        measurement: every clip at every exit and operating point.
        labels: int64 [clips], true labels.
        report: the figures.
    """

    session: runtime.Session
    task: Task
    measurement: Measurement
    labels: np.ndarray
    report: Report


def add_split_options(arguments: argparse.ArgumentParser) -> None:
    """Add the options of commands that run a model over a split."""
    arguments.add_argument(
        "run",
        type=pretrained.by_name,
        metavar="RUN",
        help="folder of a training run, a model file in one, or a name of bnn_exit.models",
    )
    arguments.add_argument("--split", default="test", help=f"{', '.join(SPLITS)} (default: test)")
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    arguments.add_argument("--negatives", metavar="DIR", help="where the negatives are, if they have moved since then")
    arguments.add_argument(
        "--backend",
        default="auto",
        help="native, lce, reference, or auto: the first of these that is installed (default)",
    )
    arguments.add_argument("--limit", type=positive_int, metavar="N", help="only N clips, spread over the split")


def command_line(command: str, argv: Sequence[str] | None) -> str:
    """The command line, for the record."""
    return shlex.join(["python", "-m", f"bnn_exit.{command}", *(sys.argv[1:] if argv is None else argv)])


def measure_model(options: SplitOptions, *, command: str = "") -> MeasuredModel:
    """Run a split through a model file.

    Args:
        options: which model, and which clips.
        command: command line, for the record.

    Raises:
        ArgumentError: a model of the package without `data_dir` or, if it was trained with negatives, without them; or
            data with other labels than the model.
        DataError: a file of the run is missing, or the run is not binary.
        ModelFileError: the model file is damaged, or a clip does not leave at the forced exit.
    """
    session, task, seed = _open_shipped(options) if is_shipped(options.run) else _open_of_run(options)
    measurement, labels, report = measure_split(session, task, split=options.split, limit=options.limit)
    return MeasuredModel(session, task, measurement, labels, dataclasses.replace(report, seed=seed, command=command))


def is_shipped(run: str) -> bool:
    """Whether `run` names a model that comes with the package; a folder of that name has priority."""
    return not Path(run).exists() and run in pretrained.models()


def model_of(run: str) -> Path:
    """The model file that `run` means: itself, or model.tflite of the folder."""
    return Path(run) if run.endswith(".tflite") else Path(run) / MODEL


def beside_model(run: str, name: str) -> Path:
    """Where a result about a model goes: `metrics.json` of model.tflite, `metrics_NAME.json` of model_NAME.tflite.

    The latter also of NAME.tflite, a file that is called otherwise.
    """
    model, plain = model_of(run), Path(name)
    own = model.stem.removeprefix(Path(MODEL).stem)
    joint = "_" if own == model.stem else ""
    return model.with_name(f"{plain.stem}{joint}{own}{plain.suffix}")


def _open_of_run(options: SplitOptions) -> tuple[runtime.Session, Task, int | None]:
    run, model = RunFolder(model_of(options.run).parent), model_of(options.run)
    try:
        run.require_folder()
    except ArgumentError as error:
        # It may be a name of the package that was mistyped.
        raise ArgumentError(f"{error}{nearest(options.run, pretrained.models())}") from None
    if options.run.endswith(".tflite") and not model.exists() and not (run.path / CONFIG).exists():
        raise ArgumentError(f"there is no file {model}{nearest(model.stem, pretrained.models())}")
    config = run.config
    if config.model.precision != "binary":
        raise DataError(
            f"{run} is a run of precision {config.model.precision!r}, which has no model.tflite to measure: give a "
            "binary run; accuracy on validation is in history.json and operating_points.json"
        )
    session = runtime.load(_file(run, model.name), backend=options.backend, threads=1)
    task = audio_tasks.load_again(config.task, data_dir=options.data_dir, negatives=options.negatives)
    return session, task, config.training.seed


def _open_shipped(options: SplitOptions) -> tuple[runtime.Session, Task, int | None]:
    name = options.run
    entry = pretrained.models()[name]
    if options.data_dir is None:
        raise ArgumentError(f"--data-dir is missing: give the data of {name}, {entry.attribution}")
    session = runtime.load(name, backend=options.backend, threads=1)
    task = shipped_task(name, data_dir=options.data_dir, negatives=options.negatives)
    return session, task, entry.training["seed"]


def shipped_task(name: str, *, data_dir: str, negatives: str | None) -> Task:
    """The data of a model of the package; ArgumentError for negatives that are missing or one too many."""
    entry = pretrained.models()[name]
    if entry.negatives and negatives is None:
        raise ArgumentError(
            f"--negatives is missing: give the folder {entry.negatives!r} of long recordings that {name} was trained "
            f"with, {entry.attribution.rpartition('negatives: ')[2]}"
        )
    if negatives is not None and not entry.negatives:
        raise ArgumentError(f"--negatives is {negatives!r}, but {name} was trained without any: leave them out")
    features = FeatureConfig.from_dict(dict(entry.features))
    moved = {"data_dir": data_dir, **({"negatives": negatives} if negatives is not None else {})}
    return audio_tasks.load(entry.task, features=features, **{**entry.options, **moved})


def _file(run: RunFolder, name: str) -> Path:
    path = run.path / name
    if not path.is_file():
        others = " or ".join(str(path) for path in sorted(run.path.glob("*.tflite"))) or "a run with model.tflite"
        own = f"python -m bnn_exit.train --resume {run} makes it"
        raise DataError(f"{run} has no {name}: {own if name == MODEL else f'give {others}'}")
    return path
