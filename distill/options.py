"""The distillation options of `bnn_exit.train`, and the settings from them and a recipe."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, nearest, one_of
from bnn_exit.runs.options import RECIPE, given
from bnn_exit.settings.distillation import DistillConfig

_HOW = ("temperature", "teacher_weight", "deepest_weight", "views")
"""Options with a setting of the same name."""


def add_teacher_options(arguments: argparse.ArgumentParser) -> None:
    """Add the options; the recipe gives what is left out."""
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
        "--trust-teacher",
        action="store_true",
        help="run teachers that are programs: SavedModels, .h5 files, and .keras files with more than layers of Keras "
        "and Larq. Such a file can do on this machine whatever you can; --resume needs this option again",
    )
    teacher.add_argument(
        "--temperature", type=float, help=f"of soft labels: higher gives unlikely classes more weight ({RECIPE})"
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
        help="augmented versions of each clip, at most one for each epoch, that the teacher gets as well: more is more "
        f"accurate, and each takes a pass of the teacher; 0: it gets clips as recorded ({RECIPE})",
    )
    teacher.add_argument(
        "--plan",
        metavar="NAME|FILE.json",
        help="train in steps, each from the weights of the one before: two-step, features, embedding or a file of your "
        "own (bnn_exit/settings/plans shows the form); the steps then have the distillation settings",
    )


def distillation_settings(
    options: argparse.Namespace, recipe: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, str | None]:
    """The distillation settings of a run, as in `RunConfig.distillation`, and the precision of the last step of a plan.

    Args:
        options: of the command.
        recipe: the distillation settings of the recipe; None: labels alone.

    Returns:
        The settings, None for labels alone; and the precision, None without a plan.

    Raises:
        ArgumentError: an unknown setting, a teacher that does not exist, an option that needs a teacher or that stands
            in the steps of a plan.
    """
    from bnn_exit.settings.plan import read_plan

    usual = dict(recipe or {})
    for name in usual:
        one_of("setting of distillation in the recipe", name, ["teachers", "plan", *_names_of(DistillConfig)])
    usual_teachers, usual_plan = usual.pop("teachers", []), usual.pop("plan", None)
    if usual_plan is not None and usual:
        raise ArgumentError(f"{next(iter(usual))} of the recipe stands in the steps of a plan: leave it out")
    chosen = usual_teachers if options.teacher is None else options.teacher
    teachers = [_resolved(path) for path in chosen if path != "none"]
    source = usual_plan if options.plan is None else options.plan
    if source is None:
        how = _listening(options, DistillConfig.from_dict(usual), taught=bool(teachers))
        return (None if how is None else {"teachers": teachers, **how.to_dict()}), None
    stated = given(options, "precision", *_HOW)
    if stated:
        raise ArgumentError(f"--{_option(next(iter(stated)))} stands in the steps of a --plan: leave it out")
    plan = read_plan(source)
    return {"teachers": teachers, "plan": plan.to_dict()}, plan.precision


def check_distributed(distillation: dict[str, Any] | None, distribute: str | None) -> None:
    """ArgumentError for settings that replicas cannot follow."""
    from bnn_exit.settings.plan import Plan

    if distillation is None or distribute is None:
        return
    if "auto" in distillation.get("teachers", []) and distribute == "multiworker":
        raise ArgumentError(
            "--teacher is 'auto', but with --distribute multiworker it must be a path: train one first, with "
            "python -m distill.train_teacher"
        )
    if "plan" not in distillation:
        return
    for step in Plan.from_dict(distillation["plan"]).steps:
        if step.pairs or step.objective == "embedding":
            raise ArgumentError(
                f"step {step.name!r} of the plan compares layers or embeddings, but --distribute takes plans of "
                "labels and soft labels only: leave it out"
            )


def _listening(options: argparse.Namespace, usual: DistillConfig, *, taught: bool) -> DistillConfig | None:
    """Paths of the teachers without a plan; None for labels alone."""
    chosen = given(options, *_HOW)
    how = dataclasses.replace(usual, **chosen)
    if taught:
        return how
    # The last exit can teach the others without a teacher.
    of_use = ("deepest_weight", "temperature") if how.deepest_weight else ()
    for name in chosen:
        if name not in of_use:
            raise ArgumentError(f"--{_option(name)} is for training with a --teacher: add one")
    return dataclasses.replace(how, teacher_weight=0.0) if how.deepest_weight else None


def _resolved(path: str) -> str:
    """A teacher's whole path, so that the run can resume from another folder; "auto" as it is."""
    if path == "auto":
        return path
    if not Path(path).exists():
        raise ArgumentError(
            f"--teacher is {path!r}, which does not exist: give auto, none, a folder of distill.train_teacher or "
            f"bnn_exit.train, a Keras file, a SavedModel or a TFLite file{nearest(path, ['auto', 'none'])}"
        )
    return str(Path(path).resolve())


def _option(name: str) -> str:
    return name.replace("_", "-")


def _names_of(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]
