"""Weak trials, the front and the best trial; shares and budgets."""

import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.search.cost import Budget, assumed_shares
from bnn_exit.search.record import DONE, OVER, STOPPED, Record, best, is_weak, pareto, rungs

SETTINGS = {}


def trial(number, accuracy, mean_us, *, kb=50.0, state=DONE, epochs=()):
    predicted = {"mean_us": mean_us, "kb": kb}
    done = {"accuracy": accuracy, "mean_us": mean_us} if state == DONE else {}
    return Record(number, state, predicted=predicted, epochs=dict(epochs), **done)


def test_rungs_are_a_quarter_and_a_half():
    assert rungs(12) == (3, 6)
    assert rungs(5) == (2, 3)
    assert rungs(2) == (1,)
    assert rungs(1) == ()


def test_a_trial_is_weak_if_two_others_were_faster_and_as_accurate():
    others = [trial(n, 0.9, us, epochs={"3": value}) for n, (us, value) in enumerate([(10, 0.8), (20, 0.7), (30, 0.9)])]
    assert is_weak(0.7, 20.0, others, epoch=3)
    assert not is_weak(0.71, 20.0, others, epoch=3)  # one of them was less accurate
    assert not is_weak(0.7, 19.0, others, epoch=3)  # one of them was slower
    assert not is_weak(0.1, 99.0, others, epoch=6)  # none of them is known there


def test_the_front_and_the_best():
    records = [
        *(trial(0, 0.90, 40), trial(1, 0.92, 60), trial(2, 0.91, 60), trial(3, 0.95, 80, kb=500), trial(4, 0.88, 50)),
        *(trial(5, 0.99, 10, state=STOPPED), trial(6, 0.99, 10, state=OVER)),
    ]
    assert [record.number for record in pareto(records)] == [0, 1, 3]
    assert best(records, Budget(max_mean_us=100)).number == 3
    assert best(records, Budget(max_mean_us=100, max_kb=100)).number == 1
    assert best(records, Budget(max_mean_us=100, max_kb=100, min_accuracy=0.89)).number == 0
    assert best(records, Budget(max_mean_us=100, max_kb=100, min_accuracy=0.93)) is None
    assert best(records, Budget(max_mean_us=5)) is None


def test_assumed_shares_are_all_clips():
    assert assumed_shares(3, 0.6) == pytest.approx([0.6, 0.24, 0.16])
    assert assumed_shares(2, 0) == [0, 1]
    assert assumed_shares(2, 1) == [1, 0]


def test_a_budget():
    budget = Budget(max_mean_us=50, max_kb=100)
    assert budget.excess({"mean_us": 60, "kb": 90}) == pytest.approx(1.2)
    assert budget.excess({"mean_us": 50, "kb": 90}) == 1
    assert str(Budget(max_kb=7, min_accuracy=0.9)) == "--max-kb 7 and --min-accuracy 0.9"
    for settings, message in (
        ({}, "the search has no budget: give --max-mean-us, --max-kb or both"),
        ({"max_kb": -1.0}, "--max-kb is -1.0, but must be above 0"),
        ({"max_mean_us": float("nan")}, "--max-mean-us is nan, but must be above 0"),
        ({"max_kb": 1, "min_accuracy": 95.0}, "--min-accuracy is 95.0, but must be above 0 and at most 1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Budget(**settings)
