"""Every setting of a run: the content of config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bnn_exit.errors import INSTALL, ArgumentError, DataError, one_of
from bnn_exit.files import read_json_object, write_json
from bnn_exit.settings.allocation import AllocationConfig
from bnn_exit.settings.augment_values import AnyAugment, augment_of
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.recipes import TeacherRecipe
from bnn_exit.settings.scheme import SchemeConfig
from bnn_exit.settings.training import TrainConfig
from bnn_exit.settings.values import Features, features_of

CONFIG = "config.json"
FORMAT_VERSION = 1

_Settings = TypeVar("_Settings")


@dataclasses.dataclass(frozen=True)
class RunTask:
    """What a run remembers of its task: enough to load it again, and to export without it.

    Attributes:
        name, options: `audio_tasks.load(name, features=features, **options)` loads it.
        labels, clip_samples, features, licence, attribution: as in the task.
    """

    name: str
    options: dict[str, Any]
    labels: tuple[str, ...]
    clip_samples: int
    features: Features
    licence: str
    attribution: str

    @classmethod
    def of(cls, task: Any) -> RunTask:
        """Of a loaded task."""
        return cls(**{field.name: getattr(task, field.name) for field in dataclasses.fields(cls)})

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**values, "features": self.features.to_dict()}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one network input: (frames, mels, 1), or of values (samples, 1, channels)."""
        return self.features.input_shape(self.clip_samples)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunTask:
        """From `to_dict`."""
        features, labels = features_of(values["features"]), tuple(values["labels"])
        for name in ("name", "licence", "attribution"):
            if not isinstance(values[name], str):
                raise ArgumentError(f"{name} is {values[name]!r}, but must be text")
        if not isinstance(values["labels"], list) or not all(isinstance(label, str) for label in labels):
            raise ArgumentError(f"labels is {values['labels']!r}, but must be a list of texts")
        if not isinstance(values["options"], dict):
            raise ArgumentError(f"options is {values['options']!r}, but must be settings")
        samples = values["clip_samples"]
        if not isinstance(samples, int) or isinstance(samples, bool) or not 1 <= samples < 2**31:
            raise ArgumentError(f"clip_samples is {samples!r}, but must be a whole number of at least 1")
        return cls(**{**values, "features": features, "labels": labels})


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Every setting of a run.

    Attributes:
        task, model, augment, training: the task, the network, the augmentation and the training.
        distillation: None, or `teachers` (paths, or "auto" for one that is trained in the run folder) and `plan`, a
            `settings.plan.Plan`, or for one step the settings of `settings.distillation.DistillConfig`.
        teacher: how the teacher "auto" is trained.
        input: what model.tflite takes: "log_mel" or "waveform" of sound, "values" of sensors; None: the usual one of
            the features.
        policy: name of the policy that model.tflite is exported with; None is the default one.
        background: labels that are background to that policy; none are those called unknown and silence.
        scheme: how the exits are trained; of a plan, the last step.
        allocation: how the blocks of the stages are searched for; None: they are not. What was found stands in `model`.
    """

    task: RunTask
    model: ModelConfig
    augment: AnyAugment
    training: TrainConfig
    distillation: dict[str, Any] | None = None
    teacher: TeacherRecipe = dataclasses.field(default_factory=TeacherRecipe)
    input: str | None = None
    policy: str | None = None
    background: tuple[str, ...] = ()
    scheme: SchemeConfig = dataclasses.field(default_factory=SchemeConfig)
    allocation: AllocationConfig | None = None

    def __post_init__(self) -> None:
        allowed = self.task.features.inputs
        object.__setattr__(self, "input", one_of("input", allowed[0] if self.input is None else self.input, allowed))

    @property
    def searches_blocks(self) -> bool:
        """Whether the blocks of the stages are still to be found."""
        return self.allocation is not None and not self.model.blocks

    def save(self, folder: Path) -> None:
        """Write config.json."""
        write_json(
            folder / CONFIG,
            {
                "format": FORMAT_VERSION,
                "task": self.task.to_dict(),
                "features": self.task.features.to_dict(),
                "model": self.model.to_dict(),
                "augment": self.augment.to_dict(),
                "training": self.training.to_dict(),
                "distillation": self.distillation,
                "teacher": self.teacher.to_dict(),
                "input": self.input,
                "scheme": self.scheme.to_dict(),
                **({} if self.policy is None else {"policy": self.policy, "background": list(self.background)}),
                **({} if self.allocation is None else {"allocation": self.allocation.to_dict()}),
            },
        )

    @classmethod
    def load(cls, folder: Path, *, advice: str = "start the training again") -> RunConfig:
        """Read config.json; DataError, which ends in `advice`, if the folder is no run or it cannot be read."""
        path = config_of(folder, kind="run", maker="bnn_exit.train")

        def made(values: dict[str, Any]) -> RunConfig:
            if "model" not in values and "teacher" in values:
                raise DataError(
                    f"{str(folder)!r} is a teacher, not a run of a student: python -m distill.train_teacher --resume "
                    f"{folder} resumes it, and --teacher {folder} learns from it"
                )
            distillation = values.get("distillation")
            if not isinstance(distillation, (dict, type(None))):
                raise ArgumentError(f"distillation is {distillation!r}, but must be null or settings")
            return cls(
                RunTask.from_dict(values["task"]),
                ModelConfig.from_dict(values["model"]),
                augment_of(values["augment"]),
                TrainConfig.from_dict(values["training"]),
                distillation,
                TeacherRecipe.from_dict(values.get("teacher", {})),
                values.get("input"),
                *_policy_of(values),
                SchemeConfig.from_dict(values.get("scheme", {})),
                AllocationConfig.from_dict(values["allocation"]) if "allocation" in values else None,
            )

        return read_settings(path, made, advice=advice)


def _policy_of(values: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    policy, background = values.get("policy"), values.get("background", [])
    if not isinstance(policy, (str, type(None))):
        raise ArgumentError(f"policy is {policy!r}, but must be the name of one")
    if not isinstance(background, list) or not all(isinstance(label, str) for label in background):
        raise ArgumentError(f"background is {background!r}, but must be a list of labels")
    return policy, tuple(background)


def config_of(folder: Path, *, kind: str, maker: str) -> Path:
    """The path of config.json in the folder of a run or teacher; ArgumentError, with what makes one, if it is none."""
    check_folder(folder, kind=kind, maker=maker)
    path = folder / CONFIG
    if not path.is_file():
        raise ArgumentError(f"{str(folder)!r} is no {kind}: it has no config.json ({maker} makes {kind}s)")
    return path


def check_folder(folder: Path, *, kind: str = "run", maker: str = "bnn_exit.train") -> None:
    """ArgumentError, with what makes a run or teacher, if there is no such folder."""
    if not folder.is_dir():
        raise ArgumentError(f"{str(folder)!r} is no {kind}: there is no such folder ({maker} makes {kind}s)")


def read_settings(path: Path, made: Callable[[dict[str, Any]], _Settings], *, advice: str) -> _Settings:
    """What `made` makes of the settings in a config.json.

    Raises:
        DataError: the file is damaged, written by a newer version or not what `made` takes; `advice` is what to do.
    """
    try:
        values = read_json_object(path)
        if values["format"] > FORMAT_VERSION:
            raise DataError(
                f"{path} is of format {values['format']}, this bnn_exit reads up to {FORMAT_VERSION}: "
                f"update it, then {INSTALL}"
            )
        return made(values)
    except DataError:
        raise
    except Exception as error:  # the folder may come from elsewhere: whatever its values cause
        raise DataError(f"{path} cannot be read ({error!r}): {advice}") from error
