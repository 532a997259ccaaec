"""A training as a sequence of steps, each from the weights of the one before: plain data, read from JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.settings.base import Config
from bnn_exit.settings.distillation import DistillConfig
from bnn_exit.settings.model import PRECISIONS
from bnn_exit.settings.named_json import read_named, shipped_in

OBJECTIVES = ("labels", "embedding")
TRAINABLE = ("all", "heads")
SHIPPED = Path(__file__).parent / "plans"


@dataclass(frozen=True)
class Step(DistillConfig):
    """One step of a plan: a network in some precision, what it learns, and for how long.

    Attributes:
        name: small letters, digits, `_` and `-`; part of the folder name.
        precision: a name in `bnn_exit.models.precision.PRECISIONS`.
        objective: "labels" (and what DistillConfig adds) or "embedding": the last stage learns the teacher's embedding,
            without labels, and heads learn nothing (BRILLsson, Lee and Saeed 2022).
        trainable: "all", or "heads" to keep the stages as they are: a probe of what these have learned, by the heads of
            the run; with the head "pooled" it is a linear one.
        epochs, learning_rate: None takes those of the run.
    """

    name: str = ""
    precision: str = "binary"
    objective: str = "labels"
    trainable: str = "all"
    epochs: int | None = None
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        named = isinstance(self.name, str) and re.fullmatch(r"[a-z0-9_-]+", self.name) is not None
        self._require(named, "name", "small letters, digits, _ and -")
        one_of("precision", self.precision, PRECISIONS)
        one_of("objective", self.objective, OBJECTIVES)
        one_of("trainable", self.trainable, TRAINABLE)
        whole = isinstance(self.epochs, int) and not isinstance(self.epochs, bool) and self.epochs >= 1
        self._require(self.epochs is None or whole, "epochs", "a whole number of at least 1")
        rate = isinstance(self.learning_rate, (int, float)) and self.learning_rate > 0
        self._require(self.learning_rate is None or rate, "learning_rate", "above 0")
        if self.objective == "embedding":
            self._require(
                self.trainable == "all", "trainable", "'all' where an embedding is learned: heads do not learn"
            )
            self._require(not self.features + self.attention, "features", "empty where an embedding is learned")
        if self.pairs:
            self._require(
                self.trainable == "all", "trainable", "'all' where layers are compared: heads do not change them"
            )

    @property
    def pairs(self) -> bool:
        """Whether layers of the teacher are compared with layers of the student."""
        return bool(self.features or self.attention)


@dataclass(frozen=True)
class Plan(Config):
    """Steps that one network is trained in.

    Attributes:
        steps: at least one, in order, of different names.
        about: its purpose, in words.
    """

    steps: tuple[Step, ...]
    about: str = ""

    def __post_init__(self) -> None:
        self._require(isinstance(self.about, str), "about", "text")
        steps = self.steps if isinstance(self.steps, Iterable) and not isinstance(self.steps, (str, dict)) else ()
        object.__setattr__(self, "steps", tuple(_step(number, step) for number, step in enumerate(steps, start=1)))
        self._require(bool(self.steps), "steps", "a list of at least one step")
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise ArgumentError(f"steps are called {', '.join(names)}, but must have different names")
        last = self.steps[-1]
        if last.objective != "labels":
            raise ArgumentError(
                f"step {last.name!r} is the last and has objective {last.objective!r}, but must have 'labels': exits "
                "that never learned them would predict at random"
            )
        for step in self.steps:
            if self.teacher_kind == "embedding" and step.objective == "labels" and step.teacher_weight:
                raise ArgumentError(
                    f"step {step.name!r} has teacher_weight {step.teacher_weight}, but must have 0: a teacher of "
                    "embeddings gives no soft labels"
                )

    @property
    def teacher_kind(self) -> str:
        """What the plan needs from its teacher: "logits" or "embedding"."""
        return "embedding" if any(step.objective == "embedding" for step in self.steps) else "logits"

    @property
    def precision(self) -> str:
        """Precision of the resulting network."""
        return self.steps[-1].precision


def step_folders(names: Iterable[str], run: Path) -> list[Path]:
    """Where steps of these names keep their checkpoints: the last one in the run itself, as a training of one step."""
    numbered = [run / "steps" / f"{number}_{name}" for number, name in enumerate(names, start=1)]
    return [*numbered[:-1], run]


def _step(number: int, value: Step | dict[str, Any]) -> Step:
    if isinstance(value, Step):
        return value
    try:
        if not isinstance(value, dict):
            raise ArgumentError(f"is {value!r}, but must be settings such as {{'name': 'binary'}}")
        return Step.from_dict(value)
    except ArgumentError as error:
        raise ArgumentError(f"step {number}: {error}") from error


def shipped_plans() -> dict[str, Path]:
    """The plans that come with the package, by name."""
    return shipped_in(SHIPPED)


def read_plan(source: str) -> Plan:
    """The plan in a JSON file, or the one of this name that comes with the package.

    Raises:
        ArgumentError: an unknown name, or settings that break a rule.
        DataError: a file that is missing or no JSON.
    """
    values = read_named("plan", source, shipped_plans())
    try:
        if not isinstance(values, dict):
            raise ArgumentError('a plan must be of the form {"steps": [...]}')
        return Plan.from_dict(values)
    except ArgumentError as error:
        raise ArgumentError(f"plan {source!r}: {error}") from error
