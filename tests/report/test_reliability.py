import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.errors import ArgumentError
from bnn_exit.report.reliability import reliability


def random_answers(seed, clips=200, classes=4):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.4), clips), rng.integers(0, classes, clips)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 60))
def test_the_error_is_what_a_loop_over_the_bins_gives(seed, bins, clips):
    outputs, labels = random_answers(seed, clips)
    found = reliability(outputs, labels, bins=bins)
    error = 0.0
    for index in range(bins):
        inside = [clip for clip in range(clips) if index / bins < outputs[clip].max() <= (index + 1) / bins]
        assert found.counts[index] == len(inside)
        if inside:
            confidence = np.mean([outputs[clip].max() for clip in inside])
            accuracy = np.mean([outputs[clip].argmax() == labels[clip] for clip in inside])
            assert found.confidence[index] == pytest.approx(confidence)
            assert found.accuracy[index] == pytest.approx(accuracy)
            error += len(inside) / clips * abs(accuracy - confidence)
        else:
            assert np.isnan(found.confidence[index]) and np.isnan(found.accuracy[index])
    assert found.error == pytest.approx(error)
    assert 0 <= found.error <= 1


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    certain = np.eye(3)[[0, 1, 2, 0]]
    assert reliability(certain, [0, 1, 2, 0]).error == 0
    assert reliability(certain, [1, 2, 0, 1]).error == 1
    assert reliability(certain, [0, 1, 0, 1]).error == 0.5


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    found = reliability([[0.5, 0.5], [0.6, 0.4], [1.0, 0.0]], [0, 0, 0], bins=10)
    assert np.flatnonzero(found.counts).tolist() == [4, 5, 9]


@pytest.mark.parametrize(
    ("outputs", "labels", "bins", "message"),
    [
        (np.zeros((0, 3)), [], 15, r"shapes \(0, 3\) and \(0,\), but must be .* at least one clip"),
        (np.eye(3), [0, 1], 15, r"shapes \(3, 3\) and \(2,\)"),
        (np.eye(3)[0], [0], 15, r"shapes \(3,\) and \(1,\)"),
        (np.eye(3), [0, 1, 2], 0, "bins is 0, but must be at least 1"),
    ],
)
def test_bad_arguments_are_named(outputs, labels, bins, message):
    with pytest.raises(ArgumentError, match=message):
        reliability(outputs, labels, bins=bins)
