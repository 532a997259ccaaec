"""Adapt the early exits to a place, without labels: `python -m bnn_exit.adapt RUN --unlabelled CLIPS`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit import policies, pretrained
from bnn_exit.calibration.agreement import LOST, SPLIT, Agreement, agreement, answered
from bnn_exit.calibration.operating_points import describe
from bnn_exit.command_line import Parser, add_workers_option, count, positive_int, run_command
from bnn_exit.commands.field_logits import field_exit_logits
from bnn_exit.commands.measured_model import is_shipped
from bnn_exit.commands.output_file import output_file
from bnn_exit.commands.unlabelled import check_clips, check_count, log_mel_of
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import write_bytes, write_json
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import FULL, OperatingPoint, OperatingPoints
from bnn_exit.model_file.rewrite import with_points
from bnn_exit.policies import Sizes
from bnn_exit.policies.rejection import Rejection
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime.scoring import ClipCounts
from bnn_exit.settings.values import sound_features
from bnn_exit.text import counted
from bnn_exit.workers import cores

EPILOG = """\
examples:
  python -m bnn_exit.adapt runs/words --unlabelled field/
  python -m bnn_exit.adapt runs/words --unlabelled field/ --views 100 --out kitchen.tflite
  python -m bnn_exit.adapt runs/words --unlabelled field/ --replay 0       (the training clips are not at hand)
  python -m bnn_exit.adapt runs/words --unlabelled field/ --hidden 0               (the file keeps its size)
  python -m bnn_exit.adapt runs/words/model.tflite --unlabelled field/         (thresholds alone)

Where a device is used, sounds differ from those of training, and its early exits are unsure or wrong more often. This
command refits the heads of the early exits to what the last exit says about clips from there: audio files in a folder,
nested or flat, without labels, best some hundreds. They hold few words, so the training and validation clips of the run
are replayed with their background (--replay). These heads get a hidden layer, which lets them learn more and makes the
file larger (--hidden). Stages and last head stay as they are, so a clip that runs to the end gets the same label as
before.

Its measure is agreement: the share of clips that get the label of the full network, right or wrong. The file's
operating points lose at most as much of it as the usual ones lose of accuracy: balanced half a point. Every fifth clip
is held back from the training, for thresholds and figures.

Written are RUN/adapted.tflite, or --out, and a JSON file of the same name with the figures. The run stays as it is.
A model file in place of RUN has no weights that could be trained: its thresholds alone are chosen, on all clips, in a
copy of the file beside it. A clip that cannot be used gives one line on stderr, and the exit status is 1.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.adapt",
        description="Refit early exits to the last exit's own labels for unlabelled clips, and choose thresholds.",
        epilog=EPILOG,
    )
    arguments.add_argument(
        "run",
        type=pretrained.by_name,
        metavar="RUN",
        help="folder of a training run; or a model file or a name of bnn_exit.models, for thresholds alone",
    )
    arguments.add_argument("--unlabelled", metavar="CLIPS", required=True, help="folder with audio files")
    training = arguments.add_argument_group("training of the heads")
    training.add_argument(
        "--replay",
        type=count,
        metavar="N",
        help="versions of each training and validation clip that are learned from, each with the background of an "
        "unlabelled clip: more agrees better, slower, up to 1000; 0 learns from unlabelled clips alone (default: 6)",
    )
    training.add_argument(
        "--hidden",
        type=count,
        metavar="N",
        help="units of the hidden layer of each early head, at least two for each class: more agrees better, and makes "
        "the file larger and these exits slower; 0 adds none (default: 64, and two for each class where that is more)",
    )
    training.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    training.add_argument("--negatives", metavar="DIR", help="where the negatives are, if they have moved since then")
    training.add_argument("--cache-dir", metavar="DIR", help="where features are kept (default: BNN_EXIT_CACHE)")
    training.add_argument(
        "--views",
        type=positive_int,
        metavar="N",
        help="versions of each unlabelled clip that are learned from, changed in time, level and bands and mixed: more "
        "agrees better, slower, up to 1000; 1 takes clips as they are (default: 40)",
    )
    training.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help="passes over all versions: more agrees better, slower (default: 8)",
    )
    training.add_argument(
        "--learning-rate",
        type=float,
        metavar="X",
        help="peak of the cosine schedule: higher moves further from the trained heads (default: 0.003)",
    )
    training.add_argument(
        "--batch-size", type=positive_int, metavar="N", help="clips a step: fewer make more steps, slower (default: 64)"
    )
    training.add_argument(
        "--temperature", type=float, metavar="T", help="higher gives unlikely classes more weight (default: 1)"
    )
    training.add_argument("--seed", type=int, metavar="N", help="of the order of clips and their changes (default: 0)")
    add_workers_option(arguments, of=", where a model file is given")
    arguments.add_argument(
        "--out",
        metavar="FILE",
        help="the file to write (default: RUN/adapted.tflite, or of a file NAME_adapted.tflite)",
    )
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    is_file = os.path.isfile(options.run) or is_shipped(options.run)
    return (_adapt_file if is_file else _adapt_run)(options)


