"""Every kind of goal against brute force over all distinct decisions."""

import dataclasses
import itertools
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_logits import ladder, made_up

from bnn_exit import policies
from bnn_exit.calibration.constraints import Constraints, InfeasibleError, thresholds_for
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.operating_points import STANDARD_ERRORS
from bnn_exit.calibration.select import CHOOSE, select
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.policies import rule

USUAL = policies.fit(policies.DEFAULT)


def board(exits):
    # Not in proportion to the ops, so that least time and least ops differ.
    mean = tuple(100.3 + 77.7 * k + 31.1 * (k % 2) for k in range(exits))
    return DeviceProfile("board", mean, tuple(1.5 * time for time in mean), "native")


def figures(exit_logits, thresholds):
    """Of one set of thresholds, straight from the definitions."""
    exits = rule.exit_indices(USUAL.scores(exit_logits), thresholds)
    right = exit_logits.correct[np.arange(len(exit_logits)), exits]
    change = exit_logits.correct[:, -1].astype(int) - right
    costs, device = ladder(exit_logits.exits), board(exit_logits.exits)
    reachable = next((k for k, threshold in enumerate(thresholds) if threshold >= rule.ALWAYS), exit_logits.exits - 1)
    return {
        "max_accuracy_drop": change.mean(),
        "max_mean_cost": np.mean([costs[k].ops for k in exits]) / costs[-1].ops,
        "max_mean_us": np.mean([device.mean_us[k] for k in exits]),
        "max_worst_us": max(device.worst_us[: reachable + 1]),
    }


def every_decision(exit_logits):
    scores = USUAL.scores(exit_logits).astype(np.float32)
    values = [[0.0, *np.unique(scores[:, k]).tolist(), rule.ALWAYS] for k in range(exit_logits.exits - 1)]
    return [figures(exit_logits, choice) for choice in itertools.product(*values)]


LEAST = {"ops": "max_mean_cost", "time": "max_mean_us", "loss": "max_accuracy_drop"}


def brute_force(decisions, limits, least):
    """The least value among decisions that keep the limits; or the first limit that breaks, and its nearest value."""
    left = decisions
    for name, value in limits.items():
        kept = [each for each in left if each[name] <= value * (1 + 1e-9) + 1e-9]
        if not kept:
            return name, min(each[name] for each in left)
        left = kept
    return None, min(each[LEAST[least]] for each in left)


@st.composite
def constraints(draw):
    names = draw(st.permutations(["max_accuracy_drop", "max_mean_cost", "max_mean_us", "max_worst_us"]))
    values = {
        "max_accuracy_drop": st.floats(0, 0.4),
        "max_mean_cost": st.floats(0.05, 1),
        "max_mean_us": st.floats(80, 400),
        "max_worst_us": st.floats(120, 600),
    }
    limits = {name: draw(values[name]) for name in names[: draw(st.integers(1, 3))]}
    return limits, draw(st.sampled_from(["ops", "time", "loss"] if "max_accuracy_drop" in limits else ["loss"]))


@settings(max_examples=60)
@given(constraints(), st.sampled_from([(12, 2), (9, 3), (5, 4)]), st.integers(0, 10**6), st.booleans())
def test_the_best_thresholds_are_those_of_brute_force(wanted, size, seed, ties):
    limits, least = wanted
    exit_logits = made_up(count=size[0], exits=size[1], seed=seed, ties=ties)
    broken, best = brute_force(every_decision(exit_logits), limits, least)
    asked = Constraints(limits, minimise=least, device=board(size[1]), standard_errors=0)
    if broken is None:
        found = figures(exit_logits, thresholds_for(exit_logits, ladder(size[1]), asked))
        assert all(found[name] <= value * (1 + 1e-8) + 1e-8 for name, value in limits.items())
        assert found[LEAST[least]] == pytest.approx(best, abs=1e-9)
    else:
        with pytest.raises(InfeasibleError) as caught:
            thresholds_for(exit_logits, ladder(size[1]), asked)
        assert caught.value.limit == broken
        assert caught.value.nearest == pytest.approx(best, rel=1e-8, abs=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.05, 0.4), st.sampled_from(["max_mean_cost", "max_mean_us", "max_worst_us"]))
