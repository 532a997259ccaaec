"""The native log-mel against the NumPy reference."""

import numpy as np
import pytest
from native.compilers import needs_library
from numpy.lib.stride_tricks import sliding_window_view

from bnn_exit.audio import logmel
from bnn_exit.audio.waveform import check
from bnn_exit.errors import ArgumentError
from bnn_exit.runtime import capabilities
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


def assert_near(found, waveform, features, *, of_loudest=1e-10):
    """Within 2e-5 of the reference's logarithm, and a band far below the loudest bin within 1e-10 of its power."""
    expected = logmel.log_mel(waveform, features)
    assert found.dtype == np.float32 and found.shape == expected.shape
    frames = sliding_window_view(check(waveform), features.window_samples)[:: features.hop_samples]
    loudest = np.abs(np.fft.rfft(frames * logmel.window(features), n=features.fft_size)).max() ** 2
    power, reference = np.exp(np.float64(found)), np.exp(np.float64(expected))
    np.testing.assert_array_less(np.abs(power - reference), 2e-5 * reference + of_loudest * loudest)


@pytest.mark.parametrize("isa", capabilities()["isas"])
@pytest.mark.parametrize("name", SETTINGS)
def test_log_mel_is_that_of_the_reference(name, isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
    features = SETTINGS[name]
    for waveform in waveforms(features):
        assert_near(FrontEnd(features).log_mel(waveform), waveform, features)


@pytest.mark.parametrize("isa", capabilities()["isas"])
@pytest.mark.parametrize("seed", range(40))
def test_log_mel_of_random_settings_is_that_of_the_reference(seed, isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
    random = np.random.default_rng(seed)
    size = 2 ** int(random.integers(1, 13))
    features = FeatureConfig(
        sample_rate_hz=1000,
        window_ms=int(random.integers(2, size + 1)),
        hop_ms=int(random.integers(1, 2 * size + 1)),
        fft_size=size,
        num_mels=int(random.integers(1, 100)),
        lower_hz=float(random.uniform(0, 200)),
        upper_hz=float(random.uniform(250, 500)),
        log_offset=10 ** float(random.uniform(-12, 0)),
    )
    samples = features.window_samples + int(random.integers(0, 40 * features.hop_samples))
    waveform = random.normal(0, 0.1, samples) + 0.5 * np.sin(np.arange(samples) * random.uniform(0, np.pi))
    waveform = waveform.astype(np.float32)
    # An amplitude beside a tone is rounded to 7e-8 of the tone's. In one of 400 such settings that is 2.3e-10 of the
    # loudest power beyond the 2e-5.
    assert_near(FrontEnd(features).log_mel(waveform), waveform, features, of_loudest=3e-10)


@pytest.mark.parametrize(
    "change",
    [
        {"fft_size": 2, "window_ms": 2},
        {"fft_size": 4, "window_ms": 3},
        {"fft_size": 8, "window_ms": 8},
        {"log_offset": 1e-37},
        {"log_offset": 1e-31},
    ],
)
def test_settings_that_vectors_cannot_do_are_computed_as_closely_as_by_the_reference(change):
    usual = {"sample_rate_hz": 1000, "window_ms": 16, "fft_size": 16, "lower_hz": 0.0, "upper_hz": 500.0, "num_mels": 3}
    features = FeatureConfig(**(usual | {"hop_ms": 3} | change))
    waveform = np.random.default_rng(0).normal(0, 1e-15, 500).astype(np.float32)
    found, expected = FrontEnd(features).log_mel(waveform), logmel.log_mel(waveform, features)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("isa", capabilities()["isas"])
def test_logarithms_are_exact_to_the_last_digits_over_the_range_of_float32(isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
    # One band that is its offset alone: silence.
    for exponent in np.linspace(-29, 38, 200):
        features = FeatureConfig(log_offset=float(10**exponent))
        found = FrontEnd(features).log_mel(np.zeros(400, np.float32))
        np.testing.assert_allclose(found, np.log(np.float32(features.log_offset)), rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("isa", capabilities()["isas"])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33])
def test_a_frame_is_the_same_however_many_are_made_at_once(frames, isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
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
    assert_near(front_end.log_mel(whole), whole, FeatureConfig())
    with pytest.raises(ArgumentError, match="waveform has 10 samples, but must have at least the window of 400"):
        front_end.log_mel(np.zeros(10, np.float32))
    with pytest.raises(ArgumentError, match="waveform has 1 NaN"):
        front_end.log_mel(np.full(800, np.nan, np.float32)[:1])
