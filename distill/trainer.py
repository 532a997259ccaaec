"""Runs the steps of a plan in a run folder, each from the weights of the one before."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from audio_tasks.base import Task
from bnn_exit._keras import set_seed
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.files import write_json
from bnn_exit.models.multi_exit import MultiExitModel, build
from bnn_exit.settings.plan import Plan, Step
from bnn_exit.settings.run import RunConfig
from bnn_exit.settings.teacher import TeacherConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training import checkpoint
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.loop import BEST, fit
from bnn_exit.training.objective import Objective
from distill.embedding import EmbeddingMatching
from distill.objective import Distillation
from distill.teachers import MeanTeacher, NetworkTeacher, Teacher, load_teacher, runs

HISTORY = "history.json"


def plan_of(config: RunConfig) -> Plan:
    """The plan of a run; one step for a run without a plan."""
    settings = dict(config.distillation or {"teacher_weight": 0.0})
    if "plan" in settings:
        return Plan.from_dict(settings["plan"])
    settings.pop("teachers", None)
    return Plan(steps=(Step.from_dict({**settings, "name": "train", "precision": config.model.precision}),))


def teachers_of(config: RunConfig) -> list[str]:
    """Paths of the teachers of a run, or "auto"; DataError if its settings hold something else."""
    paths = (config.distillation or {}).get("teachers") or []
    if not isinstance(paths, list) or not all(isinstance(path, str) and "\0" not in path for path in paths):
        raise DataError(f"teachers of the run are {paths!r}, but must be a list of paths")
    return paths


def check_settings(config: RunConfig, folder: Path) -> None:
    """DataError if the distillation settings of a run folder are invalid: they may come from elsewhere."""
    try:
        plan_of(config), teachers_of(config)
    except BnnExitError as error:
        raise DataError(f"{folder / 'config.json'} cannot be read: {error}") from error


def find_teacher(config: RunConfig, task: Task, *, trained: Path | None = None, trust: bool = False) -> Teacher | None:
    """The teacher that the settings of a run name, or None.

    Args:
        config: of the run.
        task: what is learned.
        trained: folder of the teacher that "auto" stands for; None gives an untrained one of its form.
        trust: as of `load_teacher`. A run does not store it, because its folder may come from elsewhere.

    Raises:
        DataError, ArgumentError: as `load_teacher`.
    """
    paths = teachers_of(config)
    kind = plan_of(config).teacher_kind

    def one(path: str) -> Teacher:
        if path == "auto" and trained is None:
            form = TeacherConfig(size=config.teacher.size, levels=config.model.levels)
            network = runs.build(form, num_classes=task.num_classes, input_shape=task.input_shape)
            config.teacher.training.weights_of(network.num_exits)
            return NetworkTeacher(network, kind=kind)
        place = trained if path == "auto" else path
        assert place is not None
        return load_teacher(
            place,
            kind=kind,
            input_shape=task.input_shape,
            labels=task.labels,
            features=task.features,
            clip_samples=task.clip_samples,
            trust=trust,
        )

    teachers = [one(path) for path in paths]
    return MeanTeacher(teachers) if len(teachers) > 1 else next(iter(teachers), None)


def check_steps(config: RunConfig, task: Task, teacher: Teacher | None) -> None:
    """ArgumentError if a step does not fit student, teacher or task; nothing is written."""
    networks: dict[str, MultiExitModel] = {}
    for number, step in enumerate(plan_of(config).steps, start=1):
        if step.precision not in networks:
            networks[step.precision] = _network(config, step, task)
        network, training = networks[step.precision], _settings(config, step)
        training.weights_of(network.num_exits)
        try:
            _objective(step, network, teacher, task, training, folder=None)
        except ArgumentError as error:
            if "plan" not in (config.distillation or {}):
                raise
            raise ArgumentError(f"step {number} of the plan ({step.name}): {error}") from error


def train_steps(
    config: RunConfig,
    task: Task,
    teacher: Teacher | None,
    *,
    folder: Path,
    distribution: Distribution | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
) -> MultiExitModel:
    """Train the steps of a run's plan and leave in each step's folder its checkpoints and history.json.

    The last step's folder is the run's; the others are `steps/NUMBER_NAME` in it. The outputs of the
    teacher are stored in the run's folder, for every step with the same clips.

    Args:
        config: of the run, with its plan.
        task: what is learned.
        teacher: from `find_teacher`.
        folder: of the run.
        distribution: over which devices; None is this process alone.
        resume: continue an interrupted training; finished steps are not trained again. The weights end the same, as
            with `bnn_exit.fit`.
        tensorboard, progress: as in `bnn_exit.fit`.

    Returns:
        The network of the last step with its best weights.
    """
    plan, weights = plan_of(config), None
    distribution = distribution or Distribution.start(None)
    progress = progress and distribution.writes
    for number, (step, place) in enumerate(zip(plan.steps, plan.folders(folder), strict=True), start=1):
        # The same seed gives every step the same start, whichever steps this process has run before.
        set_seed(config.training.seed)
        with distribution.scope():
            network = _network(config, step, task)
            if weights is not None:
                network.keras_model.set_weights(weights)
            objective = _objective(
                step, network, teacher, task, _settings(config, step), folder=folder if distribution.writes else None
            )
        if resume and (place / HISTORY).is_file():
            checkpoint.load(place / BEST, variables=network.keras_model.weights)
        else:
            if progress and len(plan.steps) > 1:
                print(f"step {number} of {len(plan.steps)}: {step.name}, precision {step.precision}", file=sys.stderr)
            history = fit(
                network,
                task,
                config=_settings(config, step),
                augment=config.augment,
                objective=objective,
                folder=place,
                resume=resume,
                tensorboard=tensorboard,
                progress=progress,
            )
            if distribution.writes:
                write_json(place / HISTORY, history)
        weights = [variable.numpy() for variable in distribution.local(network.keras_model.weights)]
    return network


def _network(config: RunConfig, step: Step, task: Task) -> MultiExitModel:
    """A new network in the precision of the step, with what the step does not train frozen."""
    model = dataclasses.replace(config.model, precision=step.precision)
    network = build(**model.to_dict(), num_classes=task.num_classes, input_shape=task.input_shape)
    for stage, head in zip(network.stages, network.heads, strict=True):
        stage.trainable, head.trainable = step.trainable == "all", step.objective == "labels"
    return network


def _settings(config: RunConfig, step: Step) -> TrainConfig:
    """The training settings of the run with those of the step."""
    own: dict[str, Any] = {"epochs": step.epochs, "learning_rate": step.learning_rate}
    return dataclasses.replace(config.training, **{name: value for name, value in own.items() if value is not None})


def _objective(
    step: Step,
    network: MultiExitModel,
    teacher: Teacher | None,
    task: Task,
    training: TrainConfig,
    *,
    folder: Path | None,
) -> Objective | None:
    """What the step minimises; None means the labels alone."""
    if step.objective == "embedding":
        views = min(step.views, training.epochs)
        return EmbeddingMatching(network, teacher, task, views=views, seed=training.seed, folder=folder)
    if not (step.teacher_weight or step.deepest_weight or step.pairs):
        return None
    return Distillation(network, teacher, task, config=step, training=training, folder=folder)
