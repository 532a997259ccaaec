"""The NumPy log-mel against golden vectors made by librosa, against librosa itself, and against its own rules."""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.audio.logmel import log_mel, mel_matrix, window
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.features import FeatureConfig

GOLDEN = Path(__file__).parent.parent / "golden"
CONFIGS = {
    "default": FeatureConfig(),
    "8khz": FeatureConfig(
        sample_rate_hz=8000,
        window_ms=24,
        hop_ms=12,
        fft_size=256,
        num_mels=40,
        lower_hz=0,
        upper_hz=4000,
        log_offset=1e-5,
    ),
}
SIGNALS = ["tones", "chirp", "noise", "quiet", "silence", "click"]


@pytest.fixture(scope="module")
def generator():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_OPT", "0")  # compiles what librosa has of Numba in half the time
        pytest.importorskip("numba")
    pytest.importorskip("librosa")
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- golden vectors. A relative error of 1e-4 in mel power is an absolute one of 1e-4 in its logarithm.


@pytest.mark.parametrize("name", CONFIGS)
def test_the_mel_matrix_is_the_golden_one(name):
    with np.load(GOLDEN / f"log_mel_{name}.npz") as golden:
        np.testing.assert_allclose(mel_matrix(CONFIGS[name]), golden["mel_matrix"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_features_are_the_golden_ones(name, signal):
    with np.load(GOLDEN / f"log_mel_{name}.npz") as golden:
        waveform, expected = golden[f"waveform_{signal}"], golden[f"log_mel_{signal}"]
    features = CONFIGS[name]
    made = log_mel(waveform, features)
    assert made.dtype == np.float32
    assert made.shape == expected.shape == (features.num_frames(waveform.size), features.num_mels)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)
    if signal == "silence":
        np.testing.assert_allclose(made, np.log(features.log_offset), rtol=1e-6)
    else:
        assert np.ptp(made) > 0.01  # the comparison above has something to compare


def test_the_golden_files_are_what_the_generator_makes(generator):
    assert generator.CONFIGS == CONFIGS
    for name, features in CONFIGS.items():
        with np.load(GOLDEN / f"log_mel_{name}.npz") as golden:
            waveforms = generator.signals(features.sample_rate_hz)
            assert sorted(waveforms) == sorted(SIGNALS)
            for signal, waveform in waveforms.items():
                np.testing.assert_allclose(golden[f"waveform_{signal}"], waveform, rtol=0, atol=1e-7)
                np.testing.assert_allclose(
                    golden[f"log_mel_{signal}"], generator.log_mel(waveform, features), rtol=0, atol=1e-4
                )


@pytest.mark.parametrize(
    "features",
    [
        FeatureConfig(window_ms=32, fft_size=512),
        FeatureConfig(sample_rate_hz=44100, window_ms=20, hop_ms=7.5, fft_size=1024, num_mels=32, upper_hz=20000),
        FeatureConfig(window_ms=30, hop_ms=20, fft_size=1024, num_mels=10, lower_hz=20, upper_hz=4000),
    ],
)
def test_other_settings_agree_with_librosa_too(generator, features):
    np.testing.assert_allclose(mel_matrix(features), generator.mel_matrix(features), rtol=0, atol=1e-6)
    for waveform in generator.signals(features.sample_rate_hz).values():
        np.testing.assert_allclose(
            log_mel(waveform, features), generator.log_mel(waveform, features), rtol=0, atol=1e-4
        )


# ---- rules


def test_the_formula_frame_by_frame():
    """The docstring's formula, spelled out with loops and a DFT matrix instead of an FFT."""
    features = FeatureConfig(sample_rate_hz=2000, fft_size=64, num_mels=5, lower_hz=50, upper_hz=900, hop_ms=6)
    waveform = np.random.default_rng(0).uniform(-1, 1, 200)
    size, bins = features.fft_size, np.arange(features.fft_size // 2 + 1)
    assert (features.window_samples, features.hop_samples) == (50, 12)
    expected = np.empty((features.num_frames(200), 5))
    for i in range(len(expected)):
        frame = np.zeros(size)
        for n in range(50):
            frame[n] = waveform[i * 12 + n] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 50))
        power = np.abs(np.exp(-2j * np.pi * np.outer(bins, np.arange(size)) / size) @ frame) ** 2
        expected[i] = np.log(power @ mel_matrix(features) + features.log_offset)
    np.testing.assert_allclose(log_mel(waveform, features), expected, rtol=0, atol=1e-5)


def test_the_window_is_periodic_hann():
    made = window(FeatureConfig())
    assert made.dtype == np.float32 and made.shape == (400,)
    np.testing.assert_allclose(made, np.hanning(401)[:-1], rtol=0, atol=1e-7)


def test_mel_bands_are_triangles_of_height_one():
    features = FeatureConfig(fft_size=16384)
    weights = mel_matrix(features)
    assert weights.dtype == np.float32 and weights.shape == (8193, 64)
    assert weights.min() == 0 and weights.max() <= 1 and (weights.max(axis=0) > 0.98).all()
    bins_hz = np.arange(8193) * 16000 / 16384
    assert not weights[(bins_hz < 60) | (bins_hz > 7800)].any()
    first, last = (2595 * np.log10(1 + hz / 700) for hz in (60, 7800))
    peaks = 700 * (10 ** ((first + (last - first) * np.arange(1, 65) / 65) / 2595) - 1)
    np.testing.assert_allclose(bins_hz[weights.argmax(axis=0)], peaks, rtol=0, atol=0.5)


