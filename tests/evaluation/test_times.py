"""Times and their noise, on made-up seconds and clocks. No test asserts a speed."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.evaluation import times

FIGURES = ("minimum", "median", "mean", "p95")


def test_time_us_of_known_seconds():
    found = times.time_us(np.arange(1, 102) * 1e-6)
    assert found == {name: pytest.approx(value) for name, value in
                     {"minimum": 1.0, "median": 51.0, "mean": 51.0, "p95": 96.0}.items()}  # fmt: skip


@given(st.lists(st.floats(1e-9, 10), min_size=1, max_size=50))
def test_times_are_in_order(seconds):
    found = times.time_us(seconds)
    assert found["minimum"] <= found["median"] <= max(seconds) * 1e6 * (1 + 1e-12)
    assert found["median"] * (1 - 1e-12) <= found["p95"]


def test_processor_time_is_what_one_thread_takes():
    assert times.clock_of("native", threads=1) is time.thread_time
    assert times.clock_of("reference", threads=1) is time.process_time
    assert times.clock_of("native", threads=2) is time.perf_counter


# --------------------------------------------------------------------------------------------------------------- spread


@pytest.mark.parametrize(
    ("count", "rank"),
    # Of the sign test: for 20 values the sixth from either end, for 10 the second; for fewer than six there is none.
    [(1, 0), (5, 0), (6, 1), (10, 2), (20, 6), (100, 40)],
)
def test_the_interval_of_a_median_is_that_of_the_sign_test(count, rank):
    values = np.random.default_rng(0).permutation(count) * 1e-6
    expected = math.inf if not rank else (count - 2 * rank + 1) / 2
    assert times.spread_us(values) == pytest.approx(expected)


def test_the_interval_holds_for_nineteen_medians_of_twenty():
    random = np.random.default_rng(0)
    missed = sum(
        abs(np.median(values) - math.log(2)) > 2e-6 * times.spread_us(values)
        for values in random.exponential(size=(1000, 60))
    )
    assert missed < 50


# ---------------------------------------------------------------------------------------------------------------- clock


def test_the_step_of_a_clock_is_measured():
    reads = itertools.count()
    # Every hundredth read moves on by 10 ms, as a clock that counts ticks does.
    assert times.clock_step_s(lambda: 0.01 * (next(reads) // 100)) == pytest.approx(0.01)
    # Each read takes some 600 ns, but the clock tells 10 ns from 20.
    fine = itertools.accumulate(itertools.cycle([6.0e-7, 6.1e-7, 5.9e-7, 6.4e-7]), initial=1000.0)
    assert times.clock_step_s(lambda: next(fine)) == pytest.approx(1e-8, rel=0.05)


def test_a_clock_that_stands_still_measures_nothing(monkeypatch):
    monkeypatch.setattr(times, "_MOST_READS", 1000)
    step_s = times.clock_step_s(lambda: 7.0)
    assert step_s == math.inf
    assert times.figures_us(np.zeros(20), step_s=step_s) == dict.fromkeys([*FIGURES, "spread"])


# ------------------------------------------------------------------------------------------------------------- figures


def test_figures_have_a_spread():
    found = times.figures_us(np.arange(100, 120) * 1e-6, step_s=1e-8)
    assert found == pytest.approx({"minimum": 100.0, "median": 109.5, "mean": 109.5, "p95": 118.05, "spread": 4.5})


def test_a_call_shorter_than_the_step_of_the_clock_is_not_measurable():
    # A clock of 1 ms: most calls take no time, some the whole step.
    seconds = np.array([0.0, 0.001] * 10)
    assert times.figures_us(seconds, step_s=0.001) == {**dict.fromkeys(FIGURES), "spread": pytest.approx(1000)}
    # All alike: without the step, the spread would be 0.
    assert times.figures_us(np.full(20, 0.001), step_s=0.001)["median"] is None
    assert times.figures_us(np.full(20, 0.003), step_s=0.001) == pytest.approx(
        dict.fromkeys(FIGURES, 3000.0) | {"spread": 1000.0}
    )


def test_one_call_has_a_time_and_no_spread():
    assert times.figures_us([5e-5], step_s=1e-8) == {**dict.fromkeys(FIGURES, pytest.approx(50)), "spread": None}
    assert times.figures_us([5e-5], step_s=1e-3) == dict.fromkeys([*FIGURES, "spread"])


@pytest.mark.parametrize("step_s", [0.0, 1e-8, 1e-6])
@given(seconds=st.lists(st.floats(-1e-3, 1e-3), min_size=1, max_size=30))
def test_no_figure_is_negative(seconds, step_s):
    for found in (
        times.figures_us(seconds, step_s=step_s),
        times.difference_us(seconds, np.zeros(len(seconds)), step_s=step_s),
    ):
        assert all(found[name] is None or found[name] > 0 for name in FIGURES)
        if found["median"] is not None and found["spread"] is not None:
            assert found["median"] > 2 * found["spread"]


# ---------------------------------------------------------------------------------------------------------- differences


def test_a_difference_is_that_of_paired_calls():
    shorter = np.array([20, 30, 40, 50, 60, 70, 80, 90]) * 1e-6
    longer = shorter + np.array([10, 11, 12, 13, 14, 15, 16, 17]) * 1e-6
    found = times.difference_us(longer, shorter)
    assert found == pytest.approx({"minimum": 10.0, "median": 13.5, "mean": 13.5, "p95": 16.65, "spread": 3.5})


def test_a_difference_below_the_noise_is_not_measurable():
    random = np.random.default_rng(0)
    first, second = (random.normal(mean, 10, 200) * 1e-6 for mean in (100, 100.1))
    found = times.difference_us(second, first)
    assert [found[name] for name in FIGURES] == [None] * 4 and 0.5 < found["spread"] < 5
    assert times.difference_us(second + 1e-4, first)["median"] == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("calls", [1, 5])
def test_too_few_pairs_are_no_measurement(calls):
    assert times.difference_us(np.full(calls, 5.0), np.full(calls, 2.0)) == dict.fromkeys([*FIGURES, "spread"])


def test_differences_that_are_all_equal_are_known_to_two_steps_of_the_clock():
    longer, shorter = np.full(20, 0.003), np.full(20, 0.001)
    assert times.difference_us(longer, shorter, step_s=0.001) == {
        **dict.fromkeys(FIGURES), "spread": pytest.approx(2000)
    }  # fmt: skip
    found = times.difference_us(longer, shorter, step_s=1e-6)
    assert found == pytest.approx(dict.fromkeys(FIGURES, 2000.0) | {"spread": 2.0})
    assert times.difference_us(shorter, shorter, step_s=1e-6)["median"] is None


def test_one_disturbed_call_spoils_the_mean_and_not_the_median():
    longer, shorter = np.linspace(11e-6, 12e-6, 40), np.full(40, 1e-6)
    longer[7] += 0.01
    found = times.difference_us(longer, shorter)
    assert found["mean"] is None and found["median"] == pytest.approx(10.5, abs=0.2)


def test_a_minimum_above_the_median_is_left_out():
    # The clips differ: the smallest times of the two rows are of other clips than the usual difference.
    shorter = np.array([1, *range(50, 70)]) * 1e-6
    longer = np.array([40, *range(60, 80)]) * 1e-6
    found = times.difference_us(longer, shorter)
    assert found["median"] == pytest.approx(10) and found["minimum"] is None
