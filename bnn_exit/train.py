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
from bnn_exit.command import Parser
from bnn_exit.errors import ArgumentError, nearest, one_of, run_command
from bnn_exit.run_options import (
    RECIPE,
    add_data_options,
    add_training_options,
    check_new,
    data_options,
    feature_options,
    given,
    write_environment,
)

EPILOG = """\
examples:
  python -m bnn_exit.train --task synthetic --size small --epochs 8
  python -m bnn_exit.train --task speech_commands --data-dir DIR --out runs/words
  python -m bnn_exit.train --task speech_commands --words 12
  python -m bnn_exit.train --task esc10 --data-dir DIR --fold 1 --size small
  python -m bnn_exit.train --task folder --data-dir DIR        (one folder a class)
  python -m bnn_exit.train --task speech_commands --feature hop_ms=20 --feature window_ms=40 --feature fft_size=1024
  python -m bnn_exit.train --task speech_commands --teacher runs/teacher --plan two-step
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
        "--backbone",
        metavar="NAME",
        help="quicknet has the fewest float operations and bytes; birealnet, real_to_binary and binary_densenet are as "
        f"published, with more of both ({RECIPE})",
    )
    network.add_argument(
        "--size", metavar="NAME", help=f"small, base or large: larger is more accurate, slower ({RECIPE})"
    )
    network.add_argument(
        "--head",
        metavar="NAME",
        help="exit head: grid keeps where in time and frequency a sound is, as words want; pooled is the smallest; "
        f"strided has no convolution across channels; auxiliary does the most work ({RECIPE})",
    )
    network.add_argument(
        "--precision",
        metavar="NAME",
        help="binary; float for the full-precision twin or real_weights with binary activations, to compare with: "
        f"these are trained and calibrated, but give no model.tflite ({RECIPE})",
    )
    training = arguments.add_argument_group("training")
    training.add_argument(
        "--recipe",
        metavar="NAME|FILE.json",
        help="settings for all that is not given: fast (minutes), standard (default: about 40 minutes on two "
        "cores for 7,000 words), best (hours) or a file of your own; longer ones are more accurate",
    )
    add_training_options(training)
    training.add_argument(
        "--optimizer",
        metavar="NAME",
        help="adam trains real values behind binary weights; bop flips their signs and leaves all others to adam "
        f"({RECIPE})",
    )
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
        help="learn from another network as well: a folder of distill.train_teacher or of this command, a Keras file, "
        "a SavedModel or a TFLite file; auto trains one first; none: labels alone; repeated: the mean of several "
        f"({RECIPE})",
    )
    teacher.add_argument(
        "--temperature", type=float, help=f"of soft labels: higher tells more about unlikely classes ({RECIPE})"
    )
    teacher.add_argument(
        "--teacher-weight", type=float, help=f"from 0 (labels alone) to 1 (the teacher alone) ({RECIPE})"
    )
    teacher.add_argument(
        "--deepest-weight",
        type=float,
        help="of the last exit as a teacher of the others, with or without another: higher makes them follow it more "
        f"than the labels; 0 is off ({RECIPE})",
    )
    teacher.add_argument(
        "--views",
        type=int,
        help="ways of changing each clip, at most one an epoch, that the teacher hears as well: more is more accurate, "
        f"and takes a pass of the teacher each; 0: it hears clips as recorded ({RECIPE})",
    )
    teacher.add_argument(
        "--plan",
        metavar="NAME|FILE.json",
        help="train in steps, each from the weights of the one before: two-step, features, embedding or a file of your "
        "own (distill/plans shows the form); how a teacher is heard then stands in the steps",
    )
    result = arguments.add_argument_group("result")
    result.add_argument("--out", metavar="RUN", help="run folder to make (default: runs/TASK-BACKBONE-SIZE-seedN)")
    result.add_argument("--resume", metavar="RUN", help="go on with an interrupted run, with its own settings")
    result.add_argument(
        "--input", metavar="NAME", help="what the file takes: log_mel (default), or waveform with the front end inside"
    )
    result.add_argument("--tensorboard", action="store_true", help="write logs to RUN/tensorboard")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    if options.input is not None:
        one_of("--input", options.input, INPUTS)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "bnn_exit.train", *words])
    if options.resume is not None:
        return _resume(options)
    folder, task, config, distribution = _new_run(options)
    teacher = _checked_teacher(config, task)
    if distribution.writes:
        write_environment(folder, command=command, seed=config.training.seed)
        config.save(folder)
    return _complete(folder, task, config, teacher, distribution, options, resume=False)


def _new_run(options: argparse.Namespace) -> tuple[Path, audio_tasks.Task, Any, Any]:
    # Names and the output folder are checked before the data is touched, which may take long.
    from bnn_exit.training import recipes
    from bnn_exit.training.distribution import Distribution
    from bnn_exit.training.runs import RunConfig, RunTask

    name = one_of("--task", options.task or "synthetic", audio_tasks.TASKS)
    recipe = recipes.load(options.recipe or recipes.DEFAULT, task=name, tasks=audio_tasks.TASKS)
    model = dataclasses.replace(recipe.model, **given(options, "backbone", "size", "head", "precision"))
    distillation, precision = _distillation(options, recipe)
    _check_distributed(distillation, options)
    model = dataclasses.replace(model, precision=precision or model.precision)
    features = feature_options(options, recipe.features)
    training = dataclasses.replace(
        recipe.training, **given(options, "epochs", "batch_size", "learning_rate", "optimizer", "seed")
    )
    folder = Path(options.out or f"runs/{name}-{model.backbone}-{model.size}-seed{training.seed}")
    distribution = Distribution.start(options.distribute)
    distribution.check_batch(training.batch_size)
    if distribution.writes:
        check_new(folder)
    task = audio_tasks.load(name, features=features, **data_options(options))
    distribution.check_batch(training.batch_size, clips=len(task.train))
    augment = recipe.augment.scaled_to(features)
    config = RunConfig(
        RunTask.of(task), model, augment, training, distillation, recipe.teacher, options.input or INPUTS[0]
    )
    return folder, task, config, distribution


def _distillation(options: argparse.Namespace, recipe: Any) -> tuple[dict[str, Any] | None, str | None]:
    """The settings of teachers and plan, None without either, and the precision that a plan ends with."""
    from distill.config import DistillConfig
    from distill.plan import read_plan

    settings = dict(recipe.distillation or {})
    for name in settings:
        one_of("setting of distillation in the recipe", name, ["teachers", "plan", *_names_of(DistillConfig)])
    usual_teachers, usual_plan = settings.pop("teachers", []), settings.pop("plan", None)
    if usual_plan is not None and settings:
        raise ArgumentError(f"{next(iter(settings))} of the recipe stands in the steps of a plan: leave it out")
    usual = DistillConfig.from_dict(settings)
    chosen_teachers = usual_teachers if options.teacher is None else options.teacher
    # Resolved, so that the run can go on from another folder.
    teachers = [_teacher_path(path) for path in chosen_teachers if path != "none"]
    names = ("temperature", "teacher_weight", "deepest_weight", "views")
    chosen = given(options, *names)
    source = usual_plan if options.plan is None else options.plan
    if source is not None:
        stated = given(options, "precision", *names)
        if stated:
            name = next(iter(stated)).replace("_", "-")
            raise ArgumentError(f"--{name} stands in the steps of a --plan: leave it out")
        plan = read_plan(source)
        return {"teachers": teachers, "plan": plan.to_dict()}, plan.precision
    how = dataclasses.replace(usual, **chosen)
    if not teachers:
        # The last exit teaches the others without a teacher as well.
        needless = set(chosen) - ({"deepest_weight", "temperature"} if how.deepest_weight else set())
        if needless:
            name = next(name for name in names if name in needless)
            raise ArgumentError(f"--{name.replace('_', '-')} is for training with a --teacher: add one")
        if not how.deepest_weight:
            return None, None
        how = dataclasses.replace(how, teacher_weight=0.0)
    return {"teachers": teachers, **how.to_dict()}, None


def _teacher_path(path: str) -> str:
    if path == "auto":
        return path
    if not Path(path).exists():
        raise ArgumentError(
            f"--teacher is {path!r}, which does not exist: give auto, none, a folder of distill.train_teacher or "
            f"bnn_exit.train, a Keras file, a SavedModel or a TFLite file{nearest(path, ['auto', 'none'])}"
        )
    return str(Path(path).resolve())


def _names_of(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _check_distributed(distillation: dict[str, Any] | None, options: argparse.Namespace) -> None:
    """ArgumentError for what replicas cannot do."""
    if distillation is None or options.distribute is None:
        return
    if "auto" in distillation["teachers"] and options.distribute == "multiworker":
        raise ArgumentError(
            "--teacher is 'auto', but with --distribute multiworker it must be a path: train one first, with "
            "python -m distill.train_teacher"
        )
    for step in distillation.get("plan", {}).get("steps", []):
        if step["features"] or step["attention"] or step["objective"] == "embedding":
            raise ArgumentError(
                f"step {step['name']!r} of the plan compares layers or embeddings, but --distribute takes plans of "
                "labels and soft labels only: leave it out"
            )


def _checked_teacher(config: Any, task: audio_tasks.Task) -> Any:
    """The teacher that the settings name, or None, once it is known to fit every step."""
    from bnn_exit._keras import set_seed
    from distill.trainer import check_steps, find_teacher

    set_seed(config.training.seed)
    teacher = find_teacher(config, task)
    check_steps(config, task, teacher)
    return teacher


def _resume(options: argparse.Namespace) -> int:
    from bnn_exit.training.distribution import Distribution
    from bnn_exit.training.runs import RunConfig

    fixed = {"data_dir", "cache_dir", "resume", "input", "tensorboard", "distribute"}
    usual = parser().parse_args([])
    changed = [name for name, value in vars(options).items() if name not in fixed and value != getattr(usual, name)]
    if changed:
        raise ArgumentError(f"--{changed[0].replace('_', '-')} cannot change in a run that is resumed: leave it out")
    folder = Path(options.resume)
    config = RunConfig.load(folder)
    _check_distributed(config.distillation, options)
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
    distribution.check_batch(config.training.batch_size, clips=len(task.train))
    return _complete(folder, task, config, _checked_teacher(config, task), distribution, options, resume=True)


def _complete(
    folder: Path,
    task: audio_tasks.Task,
    config: Any,
    teacher: Any,
    distribution: Any,
    options: argparse.Namespace,
    *,
    resume: bool,
) -> int:
    """Everything after the settings are known: train, calibrate, export, compare."""
    from bnn_exit._keras import make_repeatable
    from bnn_exit.training.deploy import deploy
    from distill.train_teacher import train_beside
    from distill.trainer import find_teacher, train_steps

    model, sizes = config.model, ", ".join(f"{len(split)} {name}" for name, split in task.splits.items())
    if distribution.writes:
        print(
            f"{task.name}: {task.num_classes} classes, {sizes} clips; {model.backbone} {model.size}, "
            f"precision {model.precision}{distribution}",
            file=sys.stderr,
        )
    make_repeatable()
    try:
        if "auto" in (config.distillation or {}).get("teachers", []):
            teacher = find_teacher(config, task, trained=train_beside(folder, task, config))
        with distribution.naming_lost_workers():
            network = train_steps(
                config,
                task,
                teacher,
                folder=folder,
                distribution=distribution,
                resume=resume,
                tensorboard=options.tensorboard,
            )
    except KeyboardInterrupt:
        print(f"\ninterrupted: python -m bnn_exit.train --resume {shlex.quote(str(folder))} goes on", file=sys.stderr)
        return 130
    if distribution.writes:
        if options.distribute:
            # The same weights in ordinary variables, which can be exported.
            network = config.network(folder)
        print(deploy(network, task, folder, input=options.input or config.input))
        if network.precision == "binary":
            print(f"\nnext: python -m bnn_exit.evaluate {shlex.quote(str(folder))}")
    # Workers leave together: one that goes first looks lost to the others.
    with distribution.naming_lost_workers():
        distribution.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
