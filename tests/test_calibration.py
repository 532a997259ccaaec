import itertools
import json

import numpy as np
import pytest
from bnn_exit.calibration import OperatingPoint, operating_points, search_thresholds
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit import calibration, metrics, policy, threshold_search
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError


def clips(*, count, exits, classes=4, seed=0, ties=False):
    """Random probabilities [count, exits, classes] that get better with depth, and labels that hold two classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    labels[:2] = 0, 1
    gain = 1.0 + 1.5 * np.arange(exits)
    logits = generator.normal(0, 1.5, (count, exits, classes)) + gain[:, None] * np.eye(classes)[labels][:, None]
    if ties:
        # Few distinct logits in each row make many clips share one score.
        logits = np.round(logits / 3) * 3
    return policies.softmax(logits), labels


def ladder(exits):
    return [Cost(binary_macs=64 * (k + 1) ** 2, float_macs=k + 1) for k in range(exits)]


def outcome(probabilities, labels, costs, thresholds):
    exits = rule.exit_indices(policy.scores(probabilities), thresholds)
    predicted = rule.predicted_labels(probabilities, exits)
    return metrics.mean_cost(exits, costs)["ops"], metrics.accuracy(predicted, labels)


def loss_with_margin(probabilities, labels, thresholds, standard_errors):
    """Accuracy lost against the last exit plus so many standard errors of it, clip by clip."""
    exits = rule.exit_indices(policy.scores(probabilities), thresholds)
    right = rule.predicted_labels(probabilities, exits) == labels
    change = (probabilities[:, -1].argmax(-1) == labels).astype(float) - right
    return change.mean() + standard_errors * np.sqrt((change**2).sum()) / len(change)


def brute_force(probabilities, labels, costs, drop, standard_errors=0.0):
    """(least mean ops, best accuracy at it) over every distinct decision: every score, 0 and 2 as thresholds."""
    scores = policy.scores(probabilities).astype(np.float32)
    values = [[0.0, *np.unique(scores[:, k]).tolist(), 2.0] for k in range(len(costs) - 1)]
    found = []
    for choice in itertools.product(*values):
        if loss_with_margin(probabilities, labels, choice, standard_errors) <= drop + 1e-9:
            ops, right = outcome(probabilities, labels, costs, choice)
            found.append((round(ops, 9), -right))
    return min(found)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("drop", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("standard_errors", [0.0, 1.645])
@pytest.mark.parametrize(("count", "exits"), [(12, 1), (40, 2), (16, 3), (7, 4)])
def test_search_finds_what_brute_force_finds(count, exits, drop, ties, standard_errors):
    for seed in range(2):
        probabilities, labels = clips(count=count, exits=exits, seed=seed, ties=ties)
        thresholds = search_thresholds(
            probabilities, labels, ladder(exits), max_accuracy_drop=drop, standard_errors=standard_errors
        )
        ops, right = outcome(probabilities, labels, ladder(exits), thresholds)
        best_ops, best_right = brute_force(probabilities, labels, ladder(exits), drop, standard_errors)
        assert ops == pytest.approx(best_ops)
        assert right == pytest.approx(-best_right)


@pytest.mark.parametrize("exits", [5, 6])
@pytest.mark.parametrize("drop", [0.0, 0.17, 1.0])
def test_descent_beyond_four_exits_finds_what_brute_force_finds(exits, drop):
    for seed in range(3):
        probabilities, labels = clips(count=5 if exits == 5 else 3, exits=exits, seed=seed)
        thresholds = search_thresholds(probabilities, labels, ladder(exits), max_accuracy_drop=drop, standard_errors=0)
        ops, _ = outcome(probabilities, labels, ladder(exits), thresholds)
        assert ops == pytest.approx(brute_force(probabilities, labels, ladder(exits), drop)[0])


def test_descent_is_about_as_good_as_the_exhaustive_search():
    probabilities, labels = clips(count=400, exits=6, seed=3)
    # Three of the five early exits say what the last says at the last's cost: using them changes nothing, so a search
    # over the other two alone is the judge.
    costs = ladder(6)
    judged = probabilities[:, [0, 2, 5]]
    costs[1] = costs[3] = costs[4] = costs[5]
    probabilities[:, [1, 3, 4]] = probabilities[:, 5:]
    found = search_thresholds(probabilities, labels, costs, max_accuracy_drop=0.02)
    whole, _ = outcome(probabilities, labels, costs, found)
    part_costs = [costs[0], costs[2], costs[5]]
    part, _ = outcome(judged, labels, part_costs, search_thresholds(judged, labels, part_costs, max_accuracy_drop=0.02))
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
    probabilities, labels = clips(count=count, exits=exits, seed=seed, ties=ties)
    costs = ladder(exits)
    thresholds = search_thresholds(probabilities, labels, costs, max_accuracy_drop=drop)
    rule.check_thresholds(thresholds, exits=exits)
    ops, right = outcome(probabilities, labels, costs, thresholds)
    full_ops, full = outcome(probabilities, labels, costs, [0.0] * (exits - 1))
    assert right >= full - drop - 1e-9
    # The margin on top is kept too: 1.645 standard errors unless the caller says otherwise.
    assert loss_with_margin(probabilities, labels, thresholds, 1.645) <= drop + 1e-9
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


def test_an_exit_that_is_always_right_takes_every_clip():
    probabilities = np.tile([[0.9, 0.1], [0.6, 0.4]], (8, 1, 1))
    labels = np.array([0, 1] * 4)
    probabilities[1::2] = probabilities[1::2, :, ::-1]
    thresholds = search_thresholds(probabilities, labels, ladder(2), max_accuracy_drop=0.0)
    assert rule.exit_indices(policy.scores(probabilities), thresholds).tolist() == [0] * 8


def test_an_exit_that_is_always_wrong_takes_none():
    probabilities = np.tile([[0.9, 0.1], [0.6, 0.4]], (8, 1, 1))
    labels = np.array([0, 1] * 4)
    probabilities[1::2] = probabilities[1::2, :, ::-1]
    probabilities[:, 0] = probabilities[:, 0, ::-1]
    assert search_thresholds(probabilities, labels, ladder(2), max_accuracy_drop=0.1) == (0.0,)


def test_ties_of_cost_go_to_the_more_accurate():
    probabilities, labels = clips(count=30, exits=3, seed=1)
    same = [Cost(64, 1)] * 3
    thresholds = search_thresholds(probabilities, labels, same, max_accuracy_drop=1.0)
    assert outcome(probabilities, labels, same, thresholds)[1] == -brute_force(probabilities, labels, same, 1.0)[1]


def test_the_search_gives_the_same_answer_twice():
    probabilities, labels = clips(count=60, exits=6, seed=5)
    first, second = (search_thresholds(probabilities, labels, ladder(6), max_accuracy_drop=0.05) for _ in range(2))
    assert first == second


def test_one_exit_has_no_thresholds():
    probabilities, labels = clips(count=5, exits=1)
    assert search_thresholds(probabilities, labels, ladder(1), max_accuracy_drop=0.0) == ()


# ---------------------------------------------------------------------------------------------------- operating points


@pytest.mark.parametrize("exits", [1, 2, 3, 5])
def test_operating_points_hold_the_figures_of_their_thresholds(exits):
    probabilities, labels = clips(count=300, exits=exits, seed=7)
    costs = ladder(exits)
    points = operating_points(probabilities, labels, costs)
    assert list(points) == ["full", "accurate", "balanced", "fast"]
    assert points["full"].thresholds == (0.0,) * (exits - 1)
    assert points["full"].exit_shares[-1] == 1.0
    for name, point in points.items():
        ops, right = outcome(probabilities, labels, costs, point.thresholds)
        assert point.name == name
        assert point.max_accuracy_drop == (calibration.DROPS[name] or 0.0)
        assert point.accuracy == right >= points["full"].accuracy - point.max_accuracy_drop - 1e-9
        assert point.mean_cost["ops"] == ops
        assert sum(point.exit_shares) == pytest.approx(1.0)
        assert (point.split, point.sample_count) == ("validation", 300)
    spent = [point.mean_cost["ops"] for point in points.values()]
    assert spent == sorted(spent, reverse=True)


@settings(deadline=None, max_examples=12)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_more_allowed_loss_never_costs_more(exits, seed):
    probabilities, labels = clips(count=50, exits=exits, seed=seed)
    drops = {"d": 0.3, "a": 0.0, "c": 0.1, "off": None, "b": 0.02}
    points = operating_points(probabilities, labels, ladder(exits), drops=drops)
    assert list(points) == list(drops)
    spent = [points[name].mean_cost["ops"] for name in ("off", "a", "b", "c", "d")]
    assert spent == sorted(spent, reverse=True)


def test_an_operating_point_goes_to_json_and_back():
    probabilities, labels = clips(count=50, exits=3)
    for point in operating_points(probabilities, labels, ladder(3), split="test").values():
        again = OperatingPoint.from_dict(json.loads(json.dumps(point.to_dict(), allow_nan=False)))
        assert again == point
        assert again.split == "test"


def test_from_dict_names_what_is_wrong():
    probabilities, labels = clips(count=50, exits=3)
    good = operating_points(probabilities, labels, ladder(3))["fast"].to_dict()
    with pytest.raises(ArgumentError, match=r"is 'threshold', but must be one of .*did you mean 'thresholds'"):
        OperatingPoint.from_dict({**good, "threshold": [0.1, 0.2]})
    with pytest.raises(ArgumentError, match=r"an operating point needs .*missing 1 required .*'name'"):
        OperatingPoint.from_dict({key: value for key, value in good.items() if key != "name"})
    with pytest.raises(ArgumentError, match=r"thresholds has 1 value .* a model of 3 exits takes 2"):
        OperatingPoint.from_dict({**good, "thresholds": [0.1]})
    with pytest.raises(ArgumentError, match="each must be a finite number of at least 0"):
        OperatingPoint.from_dict({**good, "thresholds": [0.1, -1]})
    with pytest.raises(ArgumentError, match="exit_shares of operating point 'fast' is None, but must be a list"):
        OperatingPoint.from_dict({**good, "exit_shares": None})


# ----------------------------------------------------------------------------------------------------------- bad input


def test_bad_input_is_named_in_one_line():
    probabilities, labels = clips(count=6, exits=3)
    costs = ladder(3)
    broken = probabilities.copy()
    broken[[2, 4], 1, 0] = np.nan
    one, high = np.full(6, 2), np.array([0, 9, 1, 2, 0, 1])
    cases = [
        (DataError, "the validation split is empty", probabilities[:0], labels[:0], costs),
        (DataError, "all 6 validation clips have label 2, but .* at least two classes", probabilities, one, costs),
        (DataError, r"2 of 6 clips \(first: clip 2\) hold NaN or infinity", broken, labels, costs),
        (ArgumentError, r"labels has shape \(5,\), .* probabilities are of 6 clips", probabilities, labels[:5], costs),
        (ArgumentError, "labels has values 0 to 9, but must be whole, 0 to 3", probabilities, high, costs),
        (ArgumentError, "labels has values", probabilities, [0.5, 1, 1, 2, 0, 1], costs),
        (ArgumentError, "costs has 2 entries, but the probabilities have 3 exits", probabilities, labels, costs[:2]),
        (
            ArgumentError,
            r"probabilities has shape \(6, 4\), but must be \[clips, exits, classes\]",
            probabilities[:, 0],
            labels,
            costs,
        ),
    ]
    for error, message, values, true, prices in cases:
        with pytest.raises(error, match=message) as caught:
            search_thresholds(values, true, prices, max_accuracy_drop=0.01)
        assert "\n" not in str(caught.value)
        with pytest.raises(error, match=message):
            operating_points(values, true, prices)


@pytest.mark.parametrize("drop", [-0.1, 1.5, float("nan")])
def test_a_drop_is_a_share(drop):
    probabilities, labels = clips(count=6, exits=2)
    with pytest.raises(ArgumentError, match=r"max_accuracy_drop is .*, but must be from 0 to 1"):
        search_thresholds(probabilities, labels, ladder(2), max_accuracy_drop=drop)
    with pytest.raises(ArgumentError, match=r"max_accuracy_drop is .*, but must be from 0 to 1"):
        operating_points(probabilities, labels, ladder(2), drops={"mine": drop})


def test_an_unknown_policy_is_named():
    probabilities, labels = clips(count=6, exits=2)
    with pytest.raises(ArgumentError, match="policy is 'margin', but must be one of"):
        search_thresholds(probabilities, labels, ladder(2), max_accuracy_drop=0.1, policy_name="margin")