def test_the_nearest_value_of_the_message_can_be_had(seed, tight, name):
    exit_logits = made_up(count=30, exits=3, seed=seed)
    value = tight if name == "max_mean_cost" else 200 * tight
    limits = {"max_accuracy_drop": 0.05, name: value}
    try:
        thresholds_for(exit_logits, ladder(3), Constraints(limits, device=board(3)))
    except InfeasibleError as error:
        (nearest,) = re.findall(r"the least that is feasible on these clips is ([\d.]+)$", str(error))
        limits[error.limit] = float(nearest)
        thresholds_for(exit_logits, ladder(3), Constraints(limits, device=board(3)))


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=2, max_size=4),
    st.sampled_from(["margin", "entropy", "patience", "scaled_margin", "class_means"]),
    st.sampled_from([None, CHOOSE, (0, 1)]),
    st.floats(0.01, 1),
)
def test_the_nearest_cost_can_be_had_where_the_policy_works_as_well(seed, sizes, policy, exits, tight):
    exit_logits = made_up(count=30, exits=len(sizes), seed=seed)
    exit_logits = dataclasses.replace(exit_logits, labels=np.arange(30) % 4, features=(np.ones((30, 5)),) * len(sizes))
    heads = tuple(Cost(0, head) for _, head in sizes)
    costs = ExitCosts(tuple(Cost(0, 1 + sum(map(sum, sizes[: k + 1]))) for k in range(len(sizes))), heads)
    limits = {"max_accuracy_drop": 0.0, "max_mean_cost": tight}
    # The first limit may be out of reach as well where the last exit is dropped.
    for _ in range(3):
        try:
            select(exit_logits, costs, Constraints(limits), policy_name=policy, exits=exits)
            break
        except InfeasibleError as error:
            (nearest,) = re.findall(r"is ([\d.]+)(?:, a margin .*)?$", str(error))
            limits[error.limit] = float(nearest)
    else:
        raise AssertionError(f"{limits} were named as the nearest")


def test_a_mean_cost_is_at_most_what_the_full_network_and_the_policy_cost():
    exit_logits = made_up(count=60, exits=3, seed=4)
    with pytest.raises(
        ArgumentError, match=r"^max_mean_cost is 40, but must be above 0 and at most 1 \(1 is the full n"
    ):
        thresholds_for(exit_logits, ladder(3), Constraints({"max_mean_cost": 40}))
    # Two exits decide with 8 ops each; the full network has 12.
    costs = ExitCosts(tuple(ladder(3)), (Cost(0, 0),) * 3)
    most = r"above 0 and at most 2.334 \(1 is the full network and the rest is the work of the policy\)$"
    for exits in (None, CHOOSE, (0, 2)):
        with pytest.raises(ArgumentError, match=rf"^max_mean_cost is 2.335, but must be {most}"):
            select(exit_logits, costs, Constraints({"max_mean_cost": 2.335}), exits=exits)
    assert select(exit_logits, costs, Constraints({"max_mean_cost": 2.334})).accuracy_drop <= 0


def test_numbers_of_numpy_are_numbers():
    constraints = Constraints({"max_accuracy_drop": np.float32(0.25), "max_worst_us": np.int64(9)}, device=board(2))
    assert json.loads(json.dumps(constraints.limits)) == {"max_accuracy_drop": 0.25, "max_worst_us": 9}
    with pytest.raises(ArgumentError, match="max_worst_us is True, but must be a number of microseconds above 0"):
        Constraints({"max_worst_us": np.bool_(True)}, device=board(2))


