import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_logits import ladder, made_up

from bnn_exit import policies
from bnn_exit.calibration.curves import POWERS, anytime, budgeted, thresholds_of_shares
from bnn_exit.errors import ArgumentError


def solver_by_the_letter(confidence, shares):
    """Section 17 of the formulas, clip by clip: confidences (larger is surer), leave if at least the threshold."""
    clips, exits = confidence.shape
    gone, thresholds = np.zeros(clips, bool), []
    for k in range(exits - 1):
        due, count, threshold = math.floor(clips * shares[k]), 0, math.inf
        for clip in np.argsort(-confidence[:, k], kind="stable"):
            if not gone[clip]:
                count += 1
                if count == due:
                    threshold = confidence[clip, k]
                    break
        gone |= confidence[:, k] >= threshold
        thresholds.append(threshold)
    return thresholds


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 60), st.booleans(), st.sampled_from(POWERS))
def test_thresholds_are_those_of_msdnets_solver(seed, exits, clips, ties, power):
    scores = np.random.default_rng(seed).uniform(0, 1, (clips, exits)).astype(np.float32)
    if ties:
        scores = np.round(scores, 1)
    weights = np.array([power**k for k in range(1, exits + 1)])
    shares = weights / weights.sum()
    found = thresholds_of_shares(scores, list(shares))
    for k, expected in enumerate(solver_by_the_letter(-scores, shares)):
        assert (scores[:, k] < np.float32(found[k])).tolist() == (-scores[:, k] >= expected).tolist()


def test_the_curves():
    exit_logits, costs = made_up(count=400, exits=3, seed=1), ladder(3)
    points = anytime(exit_logits, costs)
    assert [point.accuracy for point in points] == pytest.approx(exit_logits.correct.mean(axis=0).tolist())
    assert [point.ops for point in points] == [cost.ops for cost in costs]
    assert [point.exit_shares for point in points] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    curve = budgeted(exit_logits, exit_logits, costs)
    assert len(curve) == 39
    assert [point.ops for point in curve] == sorted(point.ops for point in curve)
    for point, power in zip(curve, POWERS, strict=True):
        total = power + power**2 + power**3
        assert point.exit_shares == pytest.approx([power / total, power**2 / total, power**3 / total], abs=0.01)
    # Thresholds come from one set of clips, figures from another.
    other = budgeted(exit_logits, made_up(count=100, exits=3, seed=2), costs, policy=policies.fit("max_probability"))
    assert [point.thresholds for point in other] == [point.thresholds for point in curve]


def test_sizes_must_fit():
    with pytest.raises(ArgumentError, match="held_out has 3 exits, but the exit logits have 2"):
        budgeted(made_up(count=9, exits=3), made_up(count=9, exits=2), ladder(2))
    with pytest.raises(ArgumentError, match="costs has 2 entries, but the exit logits have 3 exits"):
        anytime(made_up(count=9, exits=3), ladder(2))
