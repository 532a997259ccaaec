"""Operating modes against every vector of thresholds, by hand and by brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_logits import made_up

from bnn_exit import policies
from bnn_exit.calibration import modes as module
from bnn_exit.calibration.modes import modes, modes_of_clips
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.policies import rule

COSTS = (Cost(0, 100), Cost(0, 250), Cost(0, 700))


def figures(scores, right, thresholds, costs=COSTS):
    exits = rule.exit_indices(np.asarray(scores, np.float32), thresholds)
    return np.mean([costs[e].ops for e in exits]), right[np.arange(len(exits)), exits].mean()


def test_two_clips_have_the_modes_that_can_be_counted():
    """Exit 1 is surer of the clip that it gets right: none, one or both of the clips can leave there."""
    scores, right = np.array([[0.1, 0.5], [0.3, 0.5]]), np.array([[True, True], [False, True]])
    found = modes_of_clips(scores, right, COSTS[:2])
    # All leave at 100 ops with half right; one leaves at a mean of 175 with both right; to leave none is worse.
    assert [(mode.ops, mode.accuracy) for mode in found.points] == [(100.0, 0.5), (175.0, 1.0)]
    assert found.accuracy_span == 0.5 and found.ops_ratio == 1.75
    for mode in found.points:
        assert (mode.ops, mode.accuracy) == figures(scores, right, mode.thresholds, COSTS[:2])


@given(st.integers(0, 10_000), st.integers(3, 25))
def test_no_vector_of_thresholds_beats_a_mode_of_few_clips(seed, clips):
    generator = np.random.default_rng(seed)
    scores, right = generator.random((clips, 3)).astype(np.float32), generator.random((clips, 3)) < 0.6
    found = modes_of_clips(scores, right, COSTS)
    for mode in found.points:
        assert (mode.ops, mode.accuracy) == pytest.approx(figures(scores, right, mode.thresholds))
    for before, after in itertools.pairwise(found.points):
        assert before.ops < after.ops and before.accuracy < after.accuracy
    # Few clips: the candidates are all that differ.
    limits = [[0.0, *np.nextafter(np.sort(scores[:, k]), np.float32(2)), rule.ALWAYS] for k in range(2)]
    for thresholds in itertools.product(*limits):
        ops, accuracy = figures(scores, right, thresholds)
        assert any(mode.ops <= ops + 1e-9 and mode.accuracy >= accuracy - 1e-9 for mode in found.points)


def test_modes_of_other_clips_are_those_of_chosen_thresholds():
    held_out, shown = made_up(count=150, exits=3, seed=1), made_up(count=120, exits=3, seed=2)
    policy = policies.fit("margin")
    found = modes(held_out, shown, COSTS, policy=policy)
    right = policy.probabilities(shown).argmax(-1) == shown.truth[:, None]
    own = modes_of_clips(policy.scores(shown), right, COSTS)
    assert 1 <= len(found.points) <= len(own.points)
    for mode in found.points:
        assert (mode.ops, mode.accuracy) == pytest.approx(figures(policy.scores(shown), right, mode.thresholds))


def test_as_many_vectors_are_tried_as_said(monkeypatch):
    monkeypatch.setattr(module, "MOST_VECTORS", 100)
    scores = np.random.default_rng(0).random((50, 3))
    assert modes_of_clips(scores, scores > 0.5, COSTS).tried == 100
    assert modes_of_clips(scores[:, :1], scores[:, :1] > 0.5, COSTS[:1]).tried == 1


def test_an_exit_without_scores_is_off():
    scores = np.full((4, 2), np.nan)
    found = modes_of_clips(scores, np.ones((4, 2), bool), COSTS[:2])
    assert [mode.ops for mode in found.points] == [COSTS[1].ops]


def test_exits_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match="there are costs of 2 exits and held-out logits of 3, but the exit logits"):
        modes(made_up(count=9, exits=3), made_up(count=9, exits=3), COSTS[:2], policy=policies.fit("margin"))
