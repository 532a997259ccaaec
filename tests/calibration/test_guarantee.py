import dataclasses
import functools
import math

import numpy as np
import pytest
from made_up_logits import made_up

from bnn_exit import policies
from bnn_exit.calibration.guarantee import guarantee, halves, least_clips, losses, rising_path, walk
from bnn_exit.calibration.p_values import P_VALUES
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import rule

ENTROPY = policies.fit("entropy")
PATH = rising_path(exits=3, highest=1.0)


def test_the_path_rises_in_depth_and_boldness_and_ends_with_all_leaving_at_once():
    for step in PATH:
        assert list(step) == sorted(step)
    for before, after in zip(PATH, PATH[1:]):
        assert all(a < b for a, b in zip(before, after, strict=True))
    assert PATH[0] == pytest.approx((1e-4, 1e-2)) and PATH[-1] == (rule.ALWAYS, rule.ALWAYS)
    assert rising_path(exits=2, highest=3.0)[-2] == (3.0,)


def test_the_boldest_step_before_the_first_failure_is_taken():
    exit_logits = made_up(count=1500, exits=3, seed=1)
    found = guarantee(exit_logits, PATH, policy=ENTROPY, max_accuracy_drop=0.03, confidence=0.9)
    steps = PATH.index(found.thresholds) + 1
    full = exit_logits.correct[:, -1]
    for index, thresholds in enumerate(PATH[: steps + 1]):
        right = exit_logits.correct[np.arange(1500), rule.exit_indices(ENTROPY.scores(exit_logits), thresholds)]
        lost, gained = int((full & ~right).sum()), int((~full & right).sum())
        p = P_VALUES["binomial_or_exact"](1500, lost, gained, 0.03, 0.1)
        assert (p <= 0.1 + 1e-12) == (index < steps)
        if index == steps - 1:
            assert (found.lost, found.gained) == (lost, gained) and found.p_value == pytest.approx(p)
    assert found.useful and found.clips == 1500 and found.clips_needed > 1500
    assert found.sentence().startswith("at most 3 points of accuracy lost, confidence 0.9: ")


def test_a_later_step_that_would_pass_is_out_of_reach():
    counts = [(0, 0), (30, 0), (0, 0)]
    assert len(walk(counts, clips=500, limit=0.02, level=0.05)) == 1
    assert walk([], clips=5, limit=0.02, level=0.05) == []


def test_losses_are_counted_against_the_network_that_is_named():
    exit_logits = made_up(count=60, exits=3, seed=2)
    part = exit_logits.select_exits([0, 1])
    found = losses(part, [(0.4,)], policy=ENTROPY, reference=exit_logits.correct[:, -1])[0]
    right = part.correct[np.arange(60), rule.exit_indices(ENTROPY.scores(part), (0.4,))]
    assert found.tolist() == (exit_logits.correct[:, -1].astype(int) - right).tolist()
    assert losses(exit_logits, [(0.0, 0.0)], policy=ENTROPY).tolist() == [[0] * 60]


@pytest.mark.parametrize("name", ["binomial", "betting", "exact", "binomial_or_exact"])
@pytest.mark.parametrize("gain", [0.0, 0.6])
def test_the_promise_is_broken_no_more_often_than_promised(name, gain, monkeypatch):
    # The same counts come up again and again.
    monkeypatch.setitem(P_VALUES, name, functools.cache(P_VALUES[name]))
    # Steps whose true risk is known: step i loses a further share of clips and gains `gain` of that, so the path
    # crosses the limit at a known place. All steps share their clips, as thresholds do.
    clips, limit, level, draws, generator = 400, 0.05, 0.1, 2000, np.random.default_rng(0)
    risks = np.arange(1, 21) * 0.005
    lost, gained = risks / (1 - gain), risks * gain / (1 - gain)
    broken = 0
    for _ in range(draws):
        dice = generator.uniform(size=clips)
        counts = [(int((dice < a).sum()), int((dice > 1 - b).sum())) for a, b in zip(lost, gained, strict=True)]
        steps = len(walk(counts, clips=clips, limit=limit, level=level, p_value=name))
        broken += steps > 0 and risks[steps - 1] > limit + 1e-12
    # 200 are allowed and the draws are what they are: three standard errors of chance.
    assert broken <= 200 + 3 * math.sqrt(2000 * 0.1 * 0.9)


