import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.errors import ArgumentError
from bnn_exit.streams import gamma, poisson

# Garwood 1936, table 1: 95 % limits of the mean of a Poisson variable.
GARWOOD = {0: (0.0, 3.689), 1: (0.0253, 5.572), 2: (0.242, 7.225), 5: (1.624, 11.668), 10: (4.795, 18.390)}


@pytest.mark.parametrize("count", GARWOOD)
def test_the_interval_is_garwoods(count):
    assert poisson.interval(count) == pytest.approx(GARWOOD[count], abs=6e-4)


@given(st.integers(0, 3000), st.floats(0.5, 0.999))
def test_the_bounds_agree_with_scipy(count, confidence):
    chi2 = pytest.importorskip("scipy.stats").chi2
    beyond = (1 - confidence) / 2
    low, high = poisson.interval(count, confidence=confidence)
    assert low == pytest.approx(chi2.ppf(beyond, 2 * count) / 2 if count else 0.0, rel=1e-9, abs=1e-300)
    assert high == pytest.approx(chi2.ppf(1 - beyond, 2 * count + 2) / 2, rel=1e-9)
    assert poisson.upper_bound(count, confidence=confidence) == pytest.approx(
        chi2.ppf(confidence, 2 * count + 2) / 2, rel=1e-9
    )


@given(st.floats(0.05, 5000), st.floats(0, 3))
def test_the_incomplete_gamma_function_agrees_with_scipy(shape, times):
    special = pytest.importorskip("scipy.special")
    x = shape * times
    assert gamma.upper(shape, x) == pytest.approx(special.gammaincc(shape, x), rel=1e-8, abs=1e-12)


@given(st.integers(0, 60), st.floats(0.01, 100))
def test_a_p_value_is_a_sum_of_poisson_terms(count, mean):
    total = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))
    assert poisson.p_value(count, mean) == pytest.approx(total, rel=1e-9, abs=1e-13)


def test_the_rule_of_three_and_its_hours():
    assert poisson.upper_bound(0) == pytest.approx(-math.log(0.05))
    assert poisson.hours_without_events(0.5) == pytest.approx(5.991, abs=1e-3)
    assert poisson.p_value(0, 0.0) == 1.0 and gamma.quantile(3, 0.0) == 0.0


def test_the_bound_covers_the_mean_as_often_as_it_says():
    # Exactly, by the sum over all counts whose bound lies below the mean.
    for mean in (0.5, 2.9, 3.1, 7.7):
        missed = sum(
            math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
            for k in range(60)
            if poisson.upper_bound(k, confidence=0.9) < mean
        )
        assert missed <= 0.1


@pytest.mark.parametrize(
    ("count", "confidence", "message"),
    [
        (-1, 0.95, "count is -1, but must be a whole number of at least 0"),
        (1.5, 0.95, "count is 1.5, but must be a whole number"),
        (1, 1.0, "confidence is 1.0, but must be above 0 and below 1, such as 0.95"),
        (1, math.nan, "confidence is nan"),
    ],
)
def test_bad_arguments_are_named(count, confidence, message):
    with pytest.raises(ArgumentError, match=message):
        poisson.interval(count, confidence=confidence)
    if count != 1.5:
        with pytest.raises(ArgumentError, match=message.replace("whole ", "")):
            poisson.upper_bound(count, confidence=confidence)
