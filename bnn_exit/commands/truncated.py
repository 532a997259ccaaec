"""`python -m bnn_exit.export RUN --truncate N`: a static file that ends at an exit."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_exit import policies
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.operating_points import operating_points
from bnn_exit.command_line import positive_int
from bnn_exit.commands.bench import bench
from bnn_exit.commands.output_file import output_file
from bnn_exit.commands.validation_logits import SPLIT, validation_logits
from bnn_exit.display import show, shown
from bnn_exit.errors import ArgumentError, DataError, ModelFileError, describe_os_error
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import FULL, OperatingPoint
from bnn_exit.policies import Sizes
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime.backends import installed

if TYPE_CHECKING:
    from bnn_exit.conversion.to_lce import Export
    from bnn_exit.models.multi_exit import MultiExitModel

USUAL = "balanced"
"""The operating point of the adaptive file that truncated files are compared with."""

TRUNCATED = "truncated_{}"
"""Name of the file that ends at an exit, in `RunFolder.model_called`."""

_REPEATS = 200
"""Timed calls of each exit: a glance beside accuracy; `bnn_exit.bench` on the board measures."""

_DATA = ("data_dir", "negatives", "cache_dir")
"""Options that say where the data of a run is."""


def add_options(arguments: argparse.ArgumentParser) -> None:
    """Add `--truncate`, `--finetune` and where the data of a run is."""
    group = arguments.add_argument_group("a static file that ends at an exit")
    group.add_argument(
        "--truncate",
        type=positive_int,
        metavar="N",
        help="end at exit N, counted from 1: an earlier one is faster and smaller, and usually less accurate; the last "
        "one gives the plain network, without early exits",
    )
    group.add_argument(
        "--finetune",
        type=positive_int,
        metavar="EPOCHS",
        help="train the head of the exit for so many epochs first, stages frozen, and keep the best by validation: "
        "more may be more accurate, and takes longer (default: the head as it is)",
    )
    group.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    group.add_argument("--negatives", metavar="DIR", help="where the negatives are, if they have moved since then")
    group.add_argument("--cache-dir", metavar="DIR", help="cache of downloads and features (~/.cache/bnn_exit)")


def check_options(options: argparse.Namespace) -> None:
    """ArgumentError for options that do not go together."""
    for name in ("finetune", *_DATA):
        if getattr(options, name) is not None and options.truncate is None:
            raise ArgumentError(
                f"--{name.replace('_', '-')} is {getattr(options, name)!r}, but goes with --truncate N alone"
            )
    if options.truncate is not None and options.policy is not None:
        raise ArgumentError(
            f"--policy is {options.policy!r}, but a file that is truncated has one exit, where every clip leaves: "
            "leave it out"
        )


def make_truncated(run: RunFolder, options: argparse.Namespace) -> tuple[Export, Path]:
    """The file, checked, and where it goes. Nothing is written."""
    from bnn_exit.conversion.to_lce import make, require_binary

    require_binary(run.config.model.precision)
    number = options.truncate
    name = TRUNCATED.format(number) + (
        "" if options.input == run.config.task.features.inputs[0] else f"_{options.input}"
    )
    path = output_file(options.out, run.model_called(name), run=run)
    model = run.network()
    if number > model.num_exits:
        raise ArgumentError(f"--truncate is {number}, but the network of {run} has the exits 1 to {model.num_exits}")
    if number > 1 and model.chained:
        raise ArgumentError(
            f"--truncate is {number}, but that head reads the logits of the exit before: only exit 1 of such a network "
            "can stand alone"
        )
    if number == model.num_exits:
        show(f"note: exit {number} is the last one: the file is the plain network without early exits", file=sys.stderr)
    static, task = model.truncated(number - 1), run.config.task
    if options.finetune is None:
        data = {name: getattr(options, name) for name in _DATA}
        logits = validation_logits(run, **data)[0].select_exits([number - 1])
    else:
        task = _data(run, options)
        logits = _finetuned(static, task, run, epochs=options.finetune)
    # Programs ask for operating points by their names. Of one exit all of them are alike.
    policy = policies.fit(policies.DEFAULT)
    points = operating_points(logits, static.exit_costs().with_policy(policy, Sizes.of(logits)), policy=policy)
    return make(static, path, task=task, operating_points=points, input=options.input), path


def comparison(run: RunFolder, written: Path) -> str:
    """A row for the adaptive file of a run, its truncated files and the one just written: size, ops, time, accuracy.

    The time is of this machine, as `bench` takes it: front end and network, of the average clip. Another file that
    cannot be read has no row, and a note on stderr: it is no fault of the one just written.
    """
    paths = [run.model, *sorted(run.path.glob(f"{run.model_called(TRUNCATED.format('*')).name}")), written]
    files = [file for path in dict.fromkeys(paths) if path.is_file() if (file := _readable(path, written=written))]
    lines, full = [], max(file.metadata.exits[-1].ops for file in files)
    for file in files:
        points, times = file.metadata.operating_points, _exit_times(file)
        for name in (FULL, USUAL) if len(file.metadata.exits) > 1 else (FULL,):
            if name in points:
                lines.append(_row(file, points[name], times, full=full))
    width = max(len(name) for name, _ in lines)
    title = f"{'file':{width}s} {'bytes':>9s} {'ops':>10s} {'of all':>7s} {'us here':>8s} {'accuracy':>8s}  clips"
    return "\n".join([title, *(f"{name:{width}s} {figures}" for name, figures in lines)])


def _readable(path: Path, *, written: Path) -> reader.ModelFile | None:
    """A file, or None with a note if it is damaged and not the one just written."""
    try:
        return reader.read(path)
    except (ModelFileError, OSError) as error:
        if path == written:
            raise
        why = describe_os_error(error) if isinstance(error, OSError) else error
        show(f"note: left out of the table: {why}", file=sys.stderr)
        return None


def _exit_times(file: reader.ModelFile) -> tuple[float, ...] | None:
    """Microseconds of leaving at each exit; None if they could not be measured."""
    try:
        report = bench(str(file.path), backends=installed()[:1], repeats=_REPEATS, cold=False)
        return DeviceProfile.from_bench(report).mean_us
    except DataError:
        return None


def _row(
    file: reader.ModelFile, point: OperatingPoint, times: tuple[float, ...] | None, *, full: float
) -> tuple[str, str]:
    name = file.path.name + (f", {point.name}" if len(file.metadata.exits) > 1 else "")
    ops = point.mean_cost["ops"]
    spent = "-" if times is None else f"{sum(share * us for share, us in zip(point.exit_shares, times)):,.1f}"
    figures = f"{len(file.data):9,d} {ops:10,.0f} {100 * ops / full:6.1f}% {spent:>8s} {100 * point.accuracy:7.2f}%"
    return shown(name), f"{figures}  {point.sample_count} {shown(point.split)}"


def _data(run: RunFolder, options: argparse.Namespace) -> Any:
    import audio_tasks

    return audio_tasks.load_again(run.config.task, **{name: getattr(options, name) for name in _DATA})


def _finetuned(static: MultiExitModel, task: Any, run: RunFolder, *, epochs: int) -> ExitLogits:
    """Train the head; the logits of the validation clips."""
    from bnn_exit._keras import make_repeatable, set_seed
    from bnn_exit.training.calibrate import exit_logits_of
    from bnn_exit.training.frozen import fit_heads

    settings = run.config
    make_repeatable()
    set_seed(settings.training.seed)
    config = dataclasses.replace(settings.training, epochs=epochs, exit_weights=())
    history = fit_heads(static, task, heads=[0], config=config, augment=settings.augment)
    before, *after = (record["validation_accuracy"][0] for record in history)
    if max(after) > before:
        show(f"validation accuracy of the exit: {100 * before:.2f} % before, {100 * max(after):.2f} % after")
    else:
        show(f"no epoch was better on validation than the head as it was ({100 * before:.2f} %): it is kept")
    return exit_logits_of(static, task, split=SPLIT)