def test_a_test_that_looks_at_the_mean_alone_would_break_it():
    # The simulation above can fail: taking the boldest step whose observed loss is within the limit breaks far more.
    generator, risks, broken = np.random.default_rng(0), np.arange(1, 21) * 0.005, 0
    for _ in range(500):
        dice = generator.uniform(size=400)
        seen = np.array([(dice < risk).mean() for risk in risks])
        broken += risks[seen <= 0.05].max(initial=0) > 0.05 + 1e-12
    assert broken > 150


def test_too_few_clips_are_told_with_the_number_that_would_do():
    exit_logits = made_up(count=200, exits=3)
    found = guarantee(exit_logits, PATH, policy=ENTROPY, max_accuracy_drop=0.01, confidence=0.95)
    assert not found.useful and found.thresholds == (0.0, 0.0) and found.p_value == 1.0
    assert found.sentence().endswith("200 clips are too few to guarantee it; even without a loss it takes 299")
    # Exactly: 0.99 ** 299 <= 0.05 < 0.99 ** 298.
    assert least_clips(0.01, 0.95) == 299 and 0.99**299 <= 0.05 < 0.99**298
    assert least_clips(1.0, 0.95) == 1 and least_clips(0.5, 0.75) == 2


def test_who_has_halved_clips_is_told_what_all_of_them_must_be():
    exit_logits = made_up(count=200, exits=3)
    few = guarantee(exit_logits, PATH, policy=ENTROPY, max_accuracy_drop=0.01, confidence=0.95)
    assert (
        dataclasses.replace(few, halved=400)
        .sentence()
        .endswith(": 400 clips, half tested, are too few to guarantee it; even without a loss it takes 598")
    )
    enough = dataclasses.replace(few, clips=300, halved=600, clips_needed=411)
    assert enough.sentence().endswith(
        ": 600 clips, half tested, are too few to guarantee it for any early exit; about 822 would do"
    )
    assert (
        dataclasses.replace(enough, clips_needed=None)
        .sentence()
        .endswith("on these 600 clips, half tested, however cautious")
    )


def test_an_early_exit_that_is_sure_and_wrong_allows_nothing():
    right = np.tile(np.eye(2)[[0, 1]], (250, 1))
    logits = np.stack([50 * right[:, ::-1], 50 * right], axis=1)
    exit_logits = ExitLogits(logits, np.tile([0, 1], 250))
    found = guarantee(
        exit_logits, rising_path(exits=2, highest=1.0), policy=ENTROPY, max_accuracy_drop=0.05, confidence=0.95
    )
    assert not found.useful and found.clips_needed is None
    assert found.sentence().endswith("no early exit satisfies it on these 500 clips, however cautious")


def test_halves_are_disjoint_and_whole():
    one, two = halves(made_up(count=31, exits=2))
    assert (len(one), len(two)) == (15, 16) and sorted([*one, *two]) == list(range(31))
    assert halves(made_up(count=31, exits=2))[0].tolist() == one.tolist()
    with pytest.raises(DataError, match="1 clip cannot be halved"):
        halves(made_up(count=9, exits=2).select_clips([0]))


@pytest.mark.parametrize(
    ("drop", "confidence", "message"),
    [
        (0.0, 0.95, "max_accuracy_drop is 0.0, but a guarantee needs it above 0 and at most 1"),
        (1.5, 0.95, "max_accuracy_drop is 1.5"),
        (float("nan"), 0.95, "max_accuracy_drop is nan"),
        (0.01, 1.0, "confidence is 1.0, but must be above 0 and below 1, such as 0.95"),
        (0.01, 95, "confidence is 95"),
    ],
)
def test_settings_out_of_range_are_named(drop, confidence, message):
    with pytest.raises(ArgumentError, match=message):
        guarantee(made_up(count=9, exits=3), PATH, policy=ENTROPY, max_accuracy_drop=drop, confidence=confidence)


def test_labels_are_needed():
    exit_logits = ExitLogits(made_up(count=9, exits=3).logits)
    with pytest.raises(DataError, match="labels are missing"):
        guarantee(exit_logits, PATH, policy=ENTROPY, max_accuracy_drop=0.1, confidence=0.9)
    with pytest.raises(ArgumentError, match=r"p_value is 'exakt', but must be one of .*did you mean 'exact'"):
        guarantee(
            made_up(count=9, exits=3), PATH, policy=ENTROPY, max_accuracy_drop=0.1, confidence=0.9, p_value="exakt"
        )
