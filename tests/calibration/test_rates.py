import math

import numpy as np
import pytest

from bnn_exit.calibration.rates import (
    check_groups,
    design_effect,
    hours_needed,
    passed,
    rate_tests,
)
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.streams import poisson


def test_groups_that_differ_by_chance_alone_have_an_effect_near_one():
    generator = np.random.default_rng(0)
    counts, hours = generator.poisson(5, 400), np.full(400, 0.1)
    assert 1 <= design_effect(counts, hours) < 1.25


def test_events_in_bursts_of_four_count_a_quarter():
    generator = np.random.default_rng(0)
    counts, hours = 4 * generator.poisson(5, 400), np.full(400, 0.1)
    assert 3.7 < design_effect(counts, hours) < 5


def test_longer_groups_may_have_more_events():
    hours = np.repeat([0.1, 1.0], 50)
    counts = np.random.default_rng(1).poisson(10 * hours)
    assert design_effect(counts, hours) < 1.4 < 2 < design_effect(counts, np.full(100, 0.55))


def test_no_events_and_one_group_say_nothing():
    assert design_effect([0, 0, 0], [1, 1, 1]) == design_effect([7], [1.0]) == 1.0


def test_without_clusters_the_test_is_the_exact_one():
    counts = np.zeros((1, 30), int)
    counts[0, :3] = 1
    (test,) = rate_tests(counts, np.full(30, 1.0), limit_per_hour=0.3, confidence=0.95)
    assert (test.events, test.hours) == (3, pytest.approx(30))
    assert 1 <= test.design_effect < 1.7
    assert test.p_value == pytest.approx(poisson.p_value(3 / test.design_effect, 9 / test.design_effect))
    # The bound is the rate at which the p-value is 1 - confidence.
    (at,) = rate_tests(counts, np.full(30, 1.0), limit_per_hour=test.bound_per_hour, confidence=0.95)
    assert at.p_value == pytest.approx(0.05)


def test_strict_steps_take_the_clusters_of_looser_ones():
    hours = np.full(20, 1.0)
    loose = np.zeros(20, int)
    loose[0] = 25
    counts = np.array([np.zeros(20, int), np.eye(20, dtype=int)[0], loose, 3 * loose + 1])
    tests = rate_tests(counts, hours, limit_per_hour=1.0, confidence=0.95)
    assert tests[0].design_effect == tests[1].design_effect == tests[2].design_effect > 20
    # A step with enough events of its own does not look further.
    assert tests[3].design_effect == design_effect(counts[3], hours)
    assert tests[0].p_value > poisson.p_value(0, 20)


def test_the_path_ends_at_the_first_step_that_fails():
    counts = np.zeros((3, 12), int)
    counts[1] = 5
    tests = rate_tests(counts, np.full(12, 1.0), limit_per_hour=0.5, confidence=0.95)
    assert [test.p_value <= 0.05 for test in tests] == [True, False, True]
    assert passed(tests, confidence=0.95) == 1 and passed(tests[:1], confidence=0.95) == 1
    assert passed([], confidence=0.95) == 0


def test_hours_that_would_do():
    assert hours_needed(0.5, confidence=0.95) == pytest.approx(-math.log(0.05) / 0.5)
    assert hours_needed(0.5, confidence=0.95, design_effect=2.0) == pytest.approx(-math.log(0.05) / 0.25)


# ---- simulation: the promise itself

RATES = np.geomspace(0.05, 60, 50)
"""True rate of each step, as a multiple of the limit: the 25th is the first that breaks it."""


def drawn(kind, *, groups, hours, generator):
    """Counts [steps, groups] of nested steps, and hours [groups], where the limit is 1 an hour."""
    exposure = generator.uniform(0.3, 1.7, groups)
    exposure *= hours / exposure.sum()
    size, burst = np.ones(groups), 1.0
    if kind.startswith("gamma"):
        shape = float(kind.split()[1])
        size = generator.gamma(shape, 1 / shape, groups)
    elif kind.startswith("lognormal"):
        spread = float(kind.split()[1])
        size = np.exp(generator.normal(-(spread**2) / 2, spread, groups))
    elif kind.startswith("bursts"):
        burst = float(kind.split()[1])
    steps = np.diff(RATES, prepend=0.0)
    events = generator.poisson(steps[:, None] * size * exposure / burst)
    # A burst of events is of one strength: all of them, or none, are above a threshold.
    if burst > 1:
        events = events + generator.poisson((burst - 1) * events)
    return np.cumsum(events, axis=0), exposure


def broken_share(kind, *, groups, hours, confidence=0.9, draws=400, effects=True):
    generator, broken, useful = np.random.default_rng(0), 0, 0
    for _ in range(draws):
        counts, exposure = drawn(kind, groups=groups, hours=hours, generator=generator)
        if effects:
            tests = rate_tests(counts, exposure, limit_per_hour=1.0, confidence=confidence)
            steps = passed(tests, confidence=confidence)
        else:
            values = [poisson.p_value(int(each), exposure.sum()) for each in counts.sum(axis=1)]
            steps = next((step for step, p in enumerate(values) if p > 1 - confidence), len(values))
        broken += steps > 0 and RATES[steps - 1] > 1 + 1e-9
        useful += steps > 0
    return broken / draws, useful / draws


@pytest.mark.parametrize("kind", ["poisson", "gamma 1", "gamma 0.3", "lognormal 1", "bursts 2", "bursts 4"])
@pytest.mark.parametrize(("groups", "hours"), [(40, 20), (250, 8)])
def test_the_promise_is_broken_no_more_often_than_promised(kind, groups, hours):
    broken, useful = broken_share(kind, groups=groups, hours=hours)
    # 10 % are allowed and the draws are what they are: three standard errors of chance.
    assert broken <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)
    if kind == "poisson":
        assert useful > 0.8


def test_counting_events_as_if_independent_would_break_it():
    # The simulation above can fail: the exact test without a design effect does.
    assert broken_share("bursts 4", groups=250, hours=8, effects=False)[0] > 0.2
    assert broken_share("gamma 0.3", groups=40, hours=20, effects=False)[0] > 0.15


@pytest.mark.parametrize(
    ("limit", "confidence", "message"),
    [
        (0.0, 0.95, "max_false_accepts_per_hour is 0.0, but must be above 0, such as 0.5"),
        (float("nan"), 0.95, "max_false_accepts_per_hour is nan"),
        (0.5, 1.0, "confidence is 1.0, but must be above 0 and below 1, such as 0.95"),
        (0.5, 95, "confidence is 95"),
    ],
)
def test_settings_out_of_range_are_named(limit, confidence, message):
    with pytest.raises(ArgumentError, match=message):
        rate_tests([[0]], [1.0], limit_per_hour=limit, confidence=confidence)


def test_few_groups_are_told():
    check_groups(10)
    with pytest.raises(DataError, match=r"9 groups \(speakers or recordings\) are too few .* at least 10; give more"):
        check_groups(9)
