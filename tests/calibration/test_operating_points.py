import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_logits import ladder, made_up

from bnn_exit import metrics, policies
from bnn_exit.calibration.operating_points import DROPS, describe, operating_points, search_thresholds
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.policies import rule


def selection(exit_logits, costs, thresholds):
    exits = rule.exit_indices(policies.fit(policies.DEFAULT).scores(exit_logits).astype(np.float32), thresholds)
    right = metrics.accuracy(rule.predicted_labels(exit_logits.logits, exits), exit_logits.labels)
    return metrics.mean_cost(exits, costs)["ops"], right


@pytest.mark.parametrize("exits", [1, 2, 3, 5])
def test_operating_points_hold_the_figures_of_their_thresholds(exits):
    exit_logits = made_up(count=300, exits=exits, seed=7)
    costs = ladder(exits)
    points = operating_points(exit_logits, costs)
    assert list(points) == ["full", "accurate", "balanced", "fast"]
    assert points["full"].thresholds == (0.0,) * (exits - 1)
    assert points["full"].exit_shares[-1] == 1.0
    for name, point in points.items():
        ops, right = selection(exit_logits, costs, point.thresholds)
        assert point == describe(name, point.thresholds, exit_logits, costs, max_accuracy_drop=point.max_accuracy_drop)
        assert point.name == name
        assert point.max_accuracy_drop == (DROPS[name] or 0.0)
        assert point.accuracy == right >= points["full"].accuracy - point.max_accuracy_drop - 1e-9
        assert point.mean_cost["ops"] == ops
        assert sum(point.exit_shares) == pytest.approx(1.0)
        assert (point.split, point.sample_count) == ("validation", 300)
    spent = [point.mean_cost["ops"] for point in points.values()]
    assert spent == sorted(spent, reverse=True)


@settings(deadline=None, max_examples=6)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_more_allowed_loss_never_costs_more(exits, seed):
    exit_logits = made_up(count=50, exits=exits, seed=seed)
    drops = {"d": 0.3, "a": 0.0, "c": 0.1, "off": None, "b": 0.02}
    points = operating_points(exit_logits, ladder(exits), drops=drops)
    assert list(points) == list(drops)
    spent = [points[name].mean_cost["ops"] for name in ("off", "a", "b", "c", "d")]
    assert spent == sorted(spent, reverse=True)


def test_an_operating_point_goes_to_json_and_back():
    exit_logits = made_up(count=50, exits=3, split="test")
    for point in operating_points(exit_logits, ladder(3)).values():
        again = OperatingPoint.from_dict(json.loads(json.dumps(point.to_dict(), allow_nan=False)))
        assert again == point
        assert again.split == "test"


def test_from_dict_names_what_is_wrong():
    exit_logits = made_up(count=50, exits=3)
    good = operating_points(exit_logits, ladder(3))["fast"].to_dict()
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


def test_bad_input_is_named_in_one_line():
    logits, labels, costs = made_up(count=6, exits=3).logits, made_up(count=6, exits=3).labels, ladder(3)
    broken = logits.copy()
    broken[[2, 4], 1, 0] = np.nan
    one, high = np.full(6, 2), np.array([0, 9, 1, 2, 0, 1])
    cases = [
        (DataError, "the validation split is empty", logits[:0], labels[:0], costs),
        (DataError, "labels are missing", logits, None, costs),
        (DataError, "all 6 validation clips have label 2, but .* at least two classes", logits, one, costs),
        (DataError, r"logits of 2 of 6 clips \(first: clip 2\) hold NaN or infinity", broken, labels, costs),
        (ArgumentError, r"labels has shape \(5,\), .* logits are of 6 clips", logits, labels[:5], costs),
        (ArgumentError, "labels has values 0 to 9, but must be whole, 0 to 3", logits, high, costs),
        (ArgumentError, "labels holds 0.5, but must hold integers, 0 to 3", logits, [0.5, 1, 1, 2, 0, 1], costs),
        (ArgumentError, "costs has 2 entries, but the exit logits have 3 exits", logits, labels, costs[:2]),
        (
            ArgumentError,
            r"logits has shape \(6, 4\), but must be \[clips, exits, classes\]",
            logits[:, 0],
            labels,
            costs,
        ),
    ]
    for error, message, values, true, prices in cases:
        with pytest.raises(error, match=message) as caught:
            search_thresholds(ExitLogits(values, true, split="validation"), prices, max_accuracy_drop=0.01)
        assert "\n" not in str(caught.value)
        with pytest.raises(error, match=message):
            operating_points(ExitLogits(values, true, split="validation"), prices)


@pytest.mark.parametrize("drop", [-0.1, 1.5, float("nan")])
def test_a_drop_is_a_share(drop):
    exit_logits = made_up(count=6, exits=2)
    with pytest.raises(ArgumentError, match=r"max_accuracy_drop is .*, but must be from 0 to 1"):
        search_thresholds(exit_logits, ladder(2), max_accuracy_drop=drop)
    with pytest.raises(ArgumentError, match=r"max_accuracy_drop is .*, but must be from 0 to 1"):
        operating_points(exit_logits, ladder(2), drops={"mine": drop})


def test_an_unknown_policy_is_named():
    exit_logits = made_up(count=6, exits=2)
    with pytest.raises(ArgumentError, match=r"policy is 'marginal', but must be one of .*did you mean 'margin'"):
        search_thresholds(exit_logits, ladder(2), max_accuracy_drop=0.1, policy=policies.fit("marginal"))