_TRAINING = ("views", "epochs", "learning_rate", "batch_size", "temperature", "seed")
_DATA = ("data_dir", "negatives", "cache_dir")
"""Where the training clips are."""
_RUN = (*_TRAINING, "replay", "hidden", *_DATA)
"""Options that go with a run alone."""


def _adapt_run(options: argparse.Namespace) -> int:
    if options.workers is not None:
        raise ArgumentError(f"--workers is {options.workers}, but goes with a model file alone")
    run = RunFolder(options.run)
    config, own = run.config, run.policy()
    features = sound_features(config.task.features, what="adapt")
    check_clips(options.unlabelled)
    out = output_file(options.out, run.path / "adapted.tflite", run=run, figures=True)
    from bnn_exit._keras import make_repeatable
    from bnn_exit.conversion.to_lce import make, require_binary
    from bnn_exit.models.hidden_layer import check_units
    from bnn_exit.training import adapt as training
    from bnn_exit.training.calibrate import network_exit_logits

    given = {name: value for name in _TRAINING if (value := getattr(options, name)) is not None}
    replays = training.REPLAYS if options.replay is None else options.replay
    for name in _DATA:
        if not replays and getattr(options, name) is not None:
            raise ArgumentError(f"--{name.replace('_', '-')} is for the training clips, but --replay 0 reads none")
    training.settings(**given, replays=replays)
    require_binary(config.model.precision)
    make_repeatable()
    model = run.network()
    training.check_exits(model)
    if options.hidden:
        check_units(options.hidden, model.num_classes, name="hidden")
    task, kind = config.task, policies.POLICIES[own["name"]]
    replay = _training_clips(config.task, options) if replays else None
    log_mel, failed = log_mel_of(options.unlabelled, features=features, clip_samples=task.clip_samples)
    aside = training.held_back(len(log_mel))
    background = tuple(own["background"]) if kind is Rejection else ()

    def exit_logits() -> ExitLogits:
        found = network_exit_logits(model, log_mel[aside], features=kind.needs_features)
        return dataclasses.replace(found, background=background)

    def figures(labelled: ExitLogits) -> Agreement:
        policy = policies.fit(kind.name, labelled)
        return agreement(labelled, model.exit_costs().with_policy(policy, Sizes.of(labelled)), policy=policy)

    labelled = answered(exit_logits())
    learning = np.count_nonzero(~aside)
    show(f"{counted(len(log_mel), 'clip')}: {learning} to learn from, {len(labelled)} held back", file=sys.stderr)
    before = figures(labelled)
    wide = model if options.hidden == 0 else model.with_hidden_layers(options.hidden)
    history = training.adapt(wide, log_mel, replay=replay, replays=replays, features=features, **given)
    if training.better(history):
        model = wide
    after = figures(dataclasses.replace(exit_logits(), labels=labelled.labels, split=labelled.split))
    made = make(model, out, task=task, operating_points=after.points, input=config.input)
    for note in made.parity.notes:
        show(f"warning: {note}", file=sys.stderr)
    values = {
        "clips": len(log_mel),
        "failed_clips": failed,
        "held_back_clips": len(labelled),
        "replayed_clips": 0 if replay is None else len(replay),
        "exit_ops": [cost.ops for cost in after.costs],
        "before": before.to_dict(),
        "after": after.to_dict(),
    }
    _write(out, made.data, values)
    show(_table(before, after, clips=len(labelled)))
    if worse := _worse(before, after):
        show(
            f"warning: on the {counted(len(labelled), 'clip')} held back, adapted exits are worse than before "
            f"({', '.join(worse)}): give more clips, or keep the file of the run",
            file=sys.stderr,
        )
    show(f"\nwrote {out} and {out.with_suffix('.json')}")
    return 1 if failed else 0


def _training_clips(task: Any, options: argparse.Namespace) -> np.ndarray:
    """The log-mel of the run's training and validation splits.

    Of voices that it was not trained on the last exit is less sure, as it is in the field.
    """
    import audio_tasks

    where = {name: getattr(options, name) for name in _DATA}
    try:
        found = audio_tasks.load_again(task, **where)
        return np.concatenate([found.log_mel("train"), found.log_mel("validation")])
    except DataError as error:
        raise DataError(f"{error}: --replay 0 learns from unlabelled clips alone") from error


