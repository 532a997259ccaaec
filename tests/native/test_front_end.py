"""The native log-mel against the NumPy reference."""

import numpy as np
import pytest
from native.compilers import needs_library

from bnn_exit.audio import logmel
from bnn_exit.errors import ArgumentError
from bnn_exit.runtime.native_backend import FrontEnd
from bnn_exit.settings.features import FeatureConfig

pytestmark = needs_library

SETTINGS = {
    "default": FeatureConfig(),
    "8 kHz": FeatureConfig(sample_rate_hz=8000, fft_size=256, num_mels=40, upper_hz=4000),
    "empty bands": FeatureConfig(fft_size=512, num_mels=128, lower_hz=0),
    "long window": FeatureConfig(window_ms=64, hop_ms=7, fft_size=1024, log_offset=1e-3),
    "short": FeatureConfig(
        sample_rate_hz=1000, window_ms=2, hop_ms=1, fft_size=2, num_mels=1, lower_hz=0, upper_hz=500
    ),
    "quarter": FeatureConfig(
        sample_rate_hz=1000, window_ms=4, hop_ms=3, fft_size=4, num_mels=2, lower_hz=0, upper_hz=500
    ),
}


def waveforms(features):
    random = np.random.default_rng(5)
    size = features.sample_rate_hz
    time = np.arange(size) / size
    yield random.normal(0, 0.1, size).astype(np.float32)
    yield (0.9 * np.sin(2 * np.pi * 0.11 * size * time)).astype(np.float32)  # leaks where the window is not exact
    yield np.zeros(size, np.float32)
    yield np.eye(1, size, features.window_samples // 2, dtype=np.float32)[0]


@pytest.mark.parametrize("name", SETTINGS)
def test_log_mel_is_that_of_the_reference(name):
    features = SETTINGS[name]
    for waveform in waveforms(features):
        found, expected = FrontEnd(features).log_mel(waveform), logmel.log_mel(waveform, features)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("frames", range(1, 10))
def test_a_frame_is_the_same_however_many_are_made_at_once(frames):
    features = FeatureConfig()
    samples = features.window_samples + (frames - 1) * features.hop_samples + 3
    waveform = np.random.default_rng(frames).normal(0, 0.1, samples).astype(np.float32)
    front_end = FrontEnd(features)
    whole = front_end.log_mel(waveform)
    assert whole.shape == (frames, features.num_mels)
    for index in range(frames):
        start = index * features.hop_samples
        one = front_end.log_mel(waveform[start : start + features.window_samples])
        np.testing.assert_array_equal(one[0], whole[index])


def test_int16_and_errors_are_those_of_the_reference():
    front_end = FrontEnd(FeatureConfig())
    whole = np.random.default_rng(0).integers(-(2**15), 2**15, 800).astype(np.int16)
    np.testing.assert_allclose(front_end.log_mel(whole), logmel.log_mel(whole, FeatureConfig()), rtol=1e-6, atol=2e-6)
    with pytest.raises(ArgumentError, match="waveform has 10 samples, but must have at least the window of 400"):
        front_end.log_mel(np.zeros(10, np.float32))
    with pytest.raises(ArgumentError, match="waveform has 1 NaN"):
        front_end.log_mel(np.full(800, np.nan, np.float32)[:1])
