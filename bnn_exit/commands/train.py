"""Train, calibrate, export and check: `python -m bnn_exit.train --task speech_commands`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import audio_tasks
from bnn_exit import policies
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.commands import block_search, listening
from bnn_exit.commands.policy_options import add_policy_options, background_labels, check_background
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runs.lock import held, new_folder
from bnn_exit.runs.options import (
    RECIPE,
    add_data_options,
    add_training_options,
    check_unchanged,
    data_options,
    feature_options,
    given,
    pairs,
)
from bnn_exit.settings import recipes
from bnn_exit.settings.allocation import AllocationConfig
from bnn_exit.settings.features import INPUTS
from bnn_exit.settings.model import BACKBONES, HEADS
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.scheme import SCHEMES, SchemeConfig
from bnn_exit.settings.values import ValuesConfig
from distill.options import add_teacher_options, check_distributed, distillation_settings

EPILOG = """\
examples:
  python -m bnn_exit.train --task synthetic --size small --epochs 8
  python -m bnn_exit.train --task speech_commands --data-dir DIR --out runs/words
  python -m bnn_exit.train --task speech_commands --words 12
  python -m bnn_exit.train --task speech_commands --words 12 --negatives DIR      (for a microphone that never stops)
  python -m bnn_exit.train --task esc10 --data-dir DIR --fold 1 --size small
  python -m bnn_exit.train --task folder --data-dir DIR        (one folder for each class)
  python -m bnn_exit.train --task wake_word --phrase "hey lamp"            (a word of your own, from text)
  python -m bnn_exit.train --task speech_commands --feature hop_ms=20 --feature window_ms=40 --feature fft_size=1024
  python -m bnn_exit.train --task speech_commands --teacher runs/teacher --plan two-step
  python -m bnn_exit.train --task speech_commands --blocks auto          (blocks moved between stages, same ops)
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
        epilog=f"{EPILOG}\n{recipes.described()}",
    )
    add_data_options(arguments, tasks=audio_tasks.TASKS, flags=audio_tasks.flags())
    network = arguments.add_argument_group("network")
    network.add_argument("--backbone", metavar="NAME", help=f"{_choices(BACKBONES)} ({RECIPE})")
    network.add_argument(
        "--size",
        metavar="NAME",
        help="small, base or large: larger is more accurate, slower; quicknet also has medium, between small and base, "
        f"and for coarse features tiny, of the fewest bytes, and deep, with more blocks than base ({RECIPE})",
    )
    network.add_argument(
        "--blocks",
        nargs="+",
        metavar="N|auto",
        help="blocks of each stage, such as 2 3 4: more are more accurate, slower; auto moves blocks between stages: "
        "allocations of no more ops than the size's own are trained for a short time, and the best one is taken "
        "(default: those of the size)",
    )
    for name, about in (
        ("probes", "allocations that --blocks auto compares: more find better ones, slower"),
        ("epochs", "of each of them: more tell better which is best, slower"),
        ("clips", "of the training split that each of them learns from, at most: as epochs"),
    ):
        network.add_argument(
            f"--probe-{name}" if name != "probes" else "--probes",
            type=positive_int,
            metavar="N",
            help=f"{about} (default: {getattr(AllocationConfig(), name)})",
        )
    network.add_argument("--head", metavar="NAME", help=f"exit head: {_choices(HEADS)} ({RECIPE})")
    network.add_argument(
        "--precision",
        metavar="NAME",
        help="binary; float for the full-precision twin or real_weights with binary activations, to compare with: "
        f"these are trained and calibrated, but give no model.tflite ({RECIPE})",
    )
    network.add_argument(
        "--levels",
        metavar="NAME",
        help="kept; or normalised: the network brings every clip to one level first, and so recognises clips up to "
        f"40 dB quieter than those of the training split ({RECIPE})",
    )
    training = arguments.add_argument_group("training")
    training.add_argument(
        "--recipe",
        metavar="NAME|FILE.json",
        help=f"defaults of all other settings: {', '.join(recipes.shipped())} or a file of your own "
        f"(default: {recipes.DEFAULT}), described below",
    )
    add_training_options(training)
    training.add_argument(
        "--optimizer",
        metavar="NAME",
        help="adam trains real values behind binary weights; bop flips their signs and leaves all others to adam "
        f"({RECIPE})",
    )
    training.add_argument(
        "--scheme",
        metavar="NAME",
        help=f"how the exits are trained: {_choices(SCHEMES)} ({RECIPE})",
    )
    training.add_argument(
        "--scheme-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the scheme, such as ramp=true or weights=[1,0.5,0.3]; repeatable (the guide on schemes "
        "says how to list them)",
    )
    training.add_argument(
        "--distribute",
        metavar="NAME",
        help="mirrored: share each batch among all GPUs of this machine; multiworker: among machines that all run this "
        "command with the same shared folder; the environment variable TF_CONFIG gives each of them its index",
    )
    add_teacher_options(arguments)
    result = arguments.add_argument_group("result")
    result.add_argument("--out", metavar="RUN", help="run folder to make (default: runs/TASK-BACKBONE-SIZE-seedN)")
    result.add_argument("--resume", metavar="RUN", help="resume an interrupted run, with its own settings")
    result.add_argument(
        "--input",
        metavar="NAME",
        help="input of the file: log_mel (default), or waveform with the front end inside; of sensors values",
    )
    add_policy_options(result, usual=policies.DEFAULT)
    result.add_argument("--tensorboard", action="store_true", help="write logs to RUN/tensorboard")
    return arguments


