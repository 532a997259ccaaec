import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_logits import ladder, made_up

from bnn_exit import metrics, policies
from bnn_exit.calibration import threshold_search
from bnn_exit.calibration.operating_points import STANDARD_ERRORS, search_thresholds
from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import rule


def default_scores(exit_logits):
    return policies.fit(policies.DEFAULT).scores(exit_logits).astype(np.float32)


def selection(exit_logits, costs, thresholds):
    exits = rule.exit_indices(default_scores(exit_logits), thresholds)
    predicted = rule.predicted_labels(exit_logits.logits, exits)
    return metrics.mean_cost(exits, costs)["ops"], metrics.accuracy(predicted, exit_logits.labels)


def loss_with_margin(exit_logits, thresholds, standard_errors):
    """Accuracy lost against the last exit plus so many standard errors of it, clip by clip."""
    exits = rule.exit_indices(default_scores(exit_logits), thresholds)
    right = rule.predicted_labels(exit_logits.logits, exits) == exit_logits.labels
    change = (exit_logits.logits[:, -1].argmax(-1) == exit_logits.labels).astype(float) - right
    return change.mean() + standard_errors * np.sqrt((change**2).sum()) / len(change)


def brute_force(exit_logits, costs, drop, standard_errors=0.0):
    """(least mean ops, best accuracy at it) over every distinct decision: every score, 0 and 2 as thresholds."""
    scores = default_scores(exit_logits)
    values = [[0.0, *np.unique(scores[:, k]).tolist(), 2.0] for k in range(len(costs) - 1)]
    found = []
    for choice in itertools.product(*values):
        if loss_with_margin(exit_logits, choice, standard_errors) <= drop + 1e-9:
            ops, right = selection(exit_logits, costs, choice)
            found.append((round(ops, 9), -right))
    return min(found)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("drop", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("standard_errors", [0.0, 1.645])
@pytest.mark.parametrize(("count", "exits"), [(12, 1), (40, 2), (16, 3), (7, 4)])
def test_search_finds_what_brute_force_finds(count, exits, drop, ties, standard_errors):
    for seed in range(2):
        exit_logits = made_up(count=count, exits=exits, seed=seed, ties=ties)
        thresholds = search_thresholds(
            exit_logits, ladder(exits), max_accuracy_drop=drop, standard_errors=standard_errors
        )
        ops, right = selection(exit_logits, ladder(exits), thresholds)
        best_ops, best_right = brute_force(exit_logits, ladder(exits), drop, standard_errors)
        assert ops == pytest.approx(best_ops)
        assert right == pytest.approx(-best_right)


@pytest.mark.parametrize("exits", [5, 6])
@pytest.mark.parametrize("drop", [0.0, 0.17, 1.0])
def test_descent_beyond_four_exits_finds_what_brute_force_finds(exits, drop):
    for seed in range(2):
        exit_logits = made_up(count=5 if exits == 5 else 3, exits=exits, seed=seed)
        thresholds = search_thresholds(exit_logits, ladder(exits), max_accuracy_drop=drop, standard_errors=0)
        ops, _ = selection(exit_logits, ladder(exits), thresholds)
        assert ops == pytest.approx(brute_force(exit_logits, ladder(exits), drop)[0])


def test_descent_is_about_as_good_as_the_exhaustive_search():
    exit_logits = made_up(count=400, exits=6, seed=3)
    # Three of the five early exits say what the last says at the last's cost: using them changes nothing, so a search
    # over the other two alone is the judge.
    costs = ladder(6)
    judged = exit_logits.select_exits([0, 2, 5])
    costs[1] = costs[3] = costs[4] = costs[5]
    exit_logits = exit_logits.select_exits([0, 5, 2, 5, 5, 5])
    found = search_thresholds(exit_logits, costs, max_accuracy_drop=0.02)
    whole, _ = selection(exit_logits, costs, found)
    part_costs = [costs[0], costs[2], costs[5]]
    part, _ = selection(judged, part_costs, search_thresholds(judged, part_costs, max_accuracy_drop=0.02))
    assert whole <= part * 1.01


@settings(deadline=None, max_examples=40)
@given(
    exits=st.integers(1, 6),
    count=st.integers(2, 40),
    seed=st.integers(0, 10**6),
    drop=st.floats(0, 0.5),
    ties=st.booleans(),
)
def test_the_result_keeps_the_accuracy_and_never_costs_more_than_the_full_network(exits, count, seed, drop, ties):
    exit_logits = made_up(count=count, exits=exits, seed=seed, ties=ties)
    costs = ladder(exits)
    thresholds = search_thresholds(exit_logits, costs, max_accuracy_drop=drop)
    rule.check_thresholds(thresholds, exits=exits)
    ops, right = selection(exit_logits, costs, thresholds)
    full_ops, full = selection(exit_logits, costs, [0.0] * (exits - 1))
    assert right >= full - drop - 1e-9
    # The margin on top is kept too, the usual one unless the caller says otherwise.
    assert loss_with_margin(exit_logits, thresholds, STANDARD_ERRORS) <= drop + 1e-9
    assert ops <= full_ops + 1e-9


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30))
def test_candidate_thresholds_make_every_distinct_decision_once_and_lie_inside_the_gaps(values):
    scores = np.array(values, np.float32)
    candidates = threshold_search.distinct_thresholds(scores)
    distinct = np.unique(np.maximum(scores, np.float32(threshold_search.RESOLUTION)))
    # From 0 upwards each threshold lets one more distinct score leave.
    assert [int(rule.leaves(distinct, t).sum()) for t in candidates] == list(range(len(distinct) + 1))
    for low, threshold, high in zip(distinct, candidates[1:], distinct[1:], strict=False):
        assert low < threshold <= high
        if high - low > 1e-5:
            assert low + (high - low) / 5 < threshold < high - (high - low) / 5


