"""Files that take values of sensors, through the C interface: as through Python, to the last bit."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import tiny_files
from native import native_stream
from native.compilers import needs_library

import bnn_exit
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file import reader
from bnn_exit.runtime.session import Session

pytestmark = needs_library
CHANNELS, LENGTH = len(tiny_files.VALUES.channels), tiny_files.WINDOW_SAMPLES


@pytest.fixture(scope="module")
def data():
    return tiny_files.adaptive_file(input="values")


@pytest.fixture(scope="module")
def classifier(data):
    return native_stream.Classifier(data)


@pytest.fixture(scope="module")
def session(data):
    return Session(reader.decode(data, place=Path("model.tflite")), backend="native")


def values(samples, seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(0, scale, (samples, CHANNELS)).astype(np.float32)


def test_channels_and_rate(classifier):
    library = classifier.library
    library.bnn_exit_rate_hz.restype = ctypes.c_double
    library.bnn_exit_channel.restype = ctypes.c_char_p
    assert library.bnn_exit_rate_hz(classifier.handle) == 50.0
    assert library.bnn_exit_sample_rate_hz(classifier.handle) == 50
    assert library.bnn_exit_channel_count(classifier.handle) == 2
    assert [library.bnn_exit_channel(classifier.handle, index) for index in (0, 1, 2, -1)] == [
        *(b"acc_x", b"acc_y"),
        *(None, None),
    ]


@pytest.mark.parametrize("samples", [LENGTH, LENGTH + 1, LENGTH + 7])
def test_classify_says_what_predict_says(classifier, session, samples):
    exits = set()
    for seed in range(30):
        clip = values(samples, seed, scale=10 ** (seed % 4 - 1))
        found, expected = classifier.classify(clip, "balanced"), session.predict(clip)
        assert np.array_equal(found.probabilities, expected.probabilities)
        assert (found.exit_index, found.score) == (expected.exit_index, expected.score)
        exits.add(found.exit_index)
    assert len(exits) > 1


def test_values_that_do_not_fit(classifier):
    with pytest.raises(ArgumentError, match="there are 39 samples, but a window of this file has 40"):
        classifier.classify(values(LENGTH - 1), "balanced")
    broken = values(LENGTH)
    broken[5, 1] = np.inf
    with pytest.raises(ArgumentError, match="sample 5 of the values is NaN or infinite"):
        classifier.classify(broken, "balanced")


@pytest.mark.parametrize("chunk", [1, 7, LENGTH, 1000])
@pytest.mark.parametrize("hop_ms", [20, 160, 1000])
def test_windows_of_a_stream(classifier, session, chunk, hop_ms):
    samples = values(300)
    stream = native_stream.Stream(classifier, hop_ms=hop_ms, operating_point="balanced")
    found = [window for at in range(0, 300, chunk) for window in stream.windows(samples[at : at + chunk])]
    expected = bnn_exit.Stream(session, hop_ms=hop_ms, operating_point="balanced").windows(samples)
    hop = hop_ms // 20
    assert len(found) == len(expected) == (300 - LENGTH) // hop + 1
    for number, (window, other) in enumerate(zip(found, expected, strict=True)):
        assert (window.start_s, window.end_s, window.exit_index) == (other.start_s, other.end_s, other.exit_index)
        assert window.start_s == pytest.approx(number * hop / 50)
        alone = session.predict(samples[number * hop : number * hop + LENGTH])
        assert np.array_equal(window.probabilities, other.probabilities)
        assert np.array_equal(window.probabilities, alone.probabilities)


def test_a_gap_in_a_stream(classifier):
    stream = native_stream.Stream(classifier, hop_ms=20)
    assert stream.windows(values(LENGTH - 1)) == []
    stream.reset(lost_samples=11)
    (window,) = stream.windows(values(LENGTH))
    assert window.start_s == pytest.approx((LENGTH - 1 + 11) / 50)


def test_streams_that_cannot_be(classifier):
    with pytest.raises(ArgumentError, match="sample_rate_hz is 100, but the file takes values at 50 Hz"):
        native_stream.Stream(classifier, sample_rate_hz=100)
    with pytest.raises(ArgumentError, match="hop_ms is 30, but must be a multiple of the 20 ms"):
        native_stream.Stream(classifier, hop_ms=30)
    stream = native_stream.Stream(classifier, hop_ms=20)
    with pytest.raises(ArgumentError, match="values of sensors have no full scale, so they cannot be given as int16"):
        stream.push(np.zeros((LENGTH, CHANNELS), np.int16))
    broken = values(LENGTH)
    broken[3, 0] = np.nan
    with pytest.raises(ArgumentError, match="is NaN or infinite"):
        stream.push(broken)
