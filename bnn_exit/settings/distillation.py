"""Settings of distillation."""

from __future__ import annotations

from dataclasses import dataclass

from bnn_exit.errors import ArgumentError
from bnn_exit.settings.base import Config

_EXAMPLE = '{"student": "stage_1", "teacher": "stage_2", "weight": 1.0}'


@dataclass(frozen=True)
class Pair(Config):
    """Two layers whose features should agree.

    Attributes:
        student: name of a layer of the student: `stage_1` and so on, or inside stages `s1_b2`, the convolution of the
            second block of the first, and `s1_b2_out`, what that block gives; the same in every precision.
        teacher: name of a layer of the teacher's network: those with names of their own of a folder (`stage_2`,
            `stage_2_block_1`; of a student's run as above), all but the input of a Keras file.
        weight: of their difference in the loss, above 0.
    """

    student: str = ""
    teacher: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        self._require_kinds()
        for name in ("student", "teacher"):
            value = getattr(self, name)
            self._require(isinstance(value, str) and bool(value), name, "the name of a layer")
        self._require(self.weight > 0, "weight", "above 0")


@dataclass(frozen=True)
class DistillConfig(Config):
    """Weights of the teacher's signals in the loss.

    Attributes:
        temperature: of soft labels; higher gives unlikely classes more weight.
        teacher_weight: share of the teacher's soft labels in the loss of each exit, from 0 (labels alone) to 1.
        deepest_weight: weight of the deepest exit's soft labels in the loss of the earlier ones; 0 is off.
        views: augmented versions of each clip, at most one for each epoch. Teacher and student get the same version;
            more is more accurate, and each takes a pass of the teacher. 0: the teacher gets the recorded clips once, as
            a teacher of waveforms always does.
        features: pairs of layers whose features should agree (`losses.feature_loss`).
        attention: pairs of layers whose energy should be at the same positions (`losses.attention_loss`). With any
            pairs the teacher runs on every batch of the student, a pass of the teacher each epoch.
    """

    temperature: float = 2.0
    teacher_weight: float = 0.7
    deepest_weight: float = 0.0
    views: int = 20
    features: tuple[Pair, ...] = ()
    attention: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(self.temperature > 0, "temperature", "above 0")
        self._require(0 <= self.teacher_weight <= 1, "teacher_weight", "from 0 to 1")
        self._require(self.deepest_weight >= 0, "deepest_weight", "at least 0")
        self._require(self.views >= 0, "views", "at least 0")
        for name in ("features", "attention"):
            self._require(isinstance(getattr(self, name), (tuple, list)), name, f"a list of pairs such as {_EXAMPLE}")
            object.__setattr__(self, name, tuple(_pair(name, value) for value in getattr(self, name)))


def _pair(name: str, value: object) -> Pair:
    if isinstance(value, Pair):
        return value
    if not isinstance(value, dict):
        raise ArgumentError(f"{name} holds {value!r}, but must hold pairs of layers such as {_EXAMPLE}")
    return Pair.from_dict(value)