def test_thresholds_are_short_decimals():
    scores = np.array([0.1234567, 0.1834567, 0.9], np.float32)
    assert [str(value) for value in threshold_search.distinct_thresholds(scores)] == ["0.0", "0.15", "0.5", "0.95"]


def test_neighbouring_float32_scores_can_be_told_apart():
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    assert threshold_search.distinct_thresholds(np.array([low, high]))[1] == high


def test_no_threshold_is_placed_among_scores_that_are_rounding():
    scores = np.array([0.0, 1e-20, 3e-8, 9e-7, 0.5], np.float32)
    assert [str(value) for value in threshold_search.distinct_thresholds(scores)] == ["0.0", "0.3", "0.8"]


def test_nan_scores_give_no_threshold():
    assert threshold_search.distinct_thresholds(np.array([np.nan, np.nan], np.float32)).tolist() == [0.0]


def sure_and_unsure(*, first_is_right):
    """The first of two exits is sure, the last unsure and right."""
    probabilities = np.tile([[0.9, 0.1], [0.6, 0.4]], (8, 1, 1))
    probabilities[1::2] = probabilities[1::2, :, ::-1]
    if not first_is_right:
        probabilities[:, 0] = probabilities[:, 0, ::-1]
    return ExitLogits(np.log(probabilities), np.array([0, 1] * 4), split="validation")


def test_an_exit_that_is_always_right_takes_every_clip():
    exit_logits = sure_and_unsure(first_is_right=True)
    thresholds = search_thresholds(exit_logits, ladder(2), max_accuracy_drop=0.0)
    assert rule.exit_indices(default_scores(exit_logits), thresholds).tolist() == [0] * 8


def test_an_exit_that_is_always_wrong_takes_none():
    exit_logits = sure_and_unsure(first_is_right=False)
    assert search_thresholds(exit_logits, ladder(2), max_accuracy_drop=0.1) == (0.0,)


def test_ties_of_cost_go_to_the_more_accurate():
    exit_logits = made_up(count=30, exits=3, seed=1)
    same = [Cost(64, 1)] * 3
    thresholds = search_thresholds(exit_logits, same, max_accuracy_drop=1.0)
    assert selection(exit_logits, same, thresholds)[1] == -brute_force(exit_logits, same, 1.0)[1]


def test_the_search_gives_the_same_answer_twice():
    exit_logits = made_up(count=60, exits=6, seed=5)
    first, second = (search_thresholds(exit_logits, ladder(6), max_accuracy_drop=0.05) for _ in range(2))
    assert first == second


def test_one_exit_has_no_thresholds():
    exit_logits = made_up(count=5, exits=1)
    assert search_thresholds(exit_logits, ladder(1), max_accuracy_drop=0.0) == ()
