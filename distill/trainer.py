"""Runs the steps of a plan and the phases of a scheme in a run folder, each from the weights of the one before."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audio_tasks.base import Task
from bnn_exit import policies
from bnn_exit._keras import set_seed
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.files import write_json
from bnn_exit.models.multi_exit import MultiExitModel, build
from bnn_exit.settings.plan import Plan, Step, step_folders
from bnn_exit.settings.run import RunConfig
from bnn_exit.settings.scheme import SchemeConfig
from bnn_exit.settings.teacher import TeacherConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training import checkpoint, schemes
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.exit_loss import ExitLoss, LabelLoss
from bnn_exit.training.loop import BEST, fit
from bnn_exit.training.objective import Objective
from bnn_exit.training.schemes.base import Phase, Scheme, epochs_of
from bnn_exit.training.schemes.objective import SchemeObjective
from distill.embedding import EmbeddingMatching
from distill.exit_loss import TeacherLoss
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
    """DataError if the distillation settings or the scheme of a run folder are invalid: it may come from elsewhere."""
    try:
        plan_of(config), teachers_of(config), schemes.make(config.scheme)
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


@dataclasses.dataclass(frozen=True)
class Part:
    """What one folder of checkpoints holds: a step of the plan, or a phase of its last step by the scheme.

    Attributes:
        name: for people and folders.
        step: of the plan.
        phase: of the scheme; None for the steps before the last.
        training: its settings.
        folder: where its checkpoints are.
    """

    name: str
    step: Step
    phase: Phase | None
    training: TrainConfig
    folder: Path


def parts_of(config: RunConfig, *, exits: int, folder: Path) -> list[Part]:
    """The parts of a run's training, in order: the steps of its plan, the last of them in the phases of the scheme.

    The last one's folder is the run's, as for a training in one part; the others are `steps/NUMBER_NAME` in it.

    Raises:
        ArgumentError: options of the scheme, or epochs, that do not fit the network.
    """
    *before, last = plan_of(config).steps
    scheme = schemes.make(config.scheme)
    phases = scheme.phases(exits)
    found: list[tuple[str, Step, Phase | None, TrainConfig]]
    found = [(step.name, step, None, _settings(config, step)) for step in before]
    whole = _settings(config, last)
    for phase, epochs in zip(phases, epochs_of(phases, whole.epochs, scheme=config.scheme.name), strict=True):
        name = last.name if len(phases) == 1 else f"{last.name}_{phase.name}"
        found.append((name, last, phase, dataclasses.replace(whole, epochs=epochs)))
    folders = step_folders([name for name, *_ in found], folder)
    return [Part(*part, place) for part, place in zip(found, folders, strict=True)]


def check_steps(config: RunConfig, task: Task, teacher: Teacher | None) -> None:
    """ArgumentError if a step or phase does not fit student, teacher or task; nothing is written."""
    networks: dict[str, MultiExitModel] = {}
    steps = plan_of(config).steps
    for number, step in enumerate(steps, start=1):
        if step.precision not in networks:
            networks[step.precision] = _network(config, step, task)
        network, training = networks[step.precision], _settings(config, step)
        training.weights_of(network.num_exits)
        if config.policy is not None:
            policies.POLICIES[config.policy].check_exits(network.num_exits)
        parts = parts_of(config, exits=network.num_exits, folder=Path())
        try:
            for part in parts:
                if part.step == step:
                    _objective(config, part, network, teacher, task, folder=None)
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
    stop: Callable[[list[dict[str, Any]]], bool] | None = None,
) -> MultiExitModel:
    """Train the parts of a run (`parts_of`) and leave in each one's folder its checkpoints and history.json.

    The outputs of the teacher are stored in the run's folder, for every part with the same clips.

    Args:
        config: of the run, with its plan and scheme.
        task: what is learned.
        teacher: from `find_teacher`.
        folder: of the run.
        distribution: over which devices; None is this process alone.
        resume: continue an interrupted training; finished parts are not trained again. The weights end the same, as
            with `bnn_exit.fit`.
        tensorboard, progress: as in `bnn_exit.fit`.
        stop: as in `bnn_exit.fit`, for a training in one part; those in several are never stopped.

    Returns:
        The network of the last part with its best weights.
    """
    weights = None
    distribution = distribution or Distribution.start(None)
    progress = progress and distribution.writes
    scheme = schemes.make(config.scheme)

    def new(step: Step) -> MultiExitModel:
        # The same seed gives every part the same start, whichever parts this process has run before.
        set_seed(config.training.seed)
        with distribution.scope():
            return _network(config, step, task)

    network = new(plan_of(config).steps[0])
    parts = parts_of(config, exits=network.num_exits, folder=folder)
    first = next(part.phase for part in parts if part.phase)
    for number, part in enumerate(parts, start=1):
        with distribution.scope():
            if weights is not None:
                network = new(part.step)
                network.keras_model.set_weights(weights)
            objective = _objective(config, part, network, teacher, task, folder=folder if distribution.writes else None)
        if resume and (part.folder / HISTORY).is_file():
            checkpoint.load(part.folder / BEST, variables=network.keras_model.weights)
        else:
            if progress and len(parts) > 1:
                print(
                    f"step {number} of {len(parts)}: {part.name}, precision {part.step.precision}, "
                    f"epochs {part.training.epochs}",
                    file=sys.stderr,
                )
            history = fit(
                network,
                task,
                config=part.training,
                augment=config.augment,
                objective=objective,
                clips=_clips(scheme, part, network, task) if part.phase != first else None,
                folder=part.folder,
                resume=resume,
                tensorboard=tensorboard,
                progress=progress,
                stop=stop if len(parts) == 1 else None,
            )
            if distribution.writes:
                write_json(part.folder / HISTORY, history)
        weights = [variable.numpy() for variable in distribution.local(network.keras_model.weights)]
    return network


def _clips(scheme: Scheme, part: Part, network: MultiExitModel, task: Task) -> np.ndarray | None:
    """Numbers of the training clips of a phase that is not the first; None: all."""
    if part.phase is None or not scheme.chooses_clips:
        return None
    correct = network.logits(task.log_mel("train")).argmax(axis=-1) == np.asarray(task.train.labels)[:, None]
    return scheme.clips(part.phase, correct, seed=part.training.seed)


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
    config: RunConfig,
    part: Part,
    network: MultiExitModel,
    teacher: Teacher | None,
    task: Task,
    *,
    folder: Path | None,
) -> Objective | None:
    """What the part minimises; None means the labels alone."""
    step, training = part.step, part.training
    if step.objective == "embedding":
        views = min(step.views, training.epochs)
        return EmbeddingMatching(network, teacher, task, views=views, seed=training.seed, folder=folder)
    if part.phase is not None and config.scheme != SchemeConfig():
        return _scheme_objective(config, part, network, teacher, task, folder=folder)
    if not (step.teacher_weight or step.deepest_weight or step.pairs):
        return None
    return Distillation(network, teacher, task, config=step, training=training, folder=folder)


def _scheme_objective(
    config: RunConfig,
    part: Part,
    network: MultiExitModel,
    teacher: Teacher | None,
    task: Task,
    *,
    folder: Path | None,
) -> SchemeObjective:
    step, name, scheme = part.step, config.scheme.name, schemes.make(config.scheme)
    assert part.phase is not None
    if step.trainable != "all":
        raise ArgumentError(f"trainable is {step.trainable!r}, but the scheme {name} decides itself what learns when")
    if step.deepest_weight or step.pairs:
        found = "deepest_weight" if step.deepest_weight else "features and attention"
        raise ArgumentError(
            f"{found} goes with the scheme joint without options, but the scheme is {name}: the scheme self_distilled "
            "has the last exit as a teacher"
        )
    if scheme.needs_teacher and not step.teacher_weight:
        raise ArgumentError(f"the scheme {name} with teacher given needs a teacher: add --teacher PATH or auto")
    exit_loss: ExitLoss = LabelLoss(label_smoothing=part.training.label_smoothing)
    if step.teacher_weight:
        phases = parts_of(config, exits=network.num_exits, folder=Path())
        views = min(step.views, max(each.training.epochs for each in phases if each.phase))
        exit_loss = TeacherLoss(network, teacher, task, config=step, training=part.training, views=views, folder=folder)
    return SchemeObjective(
        network,
        scheme=scheme,
        phase=part.phase,
        exit_loss=exit_loss,
        weights=part.training.weights_of(network.num_exits),
    )