def test_what_stands_first_counts_more():
    exit_logits = made_up(count=60, exits=3, seed=4)
    both = {"max_accuracy_drop": 0.0, "max_mean_cost": 0.17}
    with pytest.raises(InfeasibleError, match=r"^max_mean_cost is 0.17, but beside max_accuracy_drop 0 the least that"):
        thresholds_for(exit_logits, ladder(3), Constraints(both))
    with pytest.raises(
        InfeasibleError,
        match=r"^max_accuracy_drop is 0, but beside max_mean_cost 0.17 the least .* "
        rf"margin of {STANDARD_ERRORS:g} standard errors included$",
    ):
        thresholds_for(exit_logits, ladder(3), Constraints(dict(reversed(both.items()))))


def test_a_worst_time_closes_the_deeper_exits_for_every_clip():
    exit_logits = made_up(count=60, exits=4, seed=1)
    limit = board(4).worst_us[1]
    found = thresholds_for(exit_logits, ladder(4), Constraints({"max_worst_us": limit}, device=board(4)))
    assert found[1:] == (rule.ALWAYS, 0.0)
    assert board(4).worst_us[0] == pytest.approx(150.45)
    with pytest.raises(InfeasibleError, match=r"^max_worst_us is 150, but the least .* on these clips is 150.5$"):
        thresholds_for(exit_logits, ladder(4), Constraints({"max_worst_us": 150}, device=board(4)))


def test_least_loss_may_gain_accuracy_and_then_takes_the_cheapest():
    exit_logits = made_up(count=40, exits=3, seed=2)
    found = figures(exit_logits, thresholds_for(exit_logits, ladder(3), Constraints({}, minimise="loss")))
    decisions = every_decision(exit_logits)
    least = min(each["max_accuracy_drop"] for each in decisions)
    assert found["max_accuracy_drop"] == least <= 0
    cheapest = min(each["max_mean_cost"] for each in decisions if each["max_accuracy_drop"] == least)
    assert found["max_mean_cost"] == pytest.approx(cheapest)


@pytest.mark.parametrize(
    ("limits", "options", "message"),
    [
        ({"max_drop": 0.1}, {}, r"limit is 'max_drop', but must be one of max_accuracy_drop, .*did you mean"),
        ({"max_accuracy_drop": 2.0}, {}, r"max_accuracy_drop is 2.0, but must be from 0 to 1"),
        ({"max_mean_cost": 0}, {}, "max_mean_cost is 0, but must be above 0, such as 0.4 for 40 % of the full network"),
        ({"max_mean_cost": math.inf}, {}, "max_mean_cost is inf, but must be above 0"),
        ({"max_mean_cost": "much"}, {}, "max_mean_cost is 'much', but must be above 0"),
        ({"max_accuracy_drop": np.float64(2)}, {}, r"max_accuracy_drop is 2.0, but must be from 0 to 1"),
        (
            {"max_mean_us": -3.0},
            {"device": board(2)},
            "max_mean_us is -3.0, but must be a number of microseconds above",
        ),
        ({"max_worst_us": float("nan")}, {"device": board(2)}, "max_worst_us is nan, but must be a number"),
        ({"max_worst_us": 5.0}, {}, "max_worst_us is 5.0, but no device is given to take times from"),
        ({"max_accuracy_drop": 0.1}, {"minimise": "time"}, "minimise is 'time', but no device is given"),
        ({"max_accuracy_drop": 0.1}, {"minimise": "cost"}, "minimise is 'cost', but must be one of loss, ops, time"),
        ({"max_mean_cost": 0.1}, {"minimise": "ops"}, "minimise is 'ops' without max_accuracy_drop, so every clip"),
    ],
)
def test_wishes_that_make_no_sense_are_named(limits, options, message):
    with pytest.raises(ArgumentError, match=message):
        Constraints(limits, **options)


def test_a_device_with_other_exits_is_refused():
    with pytest.raises(ArgumentError, match="device board was timed with 3 exits, but the network has 2"):
        thresholds_for(made_up(count=9, exits=2), ladder(2), Constraints({"max_mean_us": 200}, device=board(3)))
