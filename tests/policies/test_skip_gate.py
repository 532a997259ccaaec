import dataclasses
import math

import numpy as np
import pytest
from made_up_logits import made_up
from scipy import optimize

from bnn_exit import metrics, policies
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Sizes, rule
from bnn_exit.policies.skip_gate import RIDGE, SkipGate, early_answers, fit_predictor
from bnn_exit.policies.uncertainty import Margin

COSTS = ExitCosts(
    (Cost(64_000, 1000), Cost(256_000, 3000), Cost(640_000, 6000)), (Cost(0, 500), Cost(0, 900), Cost(0, 700))
)


def sample_logits(*, clips=200, exits=3):
    exit_logits = made_up(count=clips, exits=exits)
    features = np.random.default_rng(9).normal(0, 1, (clips, 6)) + np.eye(6)[exit_logits.labels]
    return dataclasses.replace(exit_logits, features=(features.astype(np.float32),) * exits)


def with_logits(probabilities, features, **known):
    return ExitLogits.from_probabilities(probabilities, features=(np.asarray(features, np.float32),) * 3, **known)


def test_the_gate_is_the_one_of_the_formula():
    one = [[0.7, 0.3], [0.9, 0.1], [0.5, 0.5]]
    exit_logits = with_logits([one, one], [[1.0, 2.0], [-1.0, 0.5]])
    policy = SkipGate(weights=(2.0, -1.0), bias=(0.5,))
    r = [1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(2.0))]
    assert policy.gate_scores(exit_logits) == pytest.approx(r)
    assert policy.scores(exit_logits)[1] == pytest.approx([0.6, 0.2, r[1]], abs=1e-6)
    # r of the first is 0.62, of the second 0.12: at 0.3 the second skips, though exit 1 would let it leave.
    assert rule.outcomes(policy.scores(exit_logits), (0.7, 0.3, 0.3)).tolist() == [0, 3]


def test_scores_of_a_file_take_the_place_of_features():
    exit_logits = sample_logits()
    policy = policies.fit("skip_gate", exit_logits)
    known = ExitLogits(exit_logits.logits, gate_scores=policy.gate_scores(exit_logits).astype(np.float32))
    assert policy.scores(known) == pytest.approx(policy.scores(exit_logits), abs=1e-6)
    assert policy.scores(known.select_clips([3, 5])) == pytest.approx(policy.scores(exit_logits)[[3, 5]], abs=1e-6)
    assert known.select_exits([1, 2]).gate_scores is None


def test_what_an_early_exit_would_answer():
    # Exit 1 is right up to its score 0.2 and then wrong; exit 2 is never right.
    probabilities = np.zeros((4, 3, 2))
    probabilities[:, 0, 0] = [0.95, 0.9, 0.8, 0.7]
    probabilities[:, 1, 0] = 0.9
    probabilities[:, 2, 0] = 0.5
    probabilities[..., 1] = 1 - probabilities[..., 0]
    exit_logits = ExitLogits.from_probabilities(probabilities, labels=np.array([0, 0, 1, 0]))
    # The fourth is right, but of the clips up to its score one in four is wrong.
    assert early_answers(exit_logits).tolist() == [True, True, False, False]


def test_the_predictor_is_a_logistic_regression_of_equal_classes():
    generator = np.random.default_rng(3)
    features = generator.normal(2, [0.5, 3, 1, 10], (300, 4))
    answered = features @ [1, -0.3, 0.4, 0.05] + generator.normal(0, 1, 300) > 3
    assert 20 < answered.sum() < 280
    standard = (features - features.mean(axis=0)) / features.std(axis=0)

    def loss(values):
        likely = 1 / (1 + np.exp(-(standard @ values[:-1] + values[-1])))
        own = -np.log(np.where(answered, likely, 1 - likely))
        equal = (own[answered].mean() + own[~answered].mean()) / 2
        return equal + 0.5 * RIDGE * values[:-1] @ values[:-1] + 0.5e-3 * values[-1] ** 2

    best = optimize.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    expected = standard @ best[:-1] + best[-1]
    found = fit_predictor(features, answered)
    assert features @ found[:-1] + found[-1] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("answer", [True, False])
def test_a_predictor_of_one_answer_is_finite(answer):
    features = np.random.default_rng(0).normal(0, 1, (50, 3))
    features[:, 1] = 7.0  # without spread
    found = fit_predictor(features, np.full(50, answer))
    assert np.isfinite(found).all()
    assert np.all((features @ found[:-1] + found[-1] > 2) == answer)


def test_more_features_than_clips_are_fitted():
    exit_logits = sample_logits(clips=40)
    wide = np.random.default_rng(1).normal(0, 1, (40, 200)).astype(np.float32)
    policy = policies.fit(
        "skip_gate", ExitLogits(exit_logits.logits, exit_logits.labels, "validation", features=(wide,) * 3)
    )
    assert len(policy.weights) == 200 and np.isfinite(policy.weights).all()


def test_every_clip_pays_the_gate_and_one_that_skips_pays_no_early_head():
    policy, sizes = SkipGate(weights=(0.0,) * 100), Sizes(10, (100, 200, 300))
    spent = COSTS.with_policy(policy, sizes)
    gate, score = Cost(0, 103), Margin().cost(0, sizes)
    assert policy.gate_cost(sizes) == gate
    assert spent == (
        COSTS.exits[0] + gate + score,
        COSTS.exits[1] + gate + score + score,
        COSTS.exits[2] + gate + score + score,
    )
    # The last exit without the heads 1 and 2: 6000 - 500 - 900 float MACs.
    assert spent.skipped == Cost(640_000, 6000 - 500 - 900) + gate
    mean = metrics.mean_cost(rule.outcomes([[0.1, 0.9, 0.9], [0.1, 0.9, 0.2]], (0.5, 0.5, 0.5)), spent)
    assert mean["float_macs"] == pytest.approx((1000 + 103 + 20 + 4600 + 103) / 2)
    with pytest.raises(ArgumentError, match="exit_indices has values from 0 to 3, but must lie in 0 to 2"):
        metrics.mean_cost([0, 3], tuple(spent))


def test_networks_that_a_gate_does_not_suit():
    two = sample_logits(exits=2)
    message = (
        "policy is skip_gate, but the network has 2 exits, and a skip gate needs at least 3: with fewer there is at"
    )
    with pytest.raises(ArgumentError, match=message):
        policies.fit("skip_gate", two)
    with pytest.raises(ArgumentError, match=message):
        COSTS.select_exits((0, 2)).with_policy(SkipGate((0.0,)), Sizes(10, (1, 1)))
    with pytest.raises(
        DataError, match="policy skip_gate needs the features of every exit, but the exit logits hold none"
    ):
        policies.fit("skip_gate", ExitLogits(two.logits.repeat(2, axis=1), two.labels, "validation"))
    with pytest.raises(
        ArgumentError, match="was fitted to 1 features of stage 1, but there are 6: fit it on exit logits"
    ):
        SkipGate((0.0,)).scores(sample_logits())


def test_it_fits_networks_of_three_exits_and_more():
    policy = policies.fit("skip_gate", sample_logits())
    assert policy.fits(exits=3, classes=4) and policy.fits(exits=5, classes=9)
    assert not policy.fits(exits=2, classes=4)
    assert not SkipGate().fits(exits=3, classes=4)
    assert not policies.from_dict({"name": "skip_gate", "weights": [[1.0]], "bias": [0.0]}).fits(exits=3, classes=4)
