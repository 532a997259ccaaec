"""Values of sensors, or spectra, as the features of a network: the other kind beside the log-mel of sound."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Union

from bnn_exit.errors import ArgumentError
from bnn_exit.settings.base import Config, of_kind
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.text import text_fault

# What values may ask for, so that a file cannot ask for everything. metadata.cpp has the same numbers.
MAX_RATE_HZ = 1_000_000
MAX_CHANNELS = 4096

KIND = "values"


@dataclasses.dataclass(frozen=True)
class ValuesConfig(Config):
    """Windows `[samples, channels]` as they were measured; the network itself standardises each channel.

    Attributes:
        sample_rate_hz: samples a second, evenly spaced; 1 where there is no time, as in a spectrum.
        channels: their names, in the order of the last axis; names that all differ.

    Example:
        >>> ValuesConfig(sample_rate_hz=50, channels=("acc_x", "acc_y", "acc_z")).input_shape(100)
        (100, 1, 3)
    """

    sample_rate_hz: float = 50.0
    channels: tuple[str, ...] = ("value",)

    inputs: ClassVar[tuple[str, ...]] = (KIND,)
    hop_samples: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(0 < self.sample_rate_hz <= MAX_RATE_HZ, "sample_rate_hz", f"above 0 and at most {MAX_RATE_HZ}")
        named = all(isinstance(name, str) and name and text_fault(name) is None for name in self.channels)
        self._require(
            isinstance(self.channels, tuple)
            and 1 <= len(self.channels) <= MAX_CHANNELS
            and named
            and len(set(self.channels)) == len(self.channels),
            "channels",
            f"from 1 to {MAX_CHANNELS} printable names that all differ",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the kind of the features."""
        return {"kind": KIND, **super().to_dict()}

    def shape(self, clip_samples: int) -> tuple[int, int]:
        """(samples, channels) of a window."""
        return clip_samples, len(self.channels)

    def input_shape(self, clip_samples: int) -> tuple[int, int, int]:
        """(samples, 1, channels): one network input, whose width of 1 makes convolutions one-dimensional."""
        return clip_samples, 1, len(self.channels)


Features = Union[FeatureConfig, ValuesConfig]
"""How the input of a network is made of a clip or window. Both kinds have:

inputs: what a model file may take, the usual one first.
hop_samples: samples from one row of the features to the next.
shape(clip_samples): of the features of one clip, two numbers.
input_shape(clip_samples): of one network input.
"""


def sound_features(features: Features, *, what: str = "this") -> FeatureConfig:
    """The settings of the log-mel; ArgumentError if the features are values, of which there is no sound.

    Args:
        features: of a task or model file.
        what: needs sound, for the message.
    """
    if isinstance(features, ValuesConfig):
        some = ", ".join(features.channels[:6]) + (", ..." if len(features.channels) > 6 else "")
        raise ArgumentError(f"{what} needs sound, but the features are values of sensors ({some})")
    return features


def features_of(values: dict[str, Any]) -> Features:
    """The features in what `to_dict` gave; without a kind it is a log-mel, as in files of earlier versions.

    Raises:
        ArgumentError: another kind, or a setting that breaks a rule.
    """
    found: Features = of_kind("features", values, {"log_mel": FeatureConfig, KIND: ValuesConfig}, usual="log_mel")
    return found
