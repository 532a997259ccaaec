"""Exits that reject: their scores by hand, what a file may hold, and thresholds that let no word leave early."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit import policies
from bnn_exit.calibration.constraints import Constraints
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.operating_points import operating_points
from bnn_exit.calibration.select import select
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Sizes, rule
from bnn_exit.policies.rejection import Rejection
from bnn_exit.task import background_of

CLASSES = 4


def scores_of(probabilities: list[float], background: tuple[int, ...]) -> float:
    logits = ExitLogits.from_probabilities(np.array([[probabilities]]))
    return float(Rejection(background).scores(logits)[0, 0])


def stream(clips: int = 600, seed: int = 0) -> ExitLogits:
    """Words (classes 0, 1) and background (2, 3) at three exits, of which deeper ones are surer."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, clips)
    gain = np.array([2.0, 3.0, 5.0])[:, None]
    logits = draw.normal(0, 1.2, (clips, 3, CLASSES)) + gain * np.eye(CLASSES)[labels][:, None]
    return ExitLogits(logits, labels, "validation", background=(2, 3))


COSTS = ExitCosts((Cost(0, 100), Cost(0, 300), Cost(0, 900)), (Cost(0, 10), Cost(0, 10), Cost(0, 10)))


def test_scores_by_hand():
    assert scores_of([0.1, 0.2, 0.6, 0.1], (2,)) == pytest.approx(0.4)
    assert scores_of([0.1, 0.1, 0.5, 0.3], (2, 3)) == pytest.approx(0.2)
    # A word is the most probable, though the background is more probable than the words together.
    assert scores_of([0.4, 0.0, 0.3, 0.3], (2, 3)) == 1
    assert scores_of([0.4, 0.3, 0.2, 0.1], (2,)) == 1
    # No more probable than a word: it goes on.
    assert scores_of([0.25] * 4, (2, 3)) == 1
    assert scores_of([0.0, 0.0, 1.0, 0.0], (2,)) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.floats(-30, 30), min_size=4, max_size=4), st.sampled_from([(0,), (1, 3), (0, 1, 2)]))
def test_no_threshold_up_to_1_lets_a_word_leave(logits, background):
    found = ExitLogits(np.array([[logits]], np.float32))
    score = float(Rejection(background).scores(found)[0, 0])
    assert 0 <= score <= 1
    label = int(found.logits[0, 0].argmax())
    if rule.leaves(score, 1.0):
        assert label in background
    elif label in background:  # only if a word is as probable
        probabilities = policies.softmax(found.logits)[0, 0]
        words = [number for number in range(4) if number not in background]
        assert probabilities[list(background)].max() <= probabilities[words].max()
    assert rule.leaves(score, rule.ALWAYS)


def test_the_operating_points_let_background_leave_early_and_no_word():
    exit_logits = stream()
    policy = policies.fit("rejection", exit_logits)
    assert policy == Rejection((2, 3))
    spent = COSTS.with_policy(policy, Sizes.of(exit_logits))
    # A drop of everything: without the rule, all clips would leave at exit 1.
    points = operating_points(exit_logits, spent, drops={"full": None, "fast": 1.0}, policy=policy)
    thresholds = points["fast"].thresholds
    assert max(thresholds) <= 1 and min(thresholds) > 0.3
    exits = rule.exit_indices(policy.scores(exit_logits), thresholds)
    early = exits < 2
    labels = rule.predicted_labels(policy.probabilities(exit_logits), exits)
    assert set(labels[early].tolist()) == {2, 3}
    assert early.mean() > 0.4 and points["fast"].exit_shares[0] > 0.3
    assert set(labels[~early].tolist()) >= {0, 1}


def test_a_guarantee_tests_all_clips_because_nothing_is_learned_from_them():
    exit_logits = stream(clips=2000)
    found = select(
        exit_logits,
        COSTS,
        Constraints({"max_accuracy_drop": 0.2}),
        policy_name="rejection",
        confidence=0.9,
    )
    assert found.guarantee is not None and found.guarantee.clips == 2000 and found.guarantee.halved is None
    assert found.guarantee.useful and max(found.point.thresholds) <= 1


@pytest.mark.parametrize("background", [(), (1, 0), (1, 1), (-1,), (0.0,), ("unknown",)])
def test_numbers_of_classes_that_no_file_has_are_named(background):
    with pytest.raises(ArgumentError, match=r"background is .*, but must be numbers of classes, from 0, ascending and"):
        Rejection(background)


@pytest.mark.parametrize("value", [1.0, True, "1", None, math.nan])
def test_a_file_holds_whole_numbers(value):
    with pytest.raises(ArgumentError, match=r"background of a policy holds .*, but must hold whole numbers"):
        policies.from_dict({"name": "rejection", "background": [value]})
    assert policies.from_dict({"name": "rejection", "background": [1]}).to_dict()["background"] == [1]


def test_it_fits_networks_that_have_these_classes_and_others():
    policy = Rejection((1, 2))
    assert policy.fits(exits=2, classes=4) and policy.fits(exits=5, classes=4)
    assert not policy.fits(exits=2, classes=2)
    assert not Rejection((0, 1)).fits(exits=2, classes=2)


def test_it_needs_classes_to_reject_and_others():
    exit_logits = stream(clips=20)
    with pytest.raises(DataError, match=r"policy rejection needs a class that is background, .* with --negatives DIR"):
        policies.fit("rejection", dataclasses.replace(exit_logits, background=()))
    with pytest.raises(DataError, match="all classes are background, so there is nothing to recognise: name fewer"):
        policies.fit("rejection", dataclasses.replace(exit_logits, background=(0, 1, 2, 3)))
    with pytest.raises(ArgumentError, match=r"background is \[4\], but must be numbers from 0 to 3"):
        dataclasses.replace(exit_logits, background=(4,))


def test_the_background_is_kept_with_the_logits(tmp_path):
    exit_logits = stream(clips=20)
    exit_logits.save(tmp_path / "a.npz")
    assert ExitLogits.load(tmp_path / "a.npz").background == (2, 3)
    assert exit_logits.select_exits((0, 2)).background == exit_logits.select_clips([1, 2]).background == (2, 3)
    dataclasses.replace(exit_logits, background=()).save(tmp_path / "b.npz")
    assert ExitLogits.load(tmp_path / "b.npz").background == ()


def test_labels_that_are_background():
    labels = ("yes", "unknown", "no", "silence")
    assert background_of(labels) == (1, 3)
    assert background_of(labels, ("no",)) == (2,)
    assert background_of(("yes", "no")) == () == background_of(("unknown", "silence"))
    with pytest.raises(ArgumentError, match=r"background is 'unkown', but must be one of .*did you mean 'unknown'"):
        background_of(labels, ("unkown",))
    with pytest.raises(ArgumentError, match="background is all 2 labels, but must leave one to recognise"):
        background_of(("a", "b"), ("a", "b"))