def _choices(described: Mapping[str, str]) -> str:
    """For the help of an option: each name with what it means."""
    return "; ".join(f"{name} ({about})" for name, about in described.items())


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    background_labels(options.background, policy=options.policy)
    words = sys.argv[1:] if argv is None else argv
    command = shlex.join(["python", "-m", "bnn_exit.train", *words])
    # Only the worker that writes holds the folder.
    with contextlib.ExitStack() as stack:
        run, task, config, distribution = (_new_run if options.resume is None else _old_run)(options, stack)
        teacher = _checked_teacher(config, task, options)
        search = block_search.prepared(run, config, task, teacher)
        if distribution.writes:
            if options.resume is None:
                run.save_config(config)
            run.write_environment(command=command, seed=config.training.seed)
        return _complete(run, task, config, teacher, search, distribution, options, resume=options.resume is not None)


def _new_run(
    options: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[RunFolder, audio_tasks.Task, RunConfig, Any]:
    # Names and the output folder are checked first, because loading the data may take long.
    from bnn_exit.training.distribution import Distribution

    name = one_of("--task", options.task or "synthetic", audio_tasks.TASKS)
    if options.input is not None:
        one_of("--input", options.input, INPUTS if audio_tasks.of_sound(name) else ValuesConfig.inputs)
    audio_tasks.check_negatives(name, options.negatives)
    recipe = recipes.load(
        options.recipe or recipes.DEFAULT,
        task=name,
        tasks=audio_tasks.TASKS,
        negatives=options.negatives is not None,
    )
    network = given(options, "backbone", "size", "head", "precision", "levels")
    if {"backbone", "size"} & set(network):
        # Those of the recipe are meant for its own size.
        network |= {"blocks": (), "channels": (), "halving": (), "stem_channels": 0}
    model = block_search.with_blocks(dataclasses.replace(recipe.model, **network), options.blocks)
    allocation = block_search.settings(options)
    block_search.check_distributed(allocation is not None, options.distribute)
    distillation, precision = distillation_settings(options, recipe.distillation)
    check_distributed(distillation, options.distribute)
    scheme = _scheme(options, recipe.scheme)
    made = _checked_scheme(scheme, options.distribute)
    if made.head and options.head not in (None, made.head):
        raise ArgumentError(
            f"--head is {options.head!r}, but the scheme {scheme.name} needs {made.head!r}: leave it out"
        )
    model = made.of_model(dataclasses.replace(model, precision=precision or model.precision))
    sound = audio_tasks.of_sound(name)
    if options.feature and not sound:
        raise ArgumentError(
            f"--feature is {options.feature[0]!r}, but the task {name} has no log-mel features: leave it out"
        )
    features = feature_options(options, recipe.features)
    training = dataclasses.replace(
        recipe.training, **given(options, "epochs", "batch_size", "learning_rate", "optimizer", "bfloat16", "seed")
    )
    folder = Path(options.out or f"runs/{name}-{model.backbone}-{model.size}-seed{training.seed}")
    distribution = Distribution.start(options.distribute)
    distribution.check_batch(training.batch_size)
    if distribution.writes:
        stack.enter_context(new_folder(folder))
    task = audio_tasks.load(name, features=features, **data_options(options, audio_tasks.flags()))
    distribution.check_batch(training.batch_size, clips=len(task.train))
    policy = options.policy or made.policy
    background = background_labels(options.background, policy=policy)
    check_background(task.labels, policy=policy, chosen=background)
    augment = recipe.augment.scaled_to(features) if sound else recipe.augment_values
    config = RunConfig(
        RunTask.of(task),
        model,
        augment,
        training,
        distillation,
        recipe.teacher,
        options.input,
        policy,
        background,
        scheme,
        allocation,
    )
    return RunFolder(folder), task, config, distribution


def _scheme(options: argparse.Namespace, usual: SchemeConfig) -> SchemeConfig:
    """The recipe's scheme with the given options, or the one that was given."""
    name = options.scheme or usual.name
    kept = usual.options if name == usual.name else {}
    return SchemeConfig(name, {**kept, **pairs("--scheme-option", options.scheme_option)})


def _checked_scheme(config: SchemeConfig, distribute: str | None) -> Any:
    """The scheme; ArgumentError if an option of it breaks a rule, or replicas cannot follow it."""
    from bnn_exit.training import schemes

    scheme = schemes.make(config)
    if scheme.copies and distribute is not None:
        raise ArgumentError(
            f"the scheme {config.name} copies weights within a step, which --distribute cannot: leave one of them out"
        )
    return scheme


def _checked_teacher(config: RunConfig, task: audio_tasks.Task, options: argparse.Namespace) -> Any:
    """The teacher in the settings, checked against every step; None if there is none."""
    from bnn_exit._keras import set_seed
    from distill.trainer import check_steps, find_teacher

    set_seed(config.training.seed)
    teacher = find_teacher(config, task, trust=options.trust_teacher)
    check_steps(config, task, teacher)
    return teacher


def _old_run(
    options: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[RunFolder, audio_tasks.Task, RunConfig, Any]:
    from bnn_exit.training.distribution import Distribution
    from distill.trainer import check_settings

    check_unchanged(options, parser(), free=("negatives", "input", "tensorboard", "distribute", "trust_teacher"))
    run = RunFolder(options.resume)
    config = run.config
    check_settings(config, run.path)
    check_distributed(config.distillation, options.distribute)
    block_search.check_distributed(config.searches_blocks, options.distribute)
    distribution = Distribution.start(options.distribute)
    distribution.check_batch(config.training.batch_size)
    if distribution.writes:
        stack.enter_context(held(run.path))
    task = audio_tasks.load_again(
        config.task, data_dir=options.data_dir, cache_dir=options.cache_dir, negatives=options.negatives
    )
    distribution.check_batch(config.training.batch_size, clips=len(task.train))
    return run, task, config, distribution


def _complete(
    run: RunFolder,
    task: audio_tasks.Task,
    config: RunConfig,
    teacher: Any,
    search: Any,
    distribution: Any,
    options: argparse.Namespace,
    *,
    resume: bool,
) -> int:
    """Train, calibrate, export and compare, with known settings."""
    from bnn_exit._keras import make_repeatable
    from bnn_exit.commands.deploy import deploy
    from distill.train_teacher import train_beside
    from distill.trainer import find_teacher, teachers_of, train_steps

    model, sizes = config.model, ", ".join(f"{len(split)} {name}" for name, split in task.splits.items())
    blocks = f" with {' '.join(map(str, model.blocks))} blocks" if model.blocks else ""
    if distribution.writes:
        show(
            f"{task.name}: {task.num_classes} classes, {sizes} clips; {model.backbone} {model.size}{blocks}, "
            f"precision {model.precision}{distribution}",
            file=sys.stderr,
        )
    make_repeatable()
    try:
        if search is not None:
            config = block_search.finish(run, config, task, search)
        if "auto" in teachers_of(config):
            trained = train_beside(run.path, task, config)
            teacher = find_teacher(config, task, trained=trained, trust=options.trust_teacher)
        with distribution.naming_lost_workers():
            network = train_steps(
                config,
                task,
                teacher,
                folder=run.path,
                distribution=distribution,
                resume=resume,
                tensorboard=options.tensorboard,
            )
    except KeyboardInterrupt:
        show(f"\ninterrupted: python -m bnn_exit.train --resume {shlex.quote(str(run))} resumes it", file=sys.stderr)
        return 130
    if distribution.writes:
        if options.distribute:
            # Copy the weights into ordinary variables, which can be exported.
            network = run.network()
        show(
            deploy(
                network,
                task,
                run,
                input=options.input or config.input,
                policy=config.policy,
                background=config.background,
            )
        )
        if network.precision == "binary":
            listening.add_listening_point(run, task)
            show(f"\n{listening.after_training(run, task)}")
    # Workers end together: one that ends first looks lost to the others.
    with distribution.naming_lost_workers():
        distribution.wait()
    return 0
