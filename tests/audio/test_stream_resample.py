import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.audio.resample import resample
from bnn_exit.audio.stream_resample import StreamResampler
from bnn_exit.errors import ArgumentError


def pushed(samples, sizes, **rates):
    resampler, parts, at = StreamResampler(**rates), [], 0
    for size in [*sizes, len(samples)]:
        parts.append(resampler.push(samples[at : at + size]))
        at += size
    return np.concatenate(parts)


@settings(max_examples=40, deadline=None)
@given(
    from_hz=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000]),
    to_hz=st.sampled_from([8000, 16000, 44100]),
    sizes=st.lists(st.integers(0, 700), max_size=30),
    seed=st.integers(0, 99),
)
def test_every_chunking_gives_the_same_bits_and_those_of_the_whole(from_hz, to_hz, sizes, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, 6000).astype(np.float32)
    made = pushed(samples, sizes, from_hz=from_hz, to_hz=to_hz)
    np.testing.assert_array_equal(made, pushed(samples, [], from_hz=from_hz, to_hz=to_hz))
    np.testing.assert_allclose(made, resample(samples, from_hz=from_hz, to_hz=to_hz)[: len(made)], atol=3e-6)


@pytest.mark.parametrize("from_hz", [8000, 44100, 48000, 192000])
def test_it_waits_for_less_than_40_ms(from_hz):
    made = StreamResampler(from_hz=from_hz, to_hz=16000).push(np.zeros(from_hz, np.float32))
    assert 16000 * 0.96 < len(made) <= 16000


def test_odd_rates_work():
    samples = np.random.default_rng(1).uniform(-1, 1, 3000).astype(np.float32)
    made = pushed(samples, [17, 900], from_hz=16001, to_hz=16000)
    np.testing.assert_allclose(made, resample(samples, from_hz=16001, to_hz=16000)[: len(made)], atol=3e-6)
    assert len(made) > 2700


def test_a_reset_begins_after_silence():
    resampler = StreamResampler(from_hz=48000, to_hz=16000)
    samples = np.random.default_rng(2).uniform(-1, 1, 4800).astype(np.float32)
    first = resampler.push(samples)
    resampler.reset()
    np.testing.assert_array_equal(resampler.push(samples), first)


def test_equal_rates_change_nothing():
    samples = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(StreamResampler(from_hz=16000, to_hz=16000).push(samples), samples)


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(ArgumentError, match="from_hz is 0, but must be a whole number"):
        StreamResampler(from_hz=0, to_hz=16000)
