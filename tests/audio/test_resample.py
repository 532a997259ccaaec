"""The resampler against scipy's polyphase filter, and against sines, whose resampled form is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.audio.resample import CUTOFF, KAISER_BETA, ZERO_CROSSINGS, half_width, kernel, resample
from bnn_exit.errors import ArgumentError

RATES = [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (11025, 16000), (16000, 44100), (16001, 15999)]


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, size).astype(np.float32)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
@pytest.mark.parametrize("size", [1, 50, 4001])
def test_is_scipys_polyphase_filter_with_our_kernel(from_hz, to_hz, size):
    signal = pytest.importorskip("scipy.signal")
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    reach = half_width(up, down) * up
    taps = kernel(np.arange(-reach, reach + 1), up, down)
    expected = signal.resample_poly(noise(size).astype(np.float64), up, down, window=taps / up)
    resampled = resample(noise(size), from_hz=from_hz, to_hz=to_hz)
    assert resampled.dtype == np.float32 and resampled.shape == expected.shape
    np.testing.assert_allclose(resampled, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_agrees_with_scipys_default_filter_well_below_the_cutoff(from_hz, to_hz):
    signal = pytest.importorskip("scipy.signal")
    # A Gaussian pulse at 500 Hz: no edges, nothing near any cutoff. The default filter of scipy has 60 dB.
    time = np.arange(from_hz // 10) / from_hz - 0.05
    pulse = np.sin(2 * np.pi * 500 * time) * np.exp(-((time / 0.01) ** 2))
    divisor = math.gcd(from_hz, to_hz)
    expected = signal.resample_poly(pulse, to_hz // divisor, from_hz // divisor)
    np.testing.assert_allclose(resample(pulse, from_hz=from_hz, to_hz=to_hz), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.6, 0.9])
def test_a_sine_in_the_pass_band_keeps_its_phase_and_height(from_hz, to_hz, fraction):
    hz = fraction * min(from_hz, to_hz) / 2
    sine = np.sin(2 * np.pi * hz * np.arange(from_hz // 4) / from_hz + 0.3)
    resampled = resample(sine, from_hz=from_hz, to_hz=to_hz)
    expected = np.sin(2 * np.pi * hz * np.arange(len(resampled)) / to_hz + 0.3)
    inner = slice(len(expected) // 4, -len(expected) // 4)  # the ends see silence beyond the waveform
    np.testing.assert_allclose(resampled[inner], expected[inner], rtol=0, atol=2e-4)


@pytest.mark.parametrize("hz", [8300, 9000, 12000, 15900, 16100, 21000])
def test_a_sine_above_the_new_nyquist_is_80_db_down(hz):
    sine = np.sin(2 * np.pi * hz * np.arange(44100) / 44100)
    assert np.abs(resample(sine, from_hz=44100, to_hz=16000)[2000:-2000]).max() < 1e-4


def test_images_of_a_sine_are_80_db_down_when_the_rate_rises():
    sine = np.sin(2 * np.pi * 3000 * np.arange(8000) / 8000)
    resampled = resample(sine, from_hz=8000, to_hz=16000)[2000:-2000]
    expected = np.sin(2 * np.pi * 3000 * np.arange(16000) / 16000)[2000:-2000]
    assert np.abs(resampled - expected).max() < 1e-4


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(1000, 50000), st.integers(1000, 50000))
def test_any_rates_give_the_length_and_the_sum_they_should(size, from_hz, to_hz):
    waveform = np.hanning(size + 2)[1:-1].astype(np.float32)
    resampled = resample(waveform, from_hz=from_hz, to_hz=to_hz)
    assert resampled.shape == (-(-size * to_hz // from_hz),)
    assert np.isfinite(resampled).all() and np.abs(resampled).max() < 1.5


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_long_waveform_is_its_parts(from_hz, to_hz):
    """Blocks meet without a seam: an impulse far into a long waveform gives what it gives in a short one."""
    divisor = math.gcd(from_hz, to_hz)
    shift = from_hz // divisor * -(-200_000 // (from_hz // divisor))
    short = np.zeros(3000, np.float32)
    short[1500] = 1
    long = np.zeros(shift + 3000, np.float32)
    long[shift + 1500] = 1
    expected = resample(short, from_hz=from_hz, to_hz=to_hz)
    resampled = resample(long, from_hz=from_hz, to_hz=to_hz)
    start = shift * to_hz // from_hz
    np.testing.assert_allclose(resampled[start : start + len(expected)], expected, rtol=0, atol=1e-6)
    assert not resampled[: start // 2].any()


def test_equal_rates_change_nothing():
    waveform = noise(100)
    np.testing.assert_array_equal(resample(waveform, from_hz=8000, to_hz=8000), waveform)


@pytest.mark.parametrize("name", ["from_hz", "to_hz"])
@pytest.mark.parametrize("rate", [0, -8000, 44.1, "8000", None])
def test_a_bad_rate_is_named(name, rate):
    rates = {"from_hz": 8000, "to_hz": 8000, name: rate}
    with pytest.raises(ArgumentError, match=f"^{name} is {rate!r}, but must be a whole number of Hz above 0"):
        resample(noise(10), **rates)


@pytest.mark.parametrize(("up", "down"), [(160, 441), (16000, 767999), (2, 1)])
def test_the_kernel_is_a_sinc_with_a_kaiser_window(up, down):
    reach = half_width(up, down) * up
    offsets = np.unique(np.linspace(-reach, reach, 5001).astype(int))
    cutoff = CUTOFF * min(1.0, up / down)
    crossings = cutoff * offsets / up
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (crossings / ZERO_CROSSINGS) ** 2, 0, None)))
    expected = cutoff * np.sinc(crossings) * window / np.i0(KAISER_BETA) * (abs(crossings) < ZERO_CROSSINGS)
    np.testing.assert_allclose(kernel(offsets, up, down), expected, rtol=1e-12, atol=1e-15 * cutoff)
