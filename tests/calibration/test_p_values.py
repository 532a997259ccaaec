"""Validity by summing over every possible selection, not by simulation; and each p-value against an independent one."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnn_exit.calibration.p_values import FEW, P_VALUES, REST


def outcomes(clips, lost_share, gained_share):
    """Every (lost, gained) with its probability."""
    counts = [(lost, gained) for lost in range(clips + 1) for gained in range(clips - lost + 1)]
    shares = [lost_share, gained_share, 1 - lost_share - gained_share]
    every = [(lost, gained, clips - lost - gained) for lost, gained in counts]
    return counts, stats.multinomial.pmf(every, clips, shares)


@functools.cache
def p_values(name, clips, limit, level):
    """Of every selection, in the order of `outcomes`."""
    counts, _ = outcomes(clips, limit, 0.0)
    return np.array([P_VALUES[name](clips, *each, limit, level) for each in counts])


@pytest.mark.parametrize("name", P_VALUES)
@pytest.mark.parametrize(("clips", "limit"), [(40, 0.2), (24, 0.5), (40, 0.45)])
def test_the_chance_of_a_small_p_value_is_at_most_that_small_whatever_the_gains(name, clips, limit):
    for level in (0.05, 0.3):
        small = p_values(name, clips, limit, level) <= level
        # At the limit itself; more losses would only make p larger, see the next test.
        for gained_share in (0.0, 0.01, 0.03, 0.1, 0.2, (1 - limit) / 2 - 1e-9):
            _, probabilities = outcomes(clips, limit + gained_share, gained_share)
            assert probabilities.sum() == pytest.approx(1)
            assert probabilities[small].sum() <= level + 1e-9


@pytest.mark.parametrize("name", P_VALUES)
@settings(max_examples=40)
@given(st.integers(5, 3000), st.floats(0.003, 0.4), st.data())
def test_a_further_lost_clip_never_makes_p_smaller(name, clips, limit, data):
    lost = data.draw(st.integers(0, clips - 1))
    gained = data.draw(st.integers(0, clips - 1 - lost))
    before, after = (P_VALUES[name](clips, count, gained, limit, 0.05) for count in (lost, lost + 1))
    assert 0 <= before <= after * (1 + 1e-9) + 1e-12 and after <= 1


def test_binomial_is_scipys_tail():
    found = P_VALUES["binomial"](300, 1, 50, 0.02, 0.05)
    assert found == pytest.approx(0.98**300 + 300 * 0.02 * 0.98**299, rel=1e-9)
    assert found == pytest.approx(stats.binomtest(1, 300, 0.02, alternative="less").pvalue)


@settings(max_examples=15)
@given(st.integers(20, 40), st.integers(0, 6), st.integers(0, 3))
def test_exact_is_the_tail_of_the_trinomial_at_the_upper_bound_of_gains(clips, lost, gained):
    limit, level = 0.3, 0.05
    share = stats.binomtest(gained, clips).proportion_ci(1 - 2 * REST * level, method="exact").high
    if (1 - limit - 2 * share) ** 2 < 4 * (limit + share) * share or lost - gained + 1 > (clips - 1) * limit - 1:
        assert P_VALUES["exact"](clips, lost, gained, limit, level) == 1
        return
    counts, probabilities = outcomes(clips, limit + share, share)
    tail = sum(p for (a, b), p in zip(counts, probabilities, strict=True) if a - b <= lost - gained)
    expected = min(1.0, tail + REST * level)
    assert P_VALUES["exact"](clips, lost, gained, limit, level) == pytest.approx(expected, rel=1e-6, abs=1e-10)


def test_betting_is_the_wealth_of_a_gambler_clip_by_clip():
    losses = np.array([1] * 3 + [-1] * 2 + [0] * 95)
    np.random.default_rng(0).shuffle(losses)
    shares = np.geomspace(1e-3, 0.99, 60) / (1 - 0.2)
    wealth = np.mean([math.prod(1 + share * (0.2 - loss) for loss in losses) for share in shares])
    assert P_VALUES["betting"](100, 3, 2, 0.2, 0.05) == pytest.approx(1 / wealth)


def test_the_better_of_two_is_chosen_before_any_clip_is_seen():
    for clips in (100, 2400):
        limit = 0.01
        chosen = "binomial" if clips * limit < FEW else "exact"
        for counts in ((0, 0), (3, 9), (20, 18)):
            assert P_VALUES["binomial_or_exact"](clips, *counts, limit, 0.05) == P_VALUES[chosen](
                clips, *counts, limit, 0.05
            )
    # With as many gains as losses the exact one guarantees what the binomial cannot.
    assert P_VALUES["exact"](2400, 18, 18, 0.01, 0.05) < 0.01 < 0.05 < P_VALUES["binomial"](2400, 18, 18, 0.01, 0.05)
