"""The main job: `python -m bnn_exit.train --task speech_commands` trains, calibrates, exports and checks."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

import audio_tasks
from bnn_exit.artifact import INPUTS
from bnn_exit.command import Parser, positive_int
from bnn_exit.errors import ArgumentError, one_of, run_command
from bnn_exit.files import write_json
from bnn_exit.run_options import add_data_options, check_new, data_options, feature_options, given, write_environment

EPILOG = """\
examples:
  python -m bnn_exit.train --task synthetic --size small --epochs 8
  python -m bnn_exit.train --task speech_commands --data-dir DIR --out runs/words
  python -m bnn_exit.train --task speech_commands --words 12
  python -m bnn_exit.train --task esc10 --data-dir DIR --fold 1 --size small
  python -m bnn_exit.train --task folder --data-dir DIR        (one folder a class)
  python -m bnn_exit.train --task speech_commands --feature hop_ms=20 --feature window_ms=40 --feature fft_size=1024
  python -m bnn_exit.train --resume runs/words                 (after an interruption)
  python -m bnn_exit.train --task speech_commands --data-dir DIR --distribute mirrored      (every GPU of the machine)

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
    add_data_options(arguments, tasks=", ".join(audio_tasks.TASKS))
    network = arguments.add_argument_group("network")
    network.add_argument(
        "--backbone", metavar="NAME", help="quicknet (default), birealnet, real_to_binary or binary_densenet"
    )
    network.add_argument("--size", metavar="NAME", help="small, base or large: larger is more accurate, slower (base)")
    network.add_argument("--head", metavar="NAME", help="exit head: grid (default), pooled, strided or auxiliary")
    training = arguments.add_argument_group("training")
    training.add_argument("--epochs", type=positive_int, help="passes over the data: more is more accurate, slower")
    training.add_argument("--batch-size", type=positive_int, help="clips a step")
    training.add_argument("--learning-rate", type=float, help="peak of the cosine schedule")
    training.add_argument("--optimizer", metavar="NAME", help="adam or bop (default: adam)")
    training.add_argument("--seed", type=int, help="of weights, order and augmentation (default: 0)")
    training.add_argument(
        "--distribute",
        metavar="NAME",
        help="mirrored: share each batch among all GPUs of this machine; multiworker: among machines that all run this "
        "command with the same shared folder; the environment variable TF_CONFIG tells each of them who it is",
    )
    teacher = arguments.add_argument_group("teacher")
    teacher.add_argument(
        "--teacher",
        action="append",
        metavar="PATH|auto",
        help="learn from a full-precision network as well: a folder of distill.train_teacher, a Keras file, a "
        "SavedModel or a TFLite file; auto trains one first; repeated: the mean of several",
    )
    teacher.add_argument(
        "--temperature", type=float, help="of soft labels: higher tells more about unlikely classes (3)"
    )
    teacher.add_argument("--teacher-weight", type=float, help="0 (labels alone) to 1 (the teacher alone) (0.7)")
    teacher.add_argument(
        "--deepest-weight", type=float, help="of the last exit as a teacher of the others; 0 is off (0)"
    )
    teacher.add_argument("--views", type=int, help="ways of changing a clip that the teacher hears; 0: as recorded (0)")
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
        return _resume(options)
    folder, task, config, distribution = _new_run(options)
    if distribution.writes:
        write_environment(folder, command=command, seed=config.training.seed)
        config.save(folder)
    return _complete(folder, task, config, distribution, options, resume=False)


def _new_run(options: argparse.Namespace) -> tuple[Path, audio_tasks.Task, Any, Any]:
    # Names and the output folder are checked before the data is touched, which may take long.
    from bnn_exit.models.multi_exit import ModelConfig
    from bnn_exit.training.distribution import Distribution
    from bnn_exit.training.recipes import default_settings
    from bnn_exit.training.runs import RunConfig, RunTask

    name = one_of("--task", options.task or "synthetic", audio_tasks.TASKS)
    model = ModelConfig.from_dict(given(options, "backbone", "size", "head"))
    features = feature_options(options)
    settings = default_settings(name, model, features)
    training = dataclasses.replace(
        settings.training, **given(options, "epochs", "batch_size", "learning_rate", "optimizer", "seed")
    )
    folder = Path(options.out or f"runs/{name}-{model.backbone}-{model.size}-seed{training.seed}")
    distillation = _distillation(options)
    distribution = Distribution.start(options.distribute)
    distribution.check_batch(training.batch_size)
    if distribution.writes:
        check_new(folder)
    task = audio_tasks.load(name, features=features, **data_options(options))
    return folder, task, RunConfig(RunTask.of(task), model, settings.augment, training, distillation), distribution


