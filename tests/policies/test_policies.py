import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from bnn_exit import policies
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import POLICIES, Sizes, log_softmax, rule, softmax
from bnn_exit.policies.class_means import ClassMeans, ClassMeans1Bit
from bnn_exit.policies.commitment import Commitment
from bnn_exit.policies.ensemble import Ensemble
from bnn_exit.policies.patience import Patience
from bnn_exit.policies.temperature import ScaledEntropy, fit_temperature
from bnn_exit.policies.uncertainty import Entropy


def sample_logits(*, clips=200, exits=3, classes=4, seed=0, split="validation"):
    """ExitLogits that get better with depth, with features that tell the classes apart."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, clips)
    labels[:classes] = np.arange(classes)
    gain = 1.0 + np.arange(exits)
    logits = generator.normal(0, 1.5, (clips, exits, classes)) + gain[:, None] * np.eye(classes)[labels][:, None]
    features = tuple(generator.normal(0, 1, (clips, 6)) + (k + 1) * np.eye(6)[labels] - 0.3 for k in range(exits))
    features = tuple(each.astype(np.float32) for each in features)
    return ExitLogits(logits, labels, split, features=features, background=(1, 2))


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_answers_and_scores_every_exit_and_goes_to_json_and_back(name):
    exit_logits = sample_logits()
    policy = policies.fit(name, exit_logits)
    scores, probabilities = policy.scores(exit_logits), policy.probabilities(exit_logits)
    assert policy.name == name and scores.shape == (200, 3) and probabilities.shape == (200, 3, 4)
    assert probabilities.sum(axis=-1) == pytest.approx(np.ones((200, 3)))
    assert scores.min() >= 0 and scores.max() <= policy.highest(4) + 1e-12
    # The last exit is the network's own answer, whatever the policy: accuracy is lost against it.
    assert np.array_equal(probabilities[:, -1].argmax(-1), exit_logits.logits[:, -1].argmax(-1))
    again = policies.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again == policy and np.array_equal(again.scores(exit_logits), scores)


@pytest.mark.parametrize("name", POLICIES)
def test_an_exit_does_not_know_what_deeper_exits_say(name):
    exit_logits = sample_logits()
    policy = policies.fit(name, exit_logits)
    other = sample_logits(seed=1)
    mixed = ExitLogits(
        np.concatenate([exit_logits.logits[:, :2], other.logits[:, 2:]], axis=1),
        features=(*exit_logits.features[:2], other.features[2]),
    )
    assert np.array_equal(policy.scores(mixed)[:, :2], policy.scores(exit_logits)[:, :2])


@pytest.mark.parametrize("name", POLICIES)
def test_logits_and_logarithms_of_probabilities_are_the_same_to_a_policy(name):
    exit_logits = sample_logits()
    logarithms = dataclasses.replace(exit_logits, logits=log_softmax(exit_logits.logits))
    expected = policies.fit(name, exit_logits)
    assert policies.fit(name, logarithms).scores(logarithms) == pytest.approx(expected.scores(exit_logits), abs=2e-5)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_never_learns_from_the_test_split(name):
    with pytest.raises(ArgumentError, match=rf"policy {name} was given clips of the split 'test'"):
        policies.fit(name, sample_logits(split="test"))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("split", ["", "val", "Validation"])
def test_a_policy_learns_from_clips_whose_split_is_known(name, split):
    with pytest.raises(
        ArgumentError,
        match=f"policy {name} was given clips of the split '{split}', but it may only learn from 'train' or "
        "'validation': set split='validation' if it is",
    ):
        policies.fit(name, sample_logits(split=split))
    assert policies.fit(name, sample_logits(split="train")) == policies.fit(name, sample_logits())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"policy is \[1.0, 2.0\], but must be a dictionary with the name of one"),
        ("margin", "policy is 'margin', but must be a dictionary with the name of one"),
        (None, "policy is None, but must be a dictionary"),
        ({}, "policy is 'None', but must be one of class_means"),
        (
            {"name": "scaled_margin", "temperatures": [1.0, 0.0]},
            "temperatures holds 0.0, but must hold finite numbers above",
        ),
        (
            {"name": "scaled_margin", "temperatures": [-2]},
            "temperatures holds -2.0, but must hold finite numbers above 0",
        ),
        ({"name": "scaled_margin", "temperatures": [math.nan]}, "of a policy holds nan, but must hold finite numbers"),
        ({"name": "scaled_margin", "temperatures": [math.inf]}, "of a policy holds inf, but must hold finite numbers"),
        ({"name": "scaled_margin", "temperatures": [10**400]}, "of a policy holds 10+, but must hold finite numbers"),
        (
            {"name": "ensemble", "weights": [[1.0]], "biases": [[math.nan]]},
            "biases of a policy holds nan, but must hold",
        ),
    ],
)
def test_what_no_policy_can_have_learned_is_refused(values, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        policies.from_dict(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_a_finite_number_above_0(temperature):
    with pytest.raises(ArgumentError, match=f"temperatures holds {temperature}, but must hold finite numbers above 0"):
        ScaledEntropy((1.0, temperature))


def test_what_a_policy_needs_is_named_when_it_is_missing():
    exit_logits = sample_logits()
    with pytest.raises(ArgumentError, match=r"policy is 'entropie', but must be one of .*did you mean 'entropy'"):
        policies.fit("entropie", exit_logits)
    with pytest.raises(ArgumentError, match="policy ensemble learns from clips: give exit logits"):
        policies.fit("ensemble")
    with pytest.raises(DataError, match="labels are missing"):
        policies.fit("scaled_entropy", ExitLogits(exit_logits.logits, split="validation"))
    with pytest.raises(DataError, match="policy class_means needs the features of every exit"):
        policies.fit("class_means", ExitLogits(exit_logits.logits, exit_logits.labels, "validation"))
    with pytest.raises(DataError, match="policy rejection needs a class that is background, such as unknown"):
        policies.fit("rejection", ExitLogits(exit_logits.logits, exit_logits.labels, "validation"))
    with pytest.raises(DataError, match="class 3 has no clip in the validation split"):
        policies.fit("class_means", exit_logits.select_clips(exit_logits.labels != 3))
    with pytest.raises(ArgumentError, match="policy entropy has the settings temperatures, but must have none"):
        policies.from_dict({"name": "entropy", "temperatures": [1.0]})
    with pytest.raises(ArgumentError, match="temperatures of a policy holds 'hot', but must hold finite numbers"):
        policies.from_dict({"name": "scaled_entropy", "temperatures": ["hot"]})
    with pytest.raises(ArgumentError, match=r"temperatures of policy scaled_entropy is 2\.0, but must be a list"):
        policies.from_dict({"name": "scaled_entropy", "temperatures": 2.0})


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_knows_whether_exits_answer_for_themselves(name):
    exit_logits = sample_logits()
    own = np.allclose(policies.fit(name, exit_logits).probabilities(exit_logits), softmax(exit_logits.logits))
    assert POLICIES[name].keeps_probabilities() == own


@pytest.mark.parametrize("name", ["scaled_margin", "ensemble", "commitment"])
def test_what_was_learned_fits_networks_of_as_many_exits_and_classes_alone(name):
    policy = policies.fit(name, sample_logits(exits=3, classes=4))
    assert policy.fits(exits=3, classes=4)
    assert not policy.fits(exits=2, classes=4) and not policy.fits(exits=4, classes=4)
    assert policy.fits(exits=3, classes=5) == (name == "scaled_margin")
    nested = {"scaled_margin": {"temperatures": [[1.0], 1.0, 1.0]}, "ensemble": {"weights": [1.0, 2.0], "biases": []}}
    nested["commitment"] = {"weights": [[1.0] * 5] * 2, "biases": [[1.0], [1.0]]}
    assert not policies.from_dict({"name": name, **nested[name]}).fits(exits=3, classes=4)


# -------------------------------------------------------------------------------------------------------- temperature


def test_the_temperature_is_the_one_of_least_cross_entropy():
    exit_logits = sample_logits(clips=500, seed=3)
    for k in range(3):
        logits, labels = exit_logits.logits[:, k].astype(float), exit_logits.labels

        def loss(temperature, logits=logits, labels=labels):
            return -log_softmax(logits / temperature)[np.arange(len(labels)), labels].mean()

        expected = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}).x
        assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-5)


def test_the_temperature_undoes_a_scale():
    exit_logits = sample_logits(clips=500, seed=4)
    once = fit_temperature(exit_logits.logits[:, 0], exit_logits.labels)
    assert fit_temperature(3 * exit_logits.logits[:, 0], exit_logits.labels) == pytest.approx(3 * once, rel=1e-6)


def test_an_exit_that_is_always_right_gets_the_lowest_temperature_and_finite_scores():
    logits = np.tile(5.0 * np.eye(3), (4, 1))[:, None].repeat(2, axis=1)
    exit_logits = ExitLogits(logits, np.tile([0, 1, 2], 4), "validation")
    policy = policies.fit("scaled_entropy", exit_logits)
    assert policy.temperatures == pytest.approx((0.02, 0.02))
    assert np.isfinite(policy.scores(exit_logits)).all()


def test_scaled_scores_are_the_scores_of_scaled_logits():
    exit_logits = sample_logits()
    policy = ScaledEntropy((2.0, 0.5, 1.0))
    expected = Entropy().scores(ExitLogits(exit_logits.logits / np.array([2.0, 0.5, 1.0])[:, None]))
    assert policy.scores(exit_logits) == pytest.approx(expected, abs=1e-6)


# ----------------------------------------------------------------------------------------------------------- patience


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=6))
def test_patience_counts_equal_answers_in_a_row(labels):
    scores = Patience().scores(ExitLogits(np.eye(3)[np.array(labels)]))
    for row, found in zip(labels, scores, strict=True):
        count = 0
        for k, label in enumerate(row):
            count = count + 1 if k and label == row[k - 1] else 1
            assert found[k] == 1 / count


# ----------------------------------------------------------------------------------------------------------- ensemble


def test_the_ensemble_is_the_one_of_the_formula():
    exit_logits = sample_logits(clips=5)
    policy = Ensemble(weights=((2.0,), (0.5, 1.5)), biases=((0.1, 0.2, 0.3, 0.4), (0.0, 1.0, 0.0, -1.0)))
    p = softmax(exit_logits.logits)
    for clip in range(5):
        first = p[clip, 0] ** 2.0 * np.exp([0.1, 0.2, 0.3, 0.4])
        second = p[clip, 0] ** 0.25 * p[clip, 1] ** 0.75 * np.exp([0.0, 1.0, 0.0, -1.0])
        expected = [first / first.sum(), second / second.sum(), p[clip, 2]]
        assert policy.probabilities(exit_logits)[clip] == pytest.approx(np.array(expected))
    assert policy.scores(exit_logits) == pytest.approx(1 - policy.probabilities(exit_logits).max(-1))


def test_the_ensemble_learns_the_weights_of_least_cross_entropy():
    exit_logits = sample_logits(clips=600, seed=5)
    policy = policies.fit("ensemble", exit_logits)
    logs = log_softmax(exit_logits.logits)
    for m in (0, 1):

        def loss(values, m=m):
            together = np.einsum("nmc,m->nc", logs[:, : m + 1], np.exp(values[: m + 1])) / (m + 1) + values[m + 1 :]
            return -log_softmax(together)[np.arange(600), exit_logits.labels].mean()

        best = optimize.minimize(loss, np.zeros(m + 5), method="BFGS").fun
        found = loss(np.concatenate([np.log(policy.weights[m]), policy.biases[m]]))
        assert best - 1e-9 <= found <= best + 1e-4
    assert all(weight > 0 for weights in policy.weights for weight in weights)


# --------------------------------------------------------------------------------------------------------- commitment


def test_the_commitment_is_the_one_of_the_formula():
    exit_logits = sample_logits(clips=5)
    policy = Commitment(weights=((0.5, -1.0, 2.0, 0.0, 3.0), (0.0, 0.0, 0.0, 0.0, 1.0)), biases=(0.25, -2.0))
    p = softmax(exit_logits.logits)
    for clip in range(5):
        high = np.sort(p[clip], axis=-1)[:, ::-1]
        first = 0.5 * p[clip, 0, 0] - p[clip, 0, 1] + 2 * p[clip, 0, 2] + 3 * (high[0, 0] - high[0, 1]) + 0.25
        second = high[1, 0] - high[1, 1] - 2
        expected = [1 / (1 + np.exp(first)), 1 / (1 + np.exp(second)), 1 - high[2, 0]]
        assert policy.scores(exit_logits)[clip] == pytest.approx(expected)


def test_the_commitment_learns_the_weights_of_least_loss():
    exit_logits = sample_logits(clips=400, seed=5)
    policy = policies.fit("commitment", exit_logits)
    p = softmax(exit_logits.logits)
    for m in (0, 1):
        two = np.sort(p[:, m], axis=-1)[:, -2:]
        read = np.column_stack([p[:, m], two[:, 1] - two[:, 0], np.ones(400)])
        right = p[:, m].argmax(-1) == exit_logits.labels

        def loss(values, read=read, right=right):
            likely = 1 / (1 + np.exp(-read @ values))
            return -np.log(np.where(right, likely, 1 - likely)).mean() + 0.5e-3 * values @ values

        best = optimize.minimize(loss, np.zeros(6), method="BFGS").fun
        assert best - 1e-6 <= loss(np.array([*policy.weights[m], policy.biases[m]])) <= best + 1e-9


def test_the_commitment_knows_a_class_that_is_taken_for_others():
    """Surely wrong: what exit 1 calls class 0 is class 1, with the same probabilities as what it gets right."""
    labels = np.tile([1, 2, 3], 60)
    logits = np.zeros((180, 2, 4))
    logits[np.arange(180), 0, np.where(labels == 1, 0, labels)] = 4
    logits[np.arange(180), 1, labels] = 4
    exit_logits = ExitLogits(logits, labels, "validation")
    margins, scores = (policies.fit(name, exit_logits).scores(exit_logits) for name in ("margin", "commitment"))
    assert np.ptp(margins[:, 0]) < 1e-9
    assert scores[labels == 1, 0].min() > 0.9 and scores[labels != 1, 0].max() < 0.1


def test_an_exit_that_is_always_right_has_finite_weights():
    labels = np.tile([0, 1, 2, 3], 10)
    exit_logits = ExitLogits(np.repeat(30 * np.eye(4)[labels][:, None], 2, axis=1), labels, "validation")
    policy = policies.fit("commitment", exit_logits)
    assert np.isfinite([*policy.weights[0], *policy.biases]).all()
    assert policy.scores(exit_logits)[:, 0].max() < 0.1


# -------------------------------------------------------------------------------------------------------- class means


def test_class_means_answer_with_the_nearest_mean():
    exit_logits = sample_logits(clips=60)
    policy = policies.fit("class_means", exit_logits)
    for k in range(2):
        features = exit_logits.features[k].astype(float)
        means = [features[exit_logits.labels == c].mean(axis=0) for c in range(4)]
        spread = [np.mean([np.linalg.norm(f - means[c]) for f in features[exit_logits.labels == c]]) for c in range(4)]
        distances = np.array(
            [[np.linalg.norm(f - m) / s for m, s in zip(means, spread, strict=True)] for f in features]
        )
        expected = np.exp(-distances) / np.exp(-distances).sum(axis=1, keepdims=True)
        assert policy.probabilities(exit_logits)[:, k] == pytest.approx(expected, abs=1e-6)
        assert policy.scores(exit_logits)[:, k] == pytest.approx(1 - expected.max(axis=1), abs=1e-6)


def test_one_bit_means_count_the_bits_that_differ():
    exit_logits = sample_logits(clips=60)
    policy = policies.fit("class_means_1bit", exit_logits)
    assert {value for exit_means in policy.means for row in exit_means for value in row} <= {-1.0, 1.0}
    bits = exit_logits.features[0] >= 0
    means = np.array([bits[exit_logits.labels == c].mean(axis=0) >= 0.5 for c in range(4)])
    assert np.array_equal(np.array(policy.means[0]) > 0, means)
    share = (bits[:, None] != means[None]).mean(axis=2)
    expected = softmax(-share / np.array(policy.spreads[0]))
    assert policy.probabilities(exit_logits)[:, 0] == pytest.approx(expected, abs=1e-9)


# --------------------------------------------------------------------------------------------------------------- cost


COSTS = {
    "entropy": Cost(0, 20),
    "entropy_nats": Cost(0, 20),
    "max_probability": Cost(0, 10),
    "margin": Cost(0, 20),
    "scaled_entropy": Cost(0, 30),
    "scaled_max_probability": Cost(0, 20),
    "scaled_margin": Cost(0, 30),
    "rejection": Cost(0, 12),
    "patience": Cost(0, 12),
    "ensemble": Cost(0, 40),
    "commitment": Cost(0, 34),
    "skip_gate": Cost(0, 20),
    "class_means": Cost(0, 2030),
    "class_means_1bit": Cost(2000, 30),
}


@pytest.mark.parametrize("name", COSTS)
def test_each_policy_counts_its_own_work(name):
    sizes = Sizes(classes=10, features=(100, 200, 300))
    assert policies.fit(name, sample_logits()).cost(1, sizes) == COSTS[name]


def test_differing_bits_cost_as_binary_work_does():
    assert issubclass(ClassMeans1Bit, ClassMeans) and math.isclose(COSTS["class_means_1bit"].ops, 2000 / 64 + 30)


def test_one_threshold_makes_an_exit_always_answer_under_every_policy():
    assert all(policies.fit(name, sample_logits()).highest(10**6) < rule.ALWAYS for name in POLICIES)
    with pytest.raises(ArgumentError, match=r"0 turns an exit off, 1000 makes it always answer"):
        rule.check_thresholds([-1.0], exits=2)
