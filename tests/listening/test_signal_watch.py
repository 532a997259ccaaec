import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.listening.signal_watch import SignalWatch

RATE = 100


def noise(samples=500, scale=0.1):
    return np.random.default_rng(0).normal(0, scale, samples).astype(np.float32).clip(-0.9, 0.9)


def test_zeros_are_told_once_and_their_end_too():
    watch = SignalWatch(rate_hz=RATE)
    zeros = np.zeros(499, np.float32)
    assert watch.push(zeros) == []
    assert watch.push(zeros[:1]) == [
        "only zeros for 5 s: is the microphone muted, switched off, or the wrong one (--list-devices)?"
    ]
    assert watch.push(np.zeros(1000, np.float32)) == []
    assert watch.push(noise()) == ["the sound is usable again"]
    assert watch.push(noise()) == []


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.full(500, -0.25, np.float32), "every sample is -0.25 for 5 s: is the microphone connected?"),
        (np.full(500, 1, np.float32), "every sample is 1 for 5 s: is the microphone connected?"),
        (np.repeat(np.float32([1, -1]), 250), "100 % of the samples are clipped for 5 s: lower the recording level"),
        (np.r_[np.ones(6, np.float32), noise(494)], "1 % of the samples are clipped for 5 s: lower the recording"),
    ],
)
def test_other_faults(samples, text):
    (line,) = SignalWatch(rate_hz=RATE).push(samples)
    assert line.startswith(text)


def test_a_few_clipped_samples_and_quiet_noise_are_no_fault():
    watch = SignalWatch(rate_hz=RATE)
    assert watch.push(np.r_[np.ones(5, np.float32), noise(495)]) == []
    assert watch.push(noise(scale=1e-5)) == []


def test_one_fault_after_another():
    watch = SignalWatch(rate_hz=RATE)
    lines = watch.push(np.r_[np.zeros(500), np.full(500, 0.5)].astype(np.float32))
    assert [line.split()[0] for line in lines] == ["only", "every"]


@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_the_chunks_do_not_matter(cuts):
    samples = np.r_[np.zeros(700), noise(600), np.full(700, 0.5)].astype(np.float32)
    whole, pieces = SignalWatch(rate_hz=RATE), SignalWatch(rate_hz=RATE)
    found = [line for piece in np.split(samples, sorted(cuts)) for line in pieces.push(piece)]
    assert found == whole.push(samples)
