"""How log-mel features are made of a waveform."""

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar

from bnn_exit.settings.base import Config

# What a log-mel may ask for, so that a file cannot ask for everything. bnn_exit.h has the same numbers under the same
# names; a test compares them.
MIN_SAMPLE_RATE_HZ = 1000
MAX_SAMPLE_RATE_HZ = 192000
MAX_FFT_SIZE = 1 << 20
MAX_HOP_SAMPLES = 1 << 20
MAX_MELS = 4096
MAX_MEL_WEIGHTS = 1 << 24
"""Bands times bins of the spectrum."""

INPUTS = ("log_mel", "waveform")
"""What a model file for sound may take. With waveform the front end is in the file."""


@dataclasses.dataclass(frozen=True)
class FeatureConfig(Config):
    """The one log-mel specification: log_mel = ln(mel_weights @ |rfft(hann * frame)|^2 + log_offset).

    Attributes:
        sample_rate_hz: samples per second of the waveform the features are made from.
        window_ms: length of one frame. Longer resolves frequency better, time worse.
        hop_ms: distance between frames. Smaller gives more frames, so more detail and more work.
        fft_size: points of the FFT, a power of two, at least the window and at most MAX_FFT_SIZE; the frame is padded
            with zeros at its end.
        num_mels: mel bands, at most MAX_MELS; triangles of height 1 (HTK mel scale, no area normalisation).
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

    inputs: ClassVar[tuple[str, ...]] = INPUTS

    def __post_init__(self) -> None:
        self._require_kinds()
        self._require(
            MIN_SAMPLE_RATE_HZ <= self.sample_rate_hz <= MAX_SAMPLE_RATE_HZ,
            "sample_rate_hz",
            f"from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}",
        )
        self._require(2 <= self.window_samples <= MAX_FFT_SIZE, "window_ms", f"from two to {MAX_FFT_SIZE} samples long")
        self._require(1 <= self.hop_samples <= MAX_HOP_SAMPLES, "hop_ms", f"from one to {MAX_HOP_SAMPLES} samples long")
        self._require(
            self.window_samples <= self.fft_size <= MAX_FFT_SIZE and self.fft_size & (self.fft_size - 1) == 0,
            "fft_size",
            f"a power of two, at least the window of {self.window_samples} samples and at most {MAX_FFT_SIZE}",
        )
        most = min(MAX_MELS, MAX_MEL_WEIGHTS // (self.fft_size // 2 + 1))
        self._require(1 <= self.num_mels <= most, "num_mels", f"from 1 to {most} with an fft_size of {self.fft_size}")
        self._require(self.lower_hz >= 0, "lower_hz", "at least 0")
        self._require(
            self.lower_hz < self.upper_hz <= self.sample_rate_hz / 2,
            "upper_hz",
            f"above lower_hz ({self.lower_hz}) and at most half the sample rate ({self.sample_rate_hz / 2})",
        )
        self._require(self.log_offset > 0, "log_offset", "above 0")

    @functools.cached_property
    def window_samples(self) -> int:
        """Samples in one frame."""
        return self._samples(self.window_ms)

    @functools.cached_property
    def hop_samples(self) -> int:
        """Samples from the start of one frame to the start of the next."""
        return self._samples(self.hop_ms)

    def _samples(self, milliseconds: float) -> int:
        # Cut to what a number of samples can be: an infinite one cannot be rounded.
        return round(min(max(self.sample_rate_hz * milliseconds / 1000, -1.0), 2.0**31))

    def num_frames(self, num_samples: int) -> int:
        """Whole frames in a waveform of `num_samples`; 0 if it is shorter than a window."""
        return max(0, 1 + (num_samples - self.window_samples) // self.hop_samples)

    def shape(self, clip_samples: int) -> tuple[int, int]:
        """(frames, mels) of the log-mel of a clip."""
        return self.num_frames(clip_samples), self.num_mels

    def input_shape(self, clip_samples: int) -> tuple[int, int, int]:
        """(frames, mels, 1): one network input."""
        return (*self.shape(clip_samples), 1)