def _distillation(options: argparse.Namespace) -> dict[str, Any] | None:
    """The settings of the teachers, or None without any."""
    from distill.objective import DistillConfig

    chosen = given(options, "temperature", "teacher_weight", "deepest_weight", "views")
    if not options.teacher:
        if chosen:
            raise ArgumentError(f"--{next(iter(chosen)).replace('_', '-')} is for training with a --teacher: add one")
        return None
    _check_teachers(options.teacher, options)
    return {"teachers": options.teacher, **DistillConfig.from_dict(chosen).to_dict()}


def _check_teachers(teachers: list[str], options: argparse.Namespace) -> None:
    if "auto" in teachers and options.distribute == "multiworker":
        raise ArgumentError(
            "--teacher is 'auto', but with --distribute multiworker it must be a path: train one first, with "
            "python -m distill.train_teacher"
        )


def _interrupted(folder: Path) -> int:
    print(f"\ninterrupted: python -m bnn_exit.train --resume {shlex.quote(str(folder))} goes on", file=sys.stderr)
    return 130


def _teacher(task: audio_tasks.Task, config: Any, folder: Path) -> Any:
    """The teacher that the settings name, or None."""
    if config.distillation is None:
        return None
    from distill.teachers import load_teacher
    from distill.train_teacher import train_beside

    paths = config.distillation["teachers"]
    paths = [train_beside(folder, task, config) if path == "auto" else path for path in paths]
    return load_teacher(paths, input_shape=task.input_shape, labels=task.labels)


def _objective(model: Any, teacher: Any, task: audio_tasks.Task, config: Any) -> Any:
    """What is minimised: with a teacher a distillation, else None, which means the labels alone."""
    if teacher is None:
        return None
    from distill.objective import Distillation, DistillConfig

    settings = DistillConfig.from_dict({k: v for k, v in config.distillation.items() if k != "teachers"})
    return Distillation(model, teacher, task, config=settings, training=config.training)


def _resume(options: argparse.Namespace) -> int:
    from bnn_exit.training.distribution import Distribution
    from bnn_exit.training.runs import RunConfig

    fixed = {"data_dir", "cache_dir", "resume", "input", "tensorboard", "distribute"}
    changed = [name for name, value in vars(options).items() if name not in fixed and value]
    if changed:
        raise ArgumentError(f"--{changed[0].replace('_', '-')} cannot change in a run that is resumed: leave it out")
    folder = Path(options.resume)
    config = RunConfig.load(folder)
    _check_teachers((config.distillation or {}).get("teachers", []), options)
    distribution = Distribution.start(options.distribute)
    distribution.check_batch(config.training.batch_size)
    task_options = dict(config.task.options)
    if options.data_dir:
        task_options["data_dir"] = options.data_dir
    task = audio_tasks.load(
        config.task.name, features=config.task.features, cache_dir=options.cache_dir, **task_options
    )
    if task.labels != config.task.labels:
        raise ArgumentError(f"the data now has {len(task.labels)} other labels than {folder} was started with")
    return _complete(folder, task, config, distribution, options, resume=True)


def _complete(
    folder: Path, task: audio_tasks.Task, config: Any, distribution: Any, options: argparse.Namespace, *, resume: bool
) -> int:
    """Everything after the settings are known: train, calibrate, export, compare."""
    from bnn_exit._keras import make_repeatable, set_seed
    from bnn_exit.models.multi_exit import build
    from bnn_exit.training.deploy import deploy
    from bnn_exit.training.loop import fit

    try:
        teacher = _teacher(task, config, folder)
    except KeyboardInterrupt:
        return _interrupted(folder)
    # The same seed gives the same weights, interrupted or not.
    set_seed(config.training.seed)
    make_repeatable()
    with distribution.scope():
        model = build(**config.model.to_dict(), num_classes=task.num_classes, input_shape=task.input_shape)
        objective = _objective(model, teacher, task, config)
    if distribution.writes:
        sizes = ", ".join(f"{len(split)} {name}" for name, split in task.splits.items())
        print(
            f"{task.name}: {task.num_classes} classes, {sizes} clips; {config.model.backbone} {config.model.size}, "
            f"{model.num_exits} exits, {model.num_binary_layers} binary layers{distribution}",
            file=sys.stderr,
        )
    try:
        with distribution.naming_lost_workers():
            history = fit(
                model,
                task,
                config=config.training,
                augment=config.augment,
                objective=objective,
                folder=folder,
                resume=resume,
                tensorboard=options.tensorboard,
            )
    except KeyboardInterrupt:
        return _interrupted(folder)
    if not distribution.writes:
        return 0
    if options.distribute:
        # The same weights in ordinary variables, which can be exported.
        model = config.network(folder)
    write_json(folder / "history.json", history)
    print(deploy(model, task, folder, input=options.input))
    print(f"\nnext: python -m bnn_exit.evaluate {shlex.quote(str(folder))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
