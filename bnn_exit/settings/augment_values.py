"""Settings of the augmentation of values: windows of sensors, or spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Union

from bnn_exit.errors import ArgumentError
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.base import Config, of_kind
from bnn_exit.settings.values import KIND, Features, ValuesConfig


@dataclass(frozen=True)
class ValuesAugmentConfig(Config):
    """How much a training window is changed; larger values make the task harder and overfitting rarer; 0 is off.

    The changes are those of Um et al. 2017 ("Data augmentation of wearable sensor data for Parkinson's disease
    monitoring using convolutional neural networks", section 3), which suit other sensors and spectra too.

    Attributes:
        jitter: standard deviation of noise that is added to each sample, in standard deviations of its channel.
        scaling: largest relative change of size to either side, one for each channel: other gains of a sensor.
        rotation_deg: largest angle, about a random axis, by which channels that are called alike but for an x, y and z
            at the end or beginning are turned together: a sensor that is worn otherwise.
        time_warp: largest relative change of speed to either side, from place to place in a window: faster and slower
            movements, peaks that lie elsewhere. Below 1.
        shift: largest relative shift in time to either side, of the length of a window; the edge is repeated.
    """

    jitter: float = 0.2
    scaling: float = 0.3
    rotation_deg: float = 45.0
    time_warp: float = 0.2
    shift: float = 0.0

    mix_probability: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(self.jitter >= 0, "jitter", "at least 0")
        self._require(0 <= self.scaling < 1, "scaling", "at least 0 and below 1")
        self._require(0 <= self.rotation_deg <= 180, "rotation_deg", "from 0 to 180")
        self._require(0 <= self.time_warp < 1, "time_warp", "at least 0 and below 1")
        self._require(0 <= self.shift <= 0.5, "shift", "from 0 to 0.5")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the kind of the features."""
        return {"kind": KIND, **super().to_dict()}


AnyAugment = Union[AugmentConfig, ValuesAugmentConfig]


def augment_of(values: dict[str, Any]) -> AnyAugment:
    """The augmentation in what `to_dict` gave; without a kind it is that of log-mels, as in runs of earlier versions.

    Raises:
        ArgumentError: another kind, or a setting that breaks a rule.
    """
    found: AnyAugment = of_kind(
        "augment", values, {"log_mel": AugmentConfig, KIND: ValuesAugmentConfig}, usual="log_mel"
    )
    return found


def usual_augment(features: Features) -> AnyAugment:
    """The default settings for these features."""
    return ValuesAugmentConfig() if isinstance(features, ValuesConfig) else AugmentConfig()


def check_augment(augment: AnyAugment, features: Features) -> AnyAugment:
    """Return `augment` if it suits the features; else ArgumentError."""
    needed = type(usual_augment(features))
    if not isinstance(augment, needed):
        raise ArgumentError(f"augment is {type(augment).__name__}, but these features need {needed.__name__}")
    return augment
