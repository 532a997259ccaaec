"""Recordings at an even rate, cut into windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_tasks.samples import Recording
from audio_tasks.windows import Cutting, at_even_rate, cut, spread
from bnn_exit.errors import ArgumentError, DataError


def recording(values, *, labels=None, time=None, name="a", group="anna"):
    values = np.asarray(values, np.float32).reshape(len(values), -1)
    labels = np.array(["walk"] * len(values) if labels is None else labels)
    return Recording(name, group, values, labels, None if time is None else np.asarray(time, np.float64))


def test_windows_their_labels_and_names():
    labels = ["sit"] * 3 + ["walk"] * 7
    first = recording(np.arange(10), labels=labels)
    found = cut([first, recording(np.arange(3), name="b")], Cutting(window_s=2, hop_s=1.5, rate_hz=2))
    assert found.windows.values[:, :, 0].tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert found.windows.labels.tolist() == ["sit", "walk", "walk"]
    assert found.windows.groups.tolist() == ["anna"] * 3 and found.ids == ("a@0", "a@1.5", "a@3")
    assert found.left_out == {"too short for a window": 1} and found.gaps == 0
    dropped = cut([first], Cutting(window_s=2, hop_s=1.5, rate_hz=2, mixed="drop"))
    assert dropped.ids == ("a@1.5", "a@3") and dropped.left_out == {"with more than one label": 1}


def test_windows_with_missing_samples_are_left_out():
    values = np.arange(12, dtype=np.float32)
    values[5] = np.nan
    found = cut([recording(values)], Cutting(window_s=2, hop_s=2, rate_hz=2))
    assert found.ids == ("a@0", "a@4") and found.left_out == {"with missing samples": 1}


def test_time_stamps_give_the_rate_and_values_between():
    # 10 Hz with jitter: what is read off a straight line stays on it.
    random = np.random.default_rng(0)
    time = np.sort(np.arange(100) / 10 + random.uniform(-0.02, 0.02, 100))
    found = cut([recording(np.stack([3 * time, 1 - time], axis=1), time=time)], Cutting(window_s=1, hop_s=1))
    assert found.rate_hz == pytest.approx(10, abs=0.1)
    expected = time[0] + np.arange(found.windows.values.size // 2) / found.rate_hz
    np.testing.assert_allclose(found.windows.values[:, :, 0].ravel(), 3 * expected, atol=1e-4)
    np.testing.assert_allclose(found.windows.values[:, :, 1].ravel(), 1 - expected, atol=1e-4)


def test_labels_are_those_of_the_nearest_sample():
    (found,) = at_even_rate(recording(np.zeros(3), labels=["a", "b", "c"], time=[0, 1, 2]), rate_hz=4, gap_s=2)
    assert found.labels.tolist() == ["a", "a", "a", "b", "b", "b", "b", "c", "c"]


def test_a_gap_makes_two_recordings():
    time = [0, 0.1, 0.2, 0.3, 5.0, 5.1, 5.2, 5.3]
    found = cut([recording(np.arange(8), time=time)], Cutting(window_s=0.3, hop_s=0.1, rate_hz=10, gap_s=1))
    assert found.gaps == 1 and found.ids == ("a/1@0", "a/1@0.1", "a/2@0", "a/2@0.1")
    assert found.windows.values[2, :, 0].tolist() == pytest.approx([4, 5, 6])


def test_samples_of_one_packet_are_spread():
    assert spread(np.array([0.0, 0.0, 0.3, 0.3, 0.3])).tolist() == pytest.approx([0, 0.15, 0.3, 0.4, 0.5])
    assert spread(np.array([2.0])).tolist() == [2.0] and spread(np.array([2.0, 2.0])).tolist() == [2.0, 2.0]


@given(st.lists(st.integers(0, 40), min_size=2, max_size=60))
def test_spread_stamps_rise_and_keep_the_first_of_each_packet(numbers):
    time = np.sort(np.array(numbers, np.float64))
    found = spread(time)
    distinct, first = np.unique(time, return_index=True)
    if len(distinct) > 1:
        assert (np.diff(found) > 0).all()
        np.testing.assert_allclose(found[first], distinct)


@given(st.integers(1, 40), st.integers(2, 12), st.integers(1, 15), st.sampled_from([1.0, 8.0, 50.0]))
def test_as_many_windows_as_fit(samples, length, hop, rate):
    how = Cutting(window_s=length / rate, hop_s=hop / rate, rate_hz=rate)
    starts = range(0, samples - length + 1, hop)
    if not len(starts):
        with pytest.raises(DataError, match=r"no window of .* s is left of 1 recording: 1 too short for a window"):
            cut([recording(np.arange(samples))], how)
        return
    found = cut([recording(np.arange(samples))], how).windows.values[:, :, 0]
    assert found.tolist() == [list(range(start, start + length)) for start in starts]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_s": 0}, "window_s is 0, but must be above 0"),
        ({"hop_s": -1.0}, "hop_s is -1.0, but must be above 0"),
        ({"gap_s": float("nan")}, "gap_s is nan, but must be above 0"),
        ({"rate_hz": -5.0}, "rate_hz is -5.0, but must be above 0, or 0 for that of the recordings"),
        ({"mixed": "kept"}, "mixed is 'kept', but must be one of drop, keep; did you mean 'keep'"),
        ({"window_s": 0.01}, "window_s is 0.01, which is 0 samples at 10 Hz: at least 2 are needed"),
        ({"hop_s": 0.01}, "hop_s is 0.01, which is less than one sample at 10 Hz"),
        ({"rate_hz": 0.0}, "rate_hz is missing: there are no time stamps that tell"),
    ],
)
def test_what_cutting_refuses(change, message):
    with pytest.raises(ArgumentError, match=message):
        cut([recording(np.arange(50))], Cutting(**{"rate_hz": 10.0, **change}))
