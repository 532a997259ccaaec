"""Every setting that shapes a model or a run, as frozen dataclasses that go to JSON and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any, TypeVar

from bnn_exit.errors import ArgumentError, one_of

_Config = TypeVar("_Config", bound="Config")


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of the settings: `to_dict`, `from_dict` and a digest for cache keys."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls: type[_Config], values: dict[str, Any]) -> _Config:
        """The settings in `values`. An unknown name raises ArgumentError with the nearest known one."""
        names = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            one_of(f"setting of {cls.__name__}", name, names)
        try:
            return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
        except TypeError as error:
            raise ArgumentError(f"{cls.__name__}: {error}") from error

    def digest(self) -> str:
        """A short fingerprint, equal exactly for equal settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def _require_kinds(self) -> None:
        """Whole numbers in the `int` settings, finite numbers in the `float` ones; call it before any arithmetic."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if field.type == "int":
                self._require(number and isinstance(value, int), field.name, "a whole number")
            elif field.type == "float":
                self._require(number and math.isfinite(value), field.name, "a finite number")
                # 25 and 25.0 are equal, so they must have one digest.
                object.__setattr__(self, field.name, float(value))

    def _require(self, condition: bool, name: str, rule: str) -> None:
        if not condition:
            raise ArgumentError(f"{name} is {getattr(self, name)!r}, but must be {rule}")


@dataclasses.dataclass(frozen=True)
class FeatureConfig(Config):
    """The one log-mel specification: log_mel = ln(mel_weights @ |rfft(hann * frame)|^2 + log_offset).

    Attributes:
        sample_rate_hz: samples per second of the waveform the features are made from.
        window_ms: length of one frame. Longer resolves frequency better, time worse.
        hop_ms: distance between frames. Smaller gives more frames, so more detail and more work.
        fft_size: points of the FFT, at least the window; the frame is padded with zeros at its end.
        num_mels: mel bands; triangles of height 1 (HTK mel scale, no area normalisation).
        lower_hz, upper_hz: the range that the bands cover.
        log_offset: added before the logarithm; larger hides quieter sounds.
    """

    sample_rate_hz: int = 16000
    window_ms: float = 25.0
    hop_ms: float = 10.0
    fft_size: int = 512
    num_mels: int = 64
    lower_hz: float = 60.0
    upper_hz: float = 7800.0
    log_offset: float = 1e-6

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(1000 <= self.sample_rate_hz <= 192000, "sample_rate_hz", "from 1000 to 192000")
        self._require(self.window_samples >= 2, "window_ms", "at least two samples long")
        self._require(self.hop_samples >= 1, "hop_ms", "at least one sample long")
        self._require(
            self.fft_size >= self.window_samples and self.fft_size & (self.fft_size - 1) == 0,
            "fft_size",
            f"a power of two and at least the window of {self.window_samples} samples",
        )
        self._require(self.num_mels >= 1, "num_mels", "at least 1")
        self._require(self.lower_hz >= 0, "lower_hz", "at least 0")
        self._require(
            self.lower_hz < self.upper_hz <= self.sample_rate_hz / 2,
            "upper_hz",
            f"above lower_hz ({self.lower_hz}) and at most half the sample rate ({self.sample_rate_hz / 2})",
        )
        self._require(self.log_offset > 0, "log_offset", "above 0")

    @property
    def window_samples(self) -> int:
        """Samples in one frame."""
        return round(self.sample_rate_hz * self.window_ms / 1000)

    @property
    def hop_samples(self) -> int:
        """Samples from the start of one frame to the start of the next."""
        return round(self.sample_rate_hz * self.hop_ms / 1000)

    def num_frames(self, num_samples: int) -> int:
        """Whole frames in a waveform of `num_samples`; 0 if it is shorter than a window."""
        return max(0, 1 + (num_samples - self.window_samples) // self.hop_samples)