def test_cached_arrays_cannot_be_changed_by_a_caller():
    for array in (mel_matrix(FeatureConfig()), window(FeatureConfig())):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@settings(max_examples=30, deadline=None)
@given(st.integers(400, 3000), st.integers(0, 5))
def test_frames_depend_on_their_own_samples_only(samples, frame):
    """What a stream needs: a frame is the same from a part of the waveform as from the whole."""
    features = FeatureConfig()
    waveform = np.random.default_rng(samples).uniform(-1, 1, samples)
    whole = log_mel(waveform, features)
    frame = min(frame, len(whole) - 1)
    part = log_mel(waveform[frame * 160 : frame * 160 + 400], features)
    assert part.shape == (1, 64)
    np.testing.assert_allclose(part[0], whole[frame], rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 1))
def test_twice_as_loud_is_four_times_the_power(gain):
    features = FeatureConfig(log_offset=1e-12)
    waveform = np.random.default_rng(2).uniform(-0.5, 0.5, 800)
    difference = log_mel(2 * gain * waveform, features) - log_mel(gain * waveform, features)
    np.testing.assert_allclose(difference, np.log(4), rtol=0, atol=1e-4)


def test_int16_is_the_same_waveform():
    waveform = np.random.default_rng(0).integers(-20000, 20000, 1000).astype(np.int16)
    np.testing.assert_array_equal(log_mel(waveform, FeatureConfig()), log_mel(waveform / 32768, FeatureConfig()))


def test_long_audio_is_made_in_blocks():
    features = FeatureConfig()
    waveform = np.random.default_rng(0).uniform(-1, 1, 16000 * 120).astype(np.float32)
    tracemalloc.start()
    made = log_mel(waveform, features)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.shape == (11998, 64)
    assert peak < 40 * 2**20  # all frames at once would take 11998 * 512 * 16 bytes, 94 MiB, and more
    np.testing.assert_allclose(made[1023:1026], log_mel(waveform[1023 * 160 :][:800], features)[:3], rtol=0, atol=1e-5)


def test_too_short_and_otherwise_bad_waveforms_are_refused():
    with pytest.raises(ArgumentError, match=r"has 399 samples, but must have at least the window of 400.*fit_length"):
        log_mel(np.zeros(399, np.float32), FeatureConfig())
    with pytest.raises(ArgumentError, match="one-dimensional"):
        log_mel(np.zeros((1, 16000), np.float32), FeatureConfig())
    with pytest.raises(ArgumentError, match="NaN"):
        log_mel(np.full(16000, np.nan, np.float32), FeatureConfig())
    assert log_mel(np.zeros(400, np.float32), FeatureConfig()).shape == (1, 64)


# ---- a frame is the same bits however many are made at once: what a stream computes is what a clip has


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(sorted(CONFIGS)),
    frames=st.integers(1, 60),
    start=st.integers(0, 60),
    count=st.integers(1, 60),
)
def test_frames_of_a_piece_are_those_of_the_whole_to_the_last_bit(seed, name, frames, start, count):
    features = CONFIGS[name]
    samples = features.window_samples + (frames - 1) * features.hop_samples
    draw = np.random.default_rng(seed)
    waveform = (draw.standard_normal(samples) * 10.0 ** draw.uniform(-5, 0)).astype(np.float32)
    whole = log_mel(waveform, features)
    first = min(start, frames - 1)
    last = min(first + count, frames) - 1
    piece = log_mel(
        waveform[first * features.hop_samples : last * features.hop_samples + features.window_samples], features
    )
    np.testing.assert_array_equal(piece, whole[first : last + 1])


def test_frames_past_the_block_are_those_of_a_piece_to_the_last_bit():
    features = FeatureConfig()
    waveform = np.random.default_rng(3).standard_normal(1500 * features.hop_samples).astype(np.float32) * 0.1
    whole = log_mel(waveform, features)
    for frame in (0, 1022, 1023, 1024, len(whole) - 1):
        piece = waveform[frame * features.hop_samples :][: features.window_samples]
        np.testing.assert_array_equal(log_mel(piece, features)[0], whole[frame])


@pytest.mark.parametrize(
    "features",
    [
        *CONFIGS.values(),
        FeatureConfig(num_mels=1),
        FeatureConfig(num_mels=2),
        FeatureConfig(num_mels=120),  # some bands have no bin
        FeatureConfig(sample_rate_hz=32000, window_ms=40, hop_ms=20, fft_size=2048, upper_hz=14000, num_mels=96),
        FeatureConfig(lower_hz=3000, upper_hz=3100, num_mels=3),
    ],
)
def test_the_bands_are_the_product_with_the_mel_matrix(features):
    waveform = np.random.default_rng(7).standard_normal(features.sample_rate_hz).astype(np.float32) * 0.1
    frames = np.lib.stride_tricks.sliding_window_view(waveform, features.window_samples)[:: features.hop_samples]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(features.window_samples) / features.window_samples)
    power = np.abs(np.fft.rfft(frames * hann, n=features.fft_size)) ** 2
    expected = np.log(power @ mel_matrix(features).astype(np.float64) + features.log_offset)
    np.testing.assert_allclose(log_mel(waveform, features), expected, rtol=1e-6, atol=1e-6)
