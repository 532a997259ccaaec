"""Train a full-precision teacher: `python -m distill.train_teacher --task speech_commands --data-dir DIR`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import sys
from pathlib import Path

import audio_tasks
from bnn_exit.command_line import Parser, run_command
from bnn_exit.display import show
from bnn_exit.errors import one_of
from bnn_exit.files import write_json
from bnn_exit.runs.folder import HISTORY, write_environment
from bnn_exit.runs.lock import held, new_folder
from bnn_exit.runs.options import (
    RECIPE,
    add_data_options,
    add_training_options,
    check_unchanged,
    data_options,
    feature_options,
    given,
)
from bnn_exit.settings import recipes
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.teacher import TeacherConfig, TeacherRun

EPILOG = """\
examples:
  python -m distill.train_teacher --task speech_commands --data-dir DIR --out runs/teacher
  python -m distill.train_teacher --task esc10 --data-dir DIR --fold 1 --size small
  python -m distill.train_teacher --resume runs/teacher              (after an interruption)

A binary network can then learn from this folder:
  python -m bnn_exit.train --task speech_commands --data-dir DIR --teacher runs/teacher
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments. Options of the training default to None: the recipe decides."""
    arguments = Parser(
        prog="python -m distill.train_teacher",
        description="Train a full-precision network that binary networks learn from.",
        epilog=EPILOG,
    )
    add_data_options(arguments, tasks=audio_tasks.TASKS, flags=audio_tasks.flags())
    training = arguments.add_argument_group("training")
    training.add_argument(
        "--recipe",
        metavar="NAME|FILE.json",
        help=f"{', '.join(recipes.shipped())} or a file, as of bnn_exit.train (default: {recipes.DEFAULT})",
    )
    training.add_argument(
        "--size", metavar="NAME", help=f"small, base or large: larger is more accurate, slower ({RECIPE})"
    )
    add_training_options(training)
    result = arguments.add_argument_group("result")
    result.add_argument("--out", metavar="DIR", help="folder to make (default: runs/TASK-teacher-SIZE-seedN)")
    result.add_argument("--resume", metavar="DIR", help="resume an interrupted training, with its own settings")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "distill.train_teacher", *words])
    with contextlib.ExitStack() as stack:
        if options.resume is None:
            folder = _start(options, stack)
        else:
            check_unchanged(options, parser(), free=("negatives",))
            folder = Path(options.resume)
        return _train(folder, options, stack, command=command, resume=options.resume is not None)


def _start(options: argparse.Namespace, stack: contextlib.ExitStack) -> Path:
    """Check everything, hold the folder and write the settings."""
    name = one_of("--task", options.task or "synthetic", audio_tasks.TASKS)
    recipe = recipes.load(
        options.recipe or recipes.DEFAULT,
        task=name,
        tasks=audio_tasks.TASKS,
        negatives=options.negatives is not None,
    )
    teacher = TeacherConfig.from_dict(
        {"size": recipe.teacher.size, "levels": recipe.model.levels, **given(options, "size")}
    )
    features = feature_options(options, recipe.features)
    chosen = given(options, "epochs", "batch_size", "learning_rate", "bfloat16", "seed")
    training = dataclasses.replace(recipe.teacher.training, **chosen)
    training.weights_of(1)
    folder = Path(options.out or f"runs/{name}-teacher-{teacher.size}-seed{training.seed}")
    stack.enter_context(new_folder(folder))
    task = audio_tasks.load(name, features=features, **data_options(options, audio_tasks.flags()))
    TeacherRun(RunTask.of(task), teacher, recipe.augment.scaled_to(features), training).save(folder)
    return folder


def _train(
    folder: Path, options: argparse.Namespace, stack: contextlib.ExitStack, *, command: str, resume: bool
) -> int:
    run = TeacherRun.load(folder)
    if resume:
        stack.enter_context(held(folder))
    write_environment(folder, command=command, seed=run.training.seed)
    task = audio_tasks.load_again(
        run.task, data_dir=options.data_dir, cache_dir=options.cache_dir, negatives=options.negatives
    )
    try:
        show(train(folder, task, run, resume=resume))
    except KeyboardInterrupt:
        show(f"\ninterrupted: python -m distill.train_teacher --resume {shlex.quote(str(folder))} resumes it")
        return 130
    return 0


def train_beside(folder: Path, task: audio_tasks.Task, config: RunConfig) -> Path:
    """The teacher of a student's run, in its folder `teacher`, trained by the settings of the run if it is missing.

    Args:
        folder: of the student's run.
        task: what both learn.
        config: the settings of the student's run.
    """
    place = folder / "teacher"
    if (place / "teacher.json").is_file():
        return place
    place.mkdir(parents=True, exist_ok=True)
    with held(place):
        resume = (place / "config.json").is_file()
        if not resume:
            training = dataclasses.replace(config.teacher.training, seed=config.training.seed)
            teacher = TeacherConfig(size=config.teacher.size, levels=config.model.levels)
            TeacherRun(config.task, teacher, config.augment, training).save(place)
        show(train(place, task, TeacherRun.load(place), resume=resume), file=sys.stderr)
    return place


def train(folder: Path, task: audio_tasks.Task, run: TeacherRun, *, resume: bool) -> str:
    """Train the teacher of `run` into its folder; a line about it. The best weights by validation are in best.npz."""
    from bnn_exit._keras import make_repeatable, set_seed
    from bnn_exit.models import profile
    from bnn_exit.training.loop import fit
    from distill.teachers import runs

    set_seed(run.training.seed)
    make_repeatable()
    network = runs.build(run.teacher, num_classes=task.num_classes, input_shape=task.input_shape)
    history = fit(network, task, config=run.training, augment=run.augment, folder=folder, resume=resume)
    write_json(folder / HISTORY, history)
    right = {
        name: float(network.accuracy(task.log_mel(name), split.labels)[-1])
        for name, split in task.splits.items()
        if name != "train" and len(split)
    }
    cost = profile.cost(network.keras_model)
    write_json(folder / "teacher.json", {"accuracy": right, "cost": cost.to_dict()})
    shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in right.items())
    return f"teacher {run.teacher.size}: {shown}, {cost.float_macs / 1e6:.0f} million MACs, in {folder}"


if __name__ == "__main__":
    raise SystemExit(main())
