import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnn_exit import policies
from bnn_exit.errors import ArgumentError
from bnn_exit.policies.uncertainty import Entropy, EntropyNats, Margin, MaxProbability

logit = st.floats(-50, 50, width=32)
logits = st.integers(2, 12).flatmap(lambda classes: hnp.arrays(np.float32, (classes,), elements=logit))


# ----------------------------------------------------------------------------------------------------------- softmax


def test_softmax_of_known_logits():
    assert policies.softmax([0.0, math.log(3.0)]) == pytest.approx([0.25, 0.75], abs=1e-15)


@given(logits)
def test_softmax_is_a_distribution_in_the_order_of_the_logits(values):
    probabilities = policies.softmax(values)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    assert probabilities.min() >= 0
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(probabilities[order]) >= 0)


@given(logits, st.floats(-1e6, 1e6))
def test_softmax_does_not_see_a_shift(values, shift):
    moved = values.astype(np.float64) + shift
    assert policies.softmax(moved) == pytest.approx(policies.softmax(values), abs=1e-8)


def test_softmax_of_huge_logits_is_finite():
    assert policies.softmax([1e30, 0.0, -1e30]).tolist() == [1.0, 0.0, 0.0]


# ----------------------------------------------------------------------------------------------- normalised entropy


def test_entropy_of_a_known_distribution():
    # -(1/2 ln 1/2 + 2 * 1/4 ln 1/4) = 1.5 ln 2, of ln 3.
    assert Entropy.of([0.5, 0.25, 0.25]) == pytest.approx(1.5 * math.log(2) / math.log(3), abs=1e-15)


@given(logits)
def test_entropy_lies_between_0_and_1(values):
    assert 0.0 <= Entropy.of(policies.softmax(values)) <= 1.0


@given(logits, st.randoms(use_true_random=False))
def test_entropy_does_not_see_the_order_of_the_classes(values, random):
    probabilities = policies.softmax(values).tolist()
    shuffled = random.sample(probabilities, len(probabilities))
    assert Entropy.of(shuffled) == Entropy.of(probabilities)


@given(st.integers(2, 1000))
def test_uniform_is_1_and_one_hot_is_0(classes):
    assert Entropy.of(np.full(classes, 1 / classes)) == pytest.approx(1.0, abs=1e-12)
    one_hot = np.zeros(classes)
    one_hot[classes // 2] = 1.0
    assert Entropy.of(one_hot) == 0.0


@given(logits, st.floats(1.0, 20.0))
def test_sharper_logits_are_never_less_certain(values, factor):
    sharp = Entropy.of(policies.softmax(values.astype(np.float64) * factor))
    assert sharp <= Entropy.of(policies.softmax(values)) + 1e-9


def test_entropy_works_on_the_last_axis():
    probabilities = np.array([[[1.0, 0.0], [0.5, 0.5]]])
    assert Entropy.of(probabilities).tolist() == [[0.0, 1.0]]


def test_nan_stays_nan():
    assert math.isnan(Entropy.of([np.nan, 0.5]))


@pytest.mark.parametrize("bad", [[1.0], np.zeros((3, 1)), np.zeros((2, 0)), 0.5])
def test_entropy_needs_two_classes(bad):
    with pytest.raises(ArgumentError, match="last axis must hold at least 2 classes"):
        Entropy.of(bad)


# ------------------------------------------------------------------------------------------------------------- others


def test_scores_of_a_known_distribution():
    probabilities = [0.5, 0.25, 0.25]
    assert EntropyNats.of(probabilities) == pytest.approx(1.5 * math.log(2), abs=1e-15)
    assert MaxProbability.of(probabilities) == 0.5
    assert Margin.of(probabilities) == 0.75
    assert Margin.of([0.5, 0.5]) == 1.0


@pytest.mark.parametrize("kind", [Entropy, EntropyNats, MaxProbability, Margin])
@given(values=logits)
def test_a_score_is_of_the_last_axis_and_within_its_bounds(kind, values):
    one = policies.softmax(values)
    many = kind.of(np.stack([one, one[::-1]]))
    assert many.shape == (2,)
    assert many.min() >= 0 and many.max() <= kind().highest(len(values)) + 1e-12
    assert many[0] == kind.of(one)
    assert kind.of(np.full(len(values), 1 / len(values))) >= many.max() - 1e-9  # nothing is less sure than uniform


@pytest.mark.parametrize("kind", [Entropy, EntropyNats, MaxProbability, Margin])
def test_nan_gives_nan(kind):
    assert math.isnan(kind.of([np.nan, 0.5, 0.5]))
