"""Recipes: settings that need no tuning, a JSON file each, with a section for every task that wants other ones."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.files import read_json
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.augment_values import ValuesAugmentConfig
from bnn_exit.settings.base import Config
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.named_json import read_named, shipped_in
from bnn_exit.settings.scheme import SchemeConfig
from bnn_exit.settings.training import TrainConfig

SHIPPED = Path(__file__).parent
DEFAULT = "standard"
_WITH_NEGATIVES = "with_negatives"


@dataclass(frozen=True)
class TeacherRecipe(Config):
    """How a teacher is trained where none is given.

    Attributes:
        size: of the network, as `distill.train_teacher --size`; larger is more accurate, and slower to train.
        training: its TrainConfig. Weights that keep their size want a lower rate than ones of which the sign counts.
    """

    size: str = "base"
    training: TrainConfig = field(default_factory=lambda: TrainConfig(learning_rate=2e-3))

    def __post_init__(self) -> None:
        _make_section(self, "training", TrainConfig)


@dataclass(frozen=True)
class Recipe(Config):
    """The defaults of a run; options override them.

    Attributes:
        about: how long it takes and what for, in words.
        model, features, training, augment: the settings of these names. `augment` is in frames and bands of the default
            features; masks are scaled to others.
        augment_values: in place of `augment`, for tasks of sensors and spectra, which have features of their own.
        distillation: None to learn from the labels alone; else `teachers` and the settings of `distill.DistillConfig`,
            or `teachers` and the name of a `plan`.
        teacher: how the teacher "auto" is trained.
        scheme: how the exits are trained.
    """

    about: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    augment_values: ValuesAugmentConfig = field(default_factory=ValuesAugmentConfig)
    distillation: dict[str, Any] | None = None
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)
    scheme: SchemeConfig = field(default_factory=SchemeConfig)

    def __post_init__(self) -> None:
        self._require(isinstance(self.about, str), "about", "text")
        for name, kind in _SECTIONS.items():
            _make_section(self, name, kind)
        if self.distillation is not None:
            _check_distillation(self.distillation)


_SECTIONS: dict[str, type[Config]] = {
    "model": ModelConfig,
    "features": FeatureConfig,
    "training": TrainConfig,
    "augment": AugmentConfig,
    "augment_values": ValuesAugmentConfig,
    "teacher": TeacherRecipe,
    "scheme": SchemeConfig,
}


def _make_section(config: Config, name: str, kind: type[Config]) -> None:
    """Make what stands in a JSON file into the settings that it is."""
    value = getattr(config, name)
    if isinstance(value, dict):
        object.__setattr__(config, name, kind.from_dict(value))
    elif not isinstance(value, kind):
        raise ArgumentError(f"{name} is {json.dumps(value)}, but must be settings such as {_example(kind)}")


def _example(kind: type[Config]) -> str:
    first = next(iter(kind().to_dict().items()))
    return json.dumps(dict([first]))


def _check_distillation(value: Any) -> None:
    """Checks only the kinds of values; the package distill checks the settings."""
    if not isinstance(value, dict):
        example = '{"teachers": ["auto"]}'
        raise ArgumentError(f"distillation is {json.dumps(value)}, but must be null or settings such as {example}")
    teachers, plan = value.get("teachers", []), value.get("plan", "")
    if not isinstance(teachers, (list, tuple)) or not all(isinstance(path, str) for path in teachers):
        raise ArgumentError(f'teachers is {json.dumps(teachers)}, but must be a list of paths or ["auto"]')
    if not isinstance(plan, str):
        raise ArgumentError(f"plan is {json.dumps(plan)}, but must be the name of a plan or FILE.json")


def shipped() -> dict[str, Path]:
    """The recipes of the package by name."""
    return shipped_in(SHIPPED)


def described() -> str:
    """A line for each recipe of the package, for the help of commands."""
    about = {name: read_json(path)["about"] for name, path in shipped().items()}
    width = max(map(len, about))
    return "\n".join(["recipes:", *(f"  {name:{width}}  {text}" for name, text in about.items())])


def load(source: str, *, task: str, tasks: Collection[str], negatives: bool = False) -> Recipe:
    """The recipe of this name, or in this JSON file, for the task called `task`.

    A section of the task's name changes single settings of the section `default`; text in its place names the section
    of another task. `tasks` are the names that sections may have. The section `with_negatives` changes settings of any
    task that is trained with `negatives`. A recipe whose `like` names one of the package changes single settings of it.

    Raises:
        ArgumentError: an unknown name of a recipe or section, or a setting that breaks a rule.
        DataError: a file that is missing or no JSON.
    """
    values = read_named("recipe", source, shipped())
    try:
        values = _completed(values)
        return Recipe.from_dict(_section(values, task, tasks, negatives) | {"about": values.get("about", "")})
    except ArgumentError as error:
        raise ArgumentError(f"recipe {source!r}: {error}") from error


def _completed(values: Any) -> Any:
    """A recipe with everything that it leaves to the one that it is like."""
    if not isinstance(values, dict) or "like" not in values:
        return values
    like = values["like"]
    if not isinstance(like, str):
        raise ArgumentError(f"like is {json.dumps(like)}, but must be the name of a recipe of the package")
    base = read_json(shipped()[one_of("like", like, shipped())])
    own = {"about": "", **{name: value for name, value in values.items() if name != "like"}}
    return _merged(_completed(base), own)


def _section(values: Any, task: str, tasks: Collection[str], negatives: bool) -> dict[str, Any]:
    if not isinstance(values, dict) or not isinstance(values.get("default"), dict):
        raise ArgumentError('it must be of the form {"default": {"training": {...}, ...}}')
    for name in values:
        one_of("section", name, ["about", "like", "default", _WITH_NEGATIVES, *tasks])
    own = values.get(task, {})
    own = values.get(own) if isinstance(own, str) else own
    if not isinstance(own, dict):
        raise ArgumentError(
            f"the section {task!r} is {json.dumps(values[task])}, but must be settings or another section"
        )
    merged = _merged(values["default"], own)
    if not negatives:
        return merged
    more = values.get(_WITH_NEGATIVES, {})
    if not isinstance(more, dict):
        raise ArgumentError(f"the section {_WITH_NEGATIVES!r} is {json.dumps(more)}, but must be settings")
    return _merged(merged, more)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the single values that `changes` has, at every depth."""
    result = dict(base)
    for name, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _merged(result[name], value) if nested else value
    return result