def _table(before: Agreement, after: Agreement, *, clips: int) -> str:
    lines = [
        f"agreement with the last exit on {counted(clips, 'clip')} held back",
        f"{'exit':24s} {'before':>9s} {'after':>9s}",
    ]
    for index, (old, new) in enumerate(zip(before.exits, after.exits)):
        lines.append(f"{index + 1:<24d} {100 * old:8.2f}% {100 * new:8.2f}%")
    lines += ["", f"{'ops, of the whole network':24s} {'before':>8s} {'after':>9s}"]
    full = after.costs[-1].ops
    lines += [f"{name:24s} {100 * old / full:8.1f}% {100 * new / full:8.1f}%" for name, old, new in _ops(before, after)]
    return "\n".join(lines)


def _ops(before: Agreement, after: Agreement) -> list[tuple[str, float, float]]:
    """What is compared, and the ops of the average clip before and after."""
    rows = [
        (f"{100 * lost:g} point{'' if lost == 0.01 else 's'} lost", old, new)
        for lost, old, new in zip(LOST, before.ops, after.ops)
    ]
    return rows + [
        (name, before.points[name].mean_cost["ops"], point.mean_cost["ops"]) for name, point in after.points.items()
    ]


def _worse(before: Agreement, after: Agreement) -> list[str]:
    """Names of what the adapted exits do worse on the clips held back: less agreement, or more ops."""
    exits = [f"exit {k + 1}" for k, (old, new) in enumerate(zip(before.exits, after.exits)) if new < old]
    # Where every clip runs to the end, a hidden layer only costs.
    return exits + [f"ops at {name}" for name, old, new in _ops(before, after) if new > old and name != FULL]


def _adapt_file(options: argparse.Namespace) -> int:
    """Thresholds alone: a file has no weights that could be trained."""
    for name in _RUN:
        if getattr(options, name) is not None:
            raise ArgumentError(
                f"--{name.replace('_', '-')} is for the training of heads, but {options.run} is a model file, which "
                "cannot be trained: give the run that made it, or leave the option out"
            )
    file = reader.read(options.run)
    metadata = file.metadata
    sound_features(metadata.features, what="adapt")
    check_clips(options.unlabelled)
    if len(metadata.exits) < 2:
        raise ArgumentError(f"{file.path} has one exit, where every clip leaves: there is nothing to adapt")
    kind = policies.POLICIES[metadata.policy]
    if not kind.keeps_probabilities():
        raise ArgumentError(
            f"{file.path} has the policy {metadata.policy}, which changes the probabilities of the exits, so they "
            "cannot be compared: give the run that made the file"
        )
    usual = file.path.with_name(f"{file.path.stem}_adapted.tflite")
    out = output_file(options.out, usual, run=RunFolder(file.path.parent), figures=True)
    if out.resolve() == file.path.resolve():
        raise ArgumentError(f"--out is {options.out!r}, the file that is adapted, which stays as it is: choose another")
    if options.out is None and is_shipped(options.run):
        raise ArgumentError(f"{options.run} comes with the package, whose folder stays as it is: give --out FILE")
    show(
        f"{file.path} is a model file, whose exits cannot be trained: only thresholds are chosen (give the run that "
        "made it to refit its exits)",
        file=sys.stderr,
    )
    counts = ClipCounts()
    found = field_exit_logits(file.path, [options.unlabelled], counts=counts, workers=options.workers or cores())
    check_count(len(found))
    labelled, policy = answered(found), policies.from_dict(metadata.policy_dict)
    chosen = agreement(labelled, metadata.exits, policy=policy)
    before = {
        name: describe(name, point.thresholds, labelled, metadata.exits, policy=policy, max_accuracy_drop=0)
        for name, point in metadata.operating_points.items()
    }
    values = {
        "clips": len(found),
        "failed_clips": counts.failed,
        "exit_ops": [cost.ops for cost in metadata.exits],
        "before": {
            "operating_points": {
                name: dataclasses.replace(point, split=SPLIT).to_dict() for name, point in before.items()
            }
        },
        "after": chosen.to_dict(),
    }
    _write(out, with_points(file.path, chosen.points), values)
    show(_points_table(before, chosen.points, full=metadata.exits[-1].ops, clips=len(found)))
    show(f"\nwrote {out} and {out.with_suffix('.json')}")
    return 1 if counts.failed else 0


def _points_table(before: dict[str, OperatingPoint], after: OperatingPoints, *, full: float, clips: int) -> str:
    lines = [
        f"agreement with the last exit, and ops of the whole network, on {counted(clips, 'clip')}",
        f"{'point':24s} {'before':>18s} {'after':>18s}",
    ]
    for name, new in after.items():
        cells = [
            f"{100 * point.accuracy:8.2f}% {100 * point.mean_cost['ops'] / full:7.1f}%" if point else "-"
            for point in (before.get(name), new)
        ]
        lines.append(f"{name:24s} {cells[0]:>18s} {cells[1]:>18s}")
    return "\n".join(lines)


def _write(out: Path, data: bytes, values: dict[str, Any]) -> None:
    """The figures first: where the model is, everything is."""
    write_json(out.with_suffix(".json"), values)
    write_bytes(out, data)
