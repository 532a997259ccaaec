"""The main job: `python -m bnn_exit.train --task speech_commands` trains, calibrates, exports and checks."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import audio_tasks
from bnn_exit import machine
from bnn_exit.artifact import INPUTS
from bnn_exit.command import Parser, positive_int
from bnn_exit.config import FeatureConfig
from bnn_exit.errors import ArgumentError, one_of, run_command
from bnn_exit.files import write_json

EPILOG = """\
examples:
  python -m bnn_exit.train --task synthetic --size small --epochs 8
  python -m bnn_exit.train --task speech_commands --data-dir DIR --out runs/words
  python -m bnn_exit.train --task speech_commands --words 12
  python -m bnn_exit.train --task esc10 --data-dir DIR --fold 1 --size small
  python -m bnn_exit.train --task folder --data-dir DIR        (one folder a class)
  python -m bnn_exit.train --task speech_commands --feature hop_ms=20 --feature window_ms=40 --feature fft_size=1024
  python -m bnn_exit.train --resume runs/words                 (after an interruption)

The run folder then holds model.tflite, the one file to deploy. Measure it on the test split with
  python -m bnn_exit.evaluate RUN
and classify a clip with
  python -m bnn_exit.predict RUN/model.tflite clip.wav
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments. Options of the network and the training default to None: the recipe decides."""
    arguments = Parser(
        prog="python -m bnn_exit.train",
        description="Train a binary network with early exits, choose its thresholds and export it as one file.",
        epilog=EPILOG,
    )
    data = arguments.add_argument_group("data")
    data.add_argument("--task", metavar="NAME", help=f"{', '.join(audio_tasks.TASKS)} (default: synthetic)")
    data.add_argument("--data-dir", metavar="DIR", help="folder with the data; without it the task downloads its own")
    data.add_argument("--words", metavar="12|all", help="speech_commands: 12 for ten words, unknown and silence")
    data.add_argument("--fold", type=int, metavar="1..5", help="esc10, esc50: the fold to test on")
    data.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="any other option of the task; repeatable"
    )
    data.add_argument(
        "--feature",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the log-mel features, such as hop_ms=20 or num_mels=40: coarser is faster, finer more "
        "accurate; repeatable (bnn_exit.FeatureConfig lists them)",
    )
    data.add_argument("--cache-dir", metavar="DIR", help="where downloads and features are kept (~/.cache/bnn_exit)")
    network = arguments.add_argument_group("network")
    network.add_argument("--backbone", metavar="NAME", help="kind of network (default: quicknet)")
    network.add_argument("--size", metavar="NAME", help="small, base or large: larger is more accurate, slower (base)")
    network.add_argument("--head", metavar="NAME", help="exit head: grid or pooled (default: grid)")
    training = arguments.add_argument_group("training")
    training.add_argument("--epochs", type=positive_int, help="passes over the data: more is more accurate, slower")
    training.add_argument("--batch-size", type=positive_int, help="clips a step")
    training.add_argument("--learning-rate", type=float, help="peak of the cosine schedule")
    training.add_argument("--optimizer", metavar="NAME", help="adam or bop (default: adam)")
    training.add_argument("--seed", type=int, help="of weights, order and augmentation (default: 0)")
    result = arguments.add_argument_group("result")
    result.add_argument("--out", metavar="RUN", help="run folder to make (default: runs/TASK-BACKBONE-SIZE-seedN)")
    result.add_argument("--resume", metavar="RUN", help="go on with an interrupted run, with its own settings")
    result.add_argument("--input", default="log_mel", help="what the file takes: log_mel (default) or waveform")
    result.add_argument("--tensorboard", action="store_true", help="write logs to RUN/tensorboard")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    one_of("--input", options.input, INPUTS)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "bnn_exit.train", *words])
    if options.resume is not None:
        return _resume(options, command)
    folder, task, config = _new_run(options)
    _write_start(folder, config, command)
    return _complete(folder, task, config, options, resume=False)


def _new_run(options: argparse.Namespace) -> tuple[Path, audio_tasks.Task, Any]:
    # Names and the output folder are checked before the data is touched, which may take long.
    from bnn_exit.models.multi_exit import ModelConfig
    from bnn_exit.training.recipes import default_settings
    from bnn_exit.training.runs import RunConfig, RunTask

    name = one_of("--task", options.task or "synthetic", audio_tasks.TASKS)
    model = ModelConfig.from_dict(_given(options, "backbone", "size", "head"))
    features = FeatureConfig.from_dict(_pairs("--feature", options.feature))
    settings = default_settings(name, model, features)
    training = dataclasses.replace(
        settings.training, **_given(options, "epochs", "batch_size", "learning_rate", "optimizer", "seed")
    )
    folder = Path(options.out or f"runs/{name}-{model.backbone}-{model.size}-seed{training.seed}")
    _check_new(folder)
    task = audio_tasks.load(
        name,
        data_dir=options.data_dir,
        features=features,
        cache_dir=options.cache_dir,
        **_given(options, "words", "fold"),
        **_pairs("--option", options.option),
    )
    return folder, task, RunConfig(RunTask.of(task), model, settings.augment, training)


def _resume(options: argparse.Namespace, command: str) -> int:
    from bnn_exit.training.runs import RunConfig

    fixed = {"data_dir", "cache_dir", "resume", "input", "tensorboard"}
    changed = [name for name, value in vars(options).items() if name not in fixed and value]
    if changed:
        raise ArgumentError(f"--{changed[0].replace('_', '-')} cannot change in a run that is resumed: leave it out")
    folder = Path(options.resume)
    config = RunConfig.load(folder)
    task_options = dict(config.task.options)
    if options.data_dir:
        task_options["data_dir"] = options.data_dir
    task = audio_tasks.load(
        config.task.name, features=config.task.features, cache_dir=options.cache_dir, **task_options
    )
    if task.labels != config.task.labels:
        raise ArgumentError(f"the data now has {len(task.labels)} other labels than {folder} was started with")
    return _complete(folder, task, config, options, resume=True)


def _complete(folder: Path, task: audio_tasks.Task, config: Any, options: argparse.Namespace, *, resume: bool) -> int:
    """Everything after the settings are known: train, calibrate, export, compare."""
    from bnn_exit._keras import make_repeatable, set_seed
    from bnn_exit.models.multi_exit import build
    from bnn_exit.training.deploy import deploy
    from bnn_exit.training.loop import fit

    # The same seed gives the same weights, interrupted or not.
    set_seed(config.training.seed)
    make_repeatable()
    model = build(**config.model.to_dict(), num_classes=task.num_classes, input_shape=task.input_shape)
    sizes = ", ".join(f"{len(split)} {name}" for name, split in task.splits.items())
    print(
        f"{task.name}: {task.num_classes} classes, {sizes} clips; {config.model.backbone} {config.model.size}, "
        f"{model.num_exits} exits, {model.num_binary_layers} binary layers",
        file=sys.stderr,
    )
    try:
        history = fit(
            model,
            task,
            config=config.training,
            augment=config.augment,
            folder=folder,
            resume=resume,
            tensorboard=options.tensorboard,
        )
    except KeyboardInterrupt:
        print(f"\ninterrupted: python -m bnn_exit.train --resume {shlex.quote(str(folder))} goes on", file=sys.stderr)
        return 130
    write_json(folder / "history.json", history)
    print(deploy(model, task, folder, input=options.input))
    print(f"\nnext: python -m bnn_exit.evaluate {shlex.quote(str(folder))}")
    return 0


def _write_start(folder: Path, config: Any, command: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(
        folder / "environment.json",
        {
            "command": command,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "git_revision": _git_revision(),
            "machine": machine.describe(),
            "versions": machine.versions(),
            "seed": config.training.seed,
        },
    )
    config.save(folder)


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(
            f"--out {str(folder)!r} exists already: choose another folder, or go on with it by --resume {folder}"
        )
    existing = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    try:
        # Trying is the only test that holds for every file system and user.
        tempfile.TemporaryDirectory(dir=existing).cleanup()
    except OSError as error:
        raise ArgumentError(
            f"--out {str(folder)!r} cannot be written ({error.strerror}): choose a folder that you may write to"
        ) from error


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The named options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _pairs(name: str, pairs: list[str]) -> dict[str, Any]:
    """The values of a repeated NAME=VALUE option; what is no JSON is text."""
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ArgumentError(f"{name} is {pair!r}, but must be NAME=VALUE")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values


def _git_revision() -> str | None:
    """Revision of the code, with "-dirty" if it was changed since; None outside a checkout."""
    try:
        result = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
