"""Every policy that a file can hold says in the file, on every backend, what it says in NumPy."""

import dataclasses

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit import policies
from bnn_exit._keras import set_seed, tf
from bnn_exit.conversion import scores, to_lce
from bnn_exit.errors import ArgumentError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import reader
from bnn_exit.policies import POLICIES, Sizes, rule
from bnn_exit.runtime.backends import BACKENDS
from bnn_exit.training.calibrate import exit_logits_of

EXITS = 3


@pytest.fixture(scope="module")
def network(tone_task):
    set_seed(1)
    return tiny_model(num_classes=4, input_shape=tone_task.input_shape)


@pytest.fixture(scope="module")
def fitted(network, tone_task):
    exit_logits = exit_logits_of(network, tone_task, split="validation", features=True)
    # The class that exit 1 takes the first clip for, so that it rejects some of them.
    background = (int(exit_logits.logits[:, 0].argmax(axis=-1)[0]),)
    exit_logits = dataclasses.replace(exit_logits, background=background)
    return {name: policies.fit(name, exit_logits) for name in POLICIES}


@pytest.mark.parametrize("name", [name for name, kind in POLICIES.items() if not kind.needs_features])
def test_a_file_answers_and_scores_as_the_policy_does(name, network, fitted, tone_task, tmp_path):
    policy = fitted[name]
    to_lce.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=policy)
    file = reader.read(tmp_path / "m.tflite")
    assert file.metadata.policy == name
    log_mel = np.asarray(tone_task.log_mel("test"))[:8]
    for backend, make in BACKENDS.items():
        runner = make(file, threads=1)
        forced = [
            [runner.infer(clip, rule.forcing_thresholds(k, exits=EXITS)) for clip in log_mel] for k in range(EXITS)
        ]
        # The network on this backend may differ from Keras by a sign: what its own heads say is the judge.
        plain = _logits(network, tone_task, log_mel, backend, tmp_path)
        expected_scores, expected = policy.scores(plain), policy.probabilities(plain)
        for k in range(EXITS):
            assert [answer[1] for answer in forced[k]] == [k] * len(log_mel)
            assert np.array([answer[0] for answer in forced[k]]) == pytest.approx(expected[:, k], abs=2e-5), backend
            assert np.array([answer[2] for answer in forced[k]]) == pytest.approx(expected_scores[:, k], abs=2e-5)
        # Half-way between the scores of these clips every exit sends some of them out.
        thresholds = np.median(expected_scores[:, :-1], axis=0).astype(np.float32) + np.float32(1e-4)
        left = [runner.infer(clip, thresholds)[1] for clip in log_mel]
        assert left == rule.exit_indices(np.array([[a[2] for a in each] for each in forced]).T, thresholds).tolist()


def _logits(network, task, log_mel, backend, folder):
    """Logarithms of what the exits of a file with the plain policy say."""
    path = folder / "plain.tflite"
    if not path.is_file():
        to_lce.export(network, path, task=task, operating_points={})
    runner = BACKENDS[backend](reader.read(path), threads=1)
    outputs = [
        [runner.infer(clip, rule.forcing_thresholds(k, exits=EXITS))[0] for k in range(EXITS)] for clip in log_mel
    ]
    return ExitLogits(np.log(np.maximum(outputs, 1e-38)))


@pytest.mark.parametrize("name", ["class_means", "class_means_1bit"])
def test_a_file_answers_from_the_means_of_features_on_every_backend(name, network, fitted, tone_task, tmp_path):
    policy = fitted[name]
    to_lce.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=policy)
    file = reader.read(tmp_path / "m.tflite")
    assert (file.metadata.policy, file.metadata.policy_settings) == (name, {})
    exit_logits = exit_logits_of(network, tone_task, split="test", features=True).select_clips(range(20))
    sizes = Sizes.of(exit_logits)
    assert file.metadata.exits == network.exit_costs().with_policy(policy, sizes)
    expected_scores, expected = policy.scores(exit_logits), policy.probabilities(exit_logits)
    for backend, make in BACKENDS.items():
        runner = make(file, threads=1)
        for k in range(EXITS):
            thresholds = rule.forcing_thresholds(k, exits=EXITS)
            outputs = [runner.infer(np.asarray(clip), thresholds) for clip in tone_task.log_mel("test")[:20]]
            # The network on this backend may differ from Keras by a sign, so not every clip need agree.
            close = [np.allclose(answer[0], expected[i, k], atol=1e-4) for i, answer in enumerate(outputs)]
            assert np.mean(close) >= 0.8, (backend, k)
            same = [abs(answer[2] - expected_scores[i, k]) < 1e-4 for i, answer in enumerate(outputs)]
            assert np.mean(same) >= 0.8, (backend, k)
            assert [answer[1] for answer in outputs] == [k] * len(outputs)


