import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_logits import made_up
from scipy import stats

from bnn_exit import policies
from bnn_exit.calibration.drift import drift, holm
from bnn_exit.errors import ArgumentError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import rule

ENTROPY = policies.fit("entropy")


def noisy(*, seed, noise, count=600):
    exit_logits = made_up(count=count, exits=3, seed=seed)
    return ExitLogits(exit_logits.logits * (1 - noise))


def test_p_values_are_those_of_the_named_tests():
    one, two = made_up(count=500, exits=3, seed=1), noisy(seed=2, noise=0.1)
    found = drift(one, two, (0.5, 0.4), policy=ENTROPY)
    scores = [ENTROPY.scores(each).astype(np.float32) for each in (one, two)]
    for index in (0, 1):
        expected = stats.ks_2samp(scores[0][:, index], scores[1][:, index]).pvalue
        assert found.p_values[f"score_{index + 1}"] == expected
    assert set(found.p_values) == {"score_1", "score_2", "exit_shares"}
    counts = [np.bincount(rule.exit_indices(each, (0.5, 0.4)), minlength=3) for each in scores]
    assert found.p_values["exit_shares"] == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue)
    assert found.calibration_shares == pytest.approx(counts[0] / 500)
    assert found.field_shares == pytest.approx(counts[1] / 600)


def test_weaker_logits_are_noticed_and_the_same_clips_are_not():
    calibration = made_up(count=600, exits=3, seed=1)
    assert drift(calibration, noisy(seed=2, noise=0.4), (0.5, 0.4), policy=ENTROPY).found
    same = drift(calibration, calibration, (0.5, 0.4), policy=ENTROPY)
    assert not same.found and same.corrected == {"score_1": 1.0, "score_2": 1.0, "exit_shares": 1.0}
    assert same.sentence().startswith("no drift found: ")


def test_the_sentence_says_what_to_do():
    found = drift(made_up(count=600, exits=3), noisy(seed=2, noise=0.5), (0.5, 0.4), policy=ENTROPY)
    assert found.sentence().startswith("drift: ") and found.sentence().endswith(
        "calibrate again with labelled clips from there"
    )
    assert f"{100 * found.field_shares[0]:.1f} % leave at exit 1, {100 * found.calibration_shares[0]:.1f} %" in (
        found.sentence()
    )


def test_without_drift_alarms_are_as_rare_as_promised():
    alarms = sum(
        drift(
            made_up(count=150, exits=3, seed=2 * seed),
            made_up(count=80, exits=3, seed=2 * seed + 1),
            (0.5, 0.4),
            policy=ENTROPY,
            level=0.1,
        ).found
        for seed in range(200)
    )
    # 20 of 200 are allowed; 31 would be 2.6 standard errors more.
    assert alarms <= 31


def test_thresholds_with_which_all_leave_at_once_leave_nothing_to_test():
    found = drift(made_up(count=50, exits=2), made_up(count=30, exits=2, seed=9), (0.0,), policy=ENTROPY)
    assert set(found.p_values) == {"score_1"} and found.corrected == found.p_values
    assert found.sentence() == (
        "no drift found: 0.0 % leave at exit 1, 0.0 % in calibration "
        f"(score 1 p = {found.p_values['score_1']:.2g}, all leave at one exit)"
    )


def test_too_few_clips_leave_the_scores_alone():
    calibration, field = made_up(count=600, exits=2, seed=1), made_up(count=6, exits=2, seed=2)
    found = drift(calibration, field, (0.5,), policy=ENTROPY)
    scores = [ENTROPY.scores(each).astype(np.float32)[:, 0] for each in (calibration, field)]
    # Not corrected for a test that was not made.
    assert found.corrected == found.p_values == {"score_1": stats.ks_2samp(*scores).pvalue}
    assert found.field_clips == 6
    assert found.sentence().startswith("no drift found: ")
    assert found.sentence().endswith(
        f"(score 1 p = {found.p_values['score_1']:.2g}, too few clips to compare exit shares: 6 from the field)"
    )


def test_scores_of_a_deeper_exit_alone_are_noticed():
    calibration, field = made_up(count=600, exits=3, seed=1), made_up(count=600, exits=3, seed=2)
    logits = field.logits.copy()
    logits[:, 1] *= 0.5
    found = drift(calibration, ExitLogits(logits), (0.0, 0.0), policy=ENTROPY)
    assert found.found and found.p_values["score_1"] > 0.01 > found.corrected["score_2"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_by_its_definition(values):
    found = holm({str(index): value for index, value in enumerate(values)})
    for index, value in enumerate(values):
        order = sorted(range(len(values)), key=lambda each: values[each])
        place = order.index(index)
        steps = [min(1.0, (len(values) - j) * values[order[j]]) for j in range(place + 1)]
        assert found[str(index)] == max(steps) >= value


def test_another_network_and_other_mistakes_are_named():
    one = made_up(count=9, exits=3)
    with pytest.raises(
        ArgumentError, match="field have 2 exits and 4 classes, but calibration has 3 and 4: they are of"
    ):
        drift(one, made_up(count=9, exits=2), (0.1, 0.1), policy=ENTROPY)
    with pytest.raises(ArgumentError, match=r"level is 1.5, but must be above 0 and below 1"):
        drift(one, one, (0.1, 0.1), policy=ENTROPY, level=1.5)
    with pytest.raises(ArgumentError, match=r"thresholds has 1 value .* a model of 3 exits takes 2"):
        drift(one, one, (0.1,), policy=ENTROPY)
    with pytest.raises(ArgumentError, match=r"thresholds is 0.1, -1, but each must be a finite number of at least 0"):
        drift(one, one, (0.1, -1), policy=ENTROPY)
