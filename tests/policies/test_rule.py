import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnn_exit.errors import ArgumentError
from bnn_exit.policies import rule

score = st.floats(0, 1, width=32)
threshold = st.floats(0, 2, width=32)


@st.composite
def scores_and_thresholds(draw):
    exits = draw(st.integers(1, 6))
    clips = draw(st.integers(1, 8))
    return (
        draw(hnp.arrays(np.float32, (clips, exits), elements=score)),
        draw(hnp.arrays(np.float32, (exits - 1,), elements=threshold)),
    )


@given(score)
def test_threshold_0_never_leaves_and_one_above_1_always_does(value):
    assert not rule.leaves(value, 0.0)
    assert rule.leaves(value, 1.001)
    assert rule.leaves(value, 2.0)


@given(threshold)
def test_nan_never_leaves(value):
    assert not rule.leaves(np.nan, value)
    assert not rule.leaves(0.0, np.nan)


@given(score)
def test_an_equal_score_stays(value):
    assert not rule.leaves(value, value)
    assert rule.leaves(value, np.nextafter(np.float32(value), np.float32(3)))


def test_the_comparison_is_made_in_float32():
    # In float64 the score would be below the threshold; as float32, which the model file holds, they are equal.
    assert np.float64(np.float32(0.1)) > 0.1
    assert not rule.leaves(0.1, np.float32(0.1))


def test_leaves_is_elementwise():
    assert rule.leaves([[0.1, 0.5], [0.3, 0.3]], [0.2, 0.4]).tolist() == [[True, False], [False, True]]


# -------------------------------------------------------------------------------------------------------- exit indices


def test_exit_indices_of_a_known_table():
    scores = [[0.1, 0.9, 0.9], [0.6, 0.1, 0.9], [0.6, 0.6, 0.9], [np.nan, 0.1, np.nan], [np.nan, np.nan, np.nan]]
    assert rule.exit_indices(scores, [0.5, 0.5]).tolist() == [0, 1, 2, 1, 2]


@given(scores_and_thresholds())
def test_exit_indices_is_the_loop_that_a_device_runs(case):
    scores, thresholds = case
    expected = []
    for row in scores:
        for k in range(len(row)):
            if k == len(thresholds) or row[k] < thresholds[k]:
                expected.append(k)
                break
    assert rule.exit_indices(scores, thresholds).tolist() == expected
    assert rule.first_leaving(scores[:, :-1], thresholds).tolist() == expected
    assert rule.outcomes(scores, thresholds).tolist() == expected


@given(scores_and_thresholds(), st.data())
def test_raising_a_threshold_never_makes_a_clip_leave_later(case, data):
    scores, thresholds = case
    raised = thresholds + data.draw(hnp.arrays(np.float32, thresholds.shape, elements=threshold))
    assert np.all(rule.exit_indices(scores, raised) <= rule.exit_indices(scores, thresholds))


@given(scores_and_thresholds())
def test_all_off_is_the_full_network_and_all_open_is_the_first_exit(case):
    scores, thresholds = case
    last = len(thresholds)
    assert np.all(rule.exit_indices(scores, np.zeros(last)) == last)
    assert np.all(rule.exit_indices(scores, np.full(last, 2.0)) == 0)


@given(scores_and_thresholds())
def test_forcing_thresholds_make_every_clip_answer_at_one_exit(case):
    scores, _ = case
    exits = scores.shape[1]
    for k in range(exits):
        thresholds = rule.check_thresholds(rule.forcing_thresholds(k, exits=exits), exits=exits)
        assert np.all(rule.exit_indices(scores, thresholds) == k)


def test_a_skip_gate_sends_clips_past_the_early_exits():
    scores = [[0.1, 0.1, 0.9], [0.1, 0.1, 0.2], [0.6, 0.1, 0.3], [0.6, 0.6, 0.1], [0.1, 0.1, np.nan]]
    gated = [0.5, 0.5, 0.3]
    assert rule.outcomes(scores, gated).tolist() == [0, 3, 1, 3, 0]
    assert rule.exit_indices(scores, gated).tolist() == [0, 2, 1, 2, 0]
    assert rule.exit_indices(scores, [0.5, 0.5, 0.0]).tolist() == rule.exit_indices(scores, [0.5, 0.5]).tolist()
    left, there = [0, 2, 1, 2, 0], [0.1, 0.2, 0.1, 0.1, 0.1]
    assert rule.outcomes_at(left, there, gated, exits=3).tolist() == [0, 3, 1, 3, 0]
    assert rule.outcomes_at(left, there, gated[:2], exits=3).tolist() == left