@pytest.mark.parametrize("name", ["class_means", "class_means_1bit"])
def test_the_graph_measures_distances_to_class_means(name):
    generator = np.random.default_rng(4)
    labels = np.arange(60) % 5
    features = tuple(generator.normal(labels[:, None] * 0.3, 1, (60, 40 + k)).astype(np.float32) for k in range(EXITS))
    features[0][0] = 0.0  # the sign of 0 is +1
    exit_logits = ExitLogits(generator.normal(0, 3, (60, EXITS, 5)), labels, "validation", features=features)
    policy = policies.fit(name, exit_logits)
    for k in range(EXITS):
        for clip in range(60):
            is_last = k == EXITS - 1
            outputs = exit_logits.logits[clip, k] if is_last else features[k][clip]
            answer = scores.exit_output(policy, k, tf.constant(outputs[None]), (), is_last=is_last)
            assert answer.probabilities().numpy()[0] == pytest.approx(
                policy.probabilities(exit_logits)[clip, k], abs=1e-5
            )
            assert answer.score.numpy() == pytest.approx([policy.scores(exit_logits)[clip, k]], abs=1e-5)


@pytest.mark.parametrize("name", [name for name, kind in POLICIES.items() if not kind.needs_features])
def test_the_graph_computes_the_score_of_sure_and_unsure_answers(name):
    generator = np.random.default_rng(2)
    logits = np.concatenate(
        [
            generator.normal(0, 3, (60, EXITS, 5)),
            np.zeros((1, EXITS, 5)),  # uniform: all five share the first place
            np.tile([100.0, 0, 0, 0, 0], (1, EXITS, 1)),  # probabilities of 0
            np.tile([3.0, 3, 0, 0, 0], (1, EXITS, 1)),  # two share the first place
        ]
    )
    labels = generator.integers(0, 5, len(logits))
    exit_logits = ExitLogits(logits, labels, "validation", background=(1, 3))
    policy = policies.fit(name, exit_logits)
    expected_scores, expected = policy.scores(exit_logits), policy.probabilities(exit_logits)
    for clip, row in enumerate(exit_logits.logits):
        memory = ()
        for k in range(EXITS):
            answer = scores.exit_output(policy, k, tf.constant(row[k][None]), memory, is_last=k == EXITS - 1)
            memory = answer.memory
            assert answer.score.numpy() == pytest.approx([expected_scores[clip, k]], abs=2e-6)
            assert answer.score.numpy()[0] >= 0
            assert answer.probabilities().numpy()[0] == pytest.approx(expected[clip, k], abs=2e-6)


def test_a_policy_of_another_network_stays_out_of_files(network, tone_task, tmp_path):
    policy = POLICIES["scaled_margin"]((1.0,) * (network.num_exits + 1))
    with pytest.raises(ArgumentError, match="policy scaled_margin was fitted for another network than this one of"):
        to_lce.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=policy)
    assert not (tmp_path / "m.tflite").exists()


def test_means_of_other_features_stay_out_of_files(network, fitted, tone_task, tmp_path):
    with pytest.raises(ArgumentError, match="policy class_means was fitted for another network than this one of 3"):
        to_lce.export(
            network, tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=POLICIES["class_means"]()
        )
    smaller = dataclasses.replace(
        fitted["class_means"], means=tuple(tuple(row[:7] for row in mean) for mean in fitted["class_means"].means)
    )
    with pytest.raises(ArgumentError, match=r"policy class_means was fitted to 7 features at exit 1, but this network"):
        to_lce.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=smaller)
    assert not (tmp_path / "m.tflite").exists()