@given(scores_and_thresholds(), st.data())
def test_a_lower_threshold_of_the_gate_skips_fewer(case, data):
    scores, early = case
    low, high = sorted(data.draw(st.tuples(threshold, threshold)))
    some, more = (rule.outcomes(scores, [*early, gate]) == scores.shape[1] for gate in (low, high))
    assert np.all(some <= more)
    assert np.all(rule.outcomes(scores, [*early, 2.0]) == scores.shape[1])


@given(scores_and_thresholds())
def test_forcing_thresholds_turn_the_gate_off(case):
    scores, _ = case
    exits = scores.shape[1]
    for k in range(exits):
        thresholds = rule.forcing_thresholds(k, exits=exits, skips=True)
        assert np.all(rule.outcomes(scores, rule.check_thresholds(thresholds, exits=exits, skips=True)) == k)
    assert np.all(rule.outcomes(scores, rule.skipping_thresholds(exits=exits)) == exits)


def test_the_number_of_thresholds_with_a_gate():
    assert (rule.num_thresholds(3), rule.num_thresholds(3, skips=True)) == (2, 3)
    with pytest.raises(
        ArgumentError, match=r"2 values .* takes 3: one for each exit but the last, and then one for its"
    ):
        rule.check_thresholds([0.1, 0.2], exits=3, skips=True)
    with pytest.raises(ArgumentError, match=r"3 values .* a model of 3 exits takes 2: one for each exit but the last$"):
        rule.check_thresholds([0.1, 0.2, 0.3], exits=3)


def test_no_clips_have_no_exits():
    assert rule.exit_indices(np.zeros((0, 3)), [0.1, 0.2]).tolist() == []


def test_exit_indices_refuses_shapes_that_do_not_fit():
    with pytest.raises(ArgumentError, match=r"scores has shape \(4,\).*3 exits for 2 thresholds"):
        rule.exit_indices(np.zeros(4), [0.1, 0.2])
    with pytest.raises(ArgumentError, match=r"scores has shape \(4, 5\).*3 exits for 2 thresholds"):
        rule.exit_indices(np.zeros((4, 5)), [0.1, 0.2])
    with pytest.raises(ArgumentError, match=r"thresholds has shape \(1, 2\), but must be one-dimensional"):
        rule.exit_indices(np.zeros((4, 3)), [[0.1, 0.2]])


def test_predicted_labels_come_from_the_exit_of_each_clip():
    probabilities = np.zeros((3, 2, 4))
    probabilities[:, 0, 1] = 1.0
    probabilities[:, 1, 3] = 1.0
    assert rule.predicted_labels(probabilities, [0, 1, 0]).tolist() == [1, 3, 1]


# ---------------------------------------------------------------------------------------------------- check_thresholds


def test_good_thresholds_come_back_as_float32():
    values = rule.check_thresholds((0, 0.25, 2), exits=4)
    assert values.dtype == np.float32
    assert values.tolist() == [0.0, 0.25, 2.0]
    assert rule.check_thresholds([], exits=1).shape == (0,)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.1], r"thresholds has 1 value \(0.1\), but a model of 3 exits takes 2: one for each exit but the last"),
        ([0.1, 0.2, 0.3], r"thresholds has 3 values \(0.1, 0.2, 0.3\), but a model of 3 exits takes 2"),
        ([], r"thresholds has 0 values \(none\), but a model of 3 exits takes 2"),
        ([[0.1, 0.2]], r"thresholds has 2 values \(0.1, 0.2\), but a model of 3 exits takes 2"),
        ([0.1, -0.2], r"thresholds is 0.1, -0.2, but each must be a finite number of at least 0"),
        ([0.1, math.nan], r"thresholds is 0.1, nan, but each must be a finite number of at least 0"),
        ([0.1, math.inf], r"thresholds is 0.1, inf, but each must be a finite number of at least 0"),
        ([0.1, 1e300], r"thresholds is 0.1, 1e\+300, but each must be a finite number of at least 0"),
        (["a", "b"], r"thresholds is \['a', 'b'\], but must be numbers, one for each exit but the last"),
        (None, r"thresholds has 1 value \(nan\), but a model of 3 exits takes 2"),
    ],
)
def test_bad_thresholds_say_what_is_wrong(thresholds, message):
    with pytest.raises(ArgumentError, match=message):
        rule.check_thresholds(thresholds, exits=3)
