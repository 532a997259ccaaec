"""A skip gate in the file: what it decides, what is executed then, and what it adds to the file."""

import ctypes
import dataclasses

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit import policies
from bnn_exit._keras import set_seed
from bnn_exit.calibration.operating_points import describe
from bnn_exit.conversion import to_lce
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import OperatingPoints
from bnn_exit.policies import Sizes, rule
from bnn_exit.policies.skip_gate import SkipGate
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.backends import BACKENDS
from bnn_exit.runtime.reference.interpreter import Interpreter
from bnn_exit.runtime.session import load
from bnn_exit.training.calibrate import exit_logits_of

EXITS = 3


@pytest.fixture(scope="module")
def network(tone_task):
    set_seed(1)
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    model.adapt(tone_task.log_mel("train"))
    return model


@pytest.fixture(scope="module")
def exit_logits(network, tone_task):
    return exit_logits_of(network, tone_task, split="validation", features=True)


@pytest.fixture(scope="module")
def made(network, exit_logits, tone_task, tmp_path_factory):
    """A file whose gate sends about half of the clips past the heads at its point "mine", and its policy."""
    # Not fitted: exits of a network that was not trained are never right.
    features = exit_logits.features[0].astype(np.float64)
    weights = np.random.default_rng(0).normal(size=features.shape[1]) / np.maximum(features.std(axis=0), 1e-6)
    weights *= 2 / (features @ weights).std()
    policy = SkipGate(tuple(map(float, weights)), (float(-(features @ weights).mean()),))
    costs = network.exit_costs().with_policy(policy, Sizes.of(exit_logits))
    thresholds = np.float32(np.median(policy.scores(exit_logits), axis=0))  # between two clips, of an even number
    point = describe("mine", tuple(map(float, thresholds)), exit_logits, costs, policy=policy, max_accuracy_drop=1.0)
    path = tmp_path_factory.mktemp("gate") / "m.tflite"
    to_lce.export(network, path, task=tone_task, operating_points=OperatingPoints({"mine": point}, policy=policy))
    return path, policy, point


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_skips_as_the_policy_does(backend, made, network, tone_task):
    path, policy, point = made
    file = reader.read(path)
    runner = BACKENDS[backend](file, threads=1)
    exit_logits = exit_logits_of(network, tone_task, split="test", features=True).select_clips(range(16))
    expected = policy.scores(exit_logits)
    clips = [np.asarray(clip) for clip in tone_task.log_mel("test")[:16]]
    forced = [
        [runner.infer(clip, rule.forcing_thresholds(k, exits=EXITS, skips=True)) for clip in clips] for k in range(3)
    ]
    scores = np.array([[answer[2] for answer in each] for each in forced]).T
    # The network on this backend may differ from Keras by a sign, so not every clip need agree.
    assert np.mean(np.abs(scores - expected) < 1e-4) >= 0.8
    found = [runner.infer(clip, np.asarray(point.thresholds, np.float32)) for clip in clips]
    outcomes = rule.outcomes(scores, point.thresholds)
    assert set(outcomes) >= {EXITS} and len(set(outcomes)) >= 2
    left, there = [answer[1] for answer in found], [answer[2] for answer in found]
    assert rule.outcomes_at(left, there, point.thresholds, exits=EXITS).tolist() == outcomes.tolist()
    for clip, answer in enumerate(found):
        assert np.array_equal(answer[0], forced[answer[1]][clip][0])
    everyone = [runner.infer(clip, rule.skipping_thresholds(exits=EXITS)) for clip in clips]
    assert [answer[1] for answer in everyone] == [EXITS - 1] * len(clips)
    assert all(np.array_equal(answer[0], each[0]) for answer, each in zip(everyone, forced[-1], strict=True))


def test_a_clip_that_skips_executes_no_early_head(made, tone_task):
    file = reader.read(made[0])
    interpreter, clip = Interpreter(file.model), np.asarray(tone_task.log_mel("test"))[0]

    def executed(thresholds):
        names = []
        interpreter.run(file.arguments(clip, thresholds), observe=lambda _, operator, __: names.append(operator.name))
        return names.count("FULLY_CONNECTED"), names.count("SOFTMAX"), names.count("LceBconv2d")

    # A head is a dense layer and a softmax; every stage has a binary convolution.
    assert executed(rule.skipping_thresholds(exits=EXITS)) == (1, 1, 3)
    assert executed(rule.forcing_thresholds(2, exits=EXITS, skips=True)) == (3, 3, 3)
    assert executed(rule.forcing_thresholds(0, exits=EXITS, skips=True)) == (1, 1, 1)


def test_weights_are_in_the_file_once(made, network, tone_task, tmp_path):
    to_lce.export(network, tmp_path / "plain.tflite", task=tone_task, operating_points={})
    gated, plain = (reader.read(path).model for path in (made[0], tmp_path / "plain.tflite"))

    def floats(model):
        return sum(len(t.data or b"") for s in model.subgraphs for t in s.tensors if t.dtype == "float32")

    # The weights of the gate, and a few constants of its branches.
    weights = 4 * len(made[1].weights)
    assert weights <= floats(gated) - floats(plain) < weights + 200


def test_the_file_knows_its_gate(made, network, exit_logits):
    path, policy, point = made
    metadata = reader.read(path).metadata
    assert (metadata.policy, metadata.skips, metadata.num_thresholds) == ("skip_gate", True, 3)
    assert policies.from_dict(metadata.policy_dict) == policy
    expected = network.exit_costs().with_policy(policy, Sizes.of(exit_logits))
    assert metadata.exits == expected and metadata.exits.skipped == expected.skipped
    assert metadata.operating_points["mine"] == point and 0 < point.skipped_share < 1


def test_a_session_says_what_was_skipped(made, tone_task):
    path, _, point = made
    session = load(path, backend="reference")
    clips = [np.asarray(clip) for clip in tone_task.log_mel("test")[:20]]
    found = [session.predict_log_mel(clip, operating_point="mine", explain=True) for clip in clips]
    assert {prediction.skipped for prediction in found} == {True, False}
    for prediction in found:
        assert prediction.skipped == (prediction.exit_index == 2 and prediction.score < np.float32(point.thresholds[2]))
        assert len(prediction.steps) == (1 if prediction.skipped else prediction.exit_index + 1)
    with pytest.raises(
        ArgumentError, match=r"2 values .* takes 3: one for each exit but the last, and then one for its"
    ):
        session.predict_log_mel(clips[0], thresholds=[0.5, 0.5])


def test_the_c_interface_uses_the_gate_of_a_point_and_no_other(made, tone_task):
    """Thresholds from a caller are as many as ever: one that knows no gate must not be read beyond its array."""
    path, _, point = made
    library, data = native_backend._library(), path.read_bytes()

    class Prediction(ctypes.Structure):
        _fields_ = (
            *(("label", ctypes.c_char_p), ("label_index", ctypes.c_int32), ("exit_index", ctypes.c_int32)),
            *(("score", ctypes.c_float), ("probabilities", ctypes.POINTER(ctypes.c_float))),
        )

    handle, message, size = ctypes.c_void_p(), ctypes.create_string_buffer(512), ctypes.c_size_t
    assert not library.bnn_exit_classifier_new(data, size(len(data)), None, ctypes.byref(handle), message, size(512)), (
        message.value
    )

    def left_at(waveform, name, thresholds):
        found = Prediction()
        values = None if thresholds is None else (ctypes.c_float * len(thresholds))(*thresholds)
        status = library.bnn_exit_classify(
            handle, waveform.ctypes.data_as(ctypes.c_void_p), size(waveform.size), name, values, ctypes.byref(found),
            message, size(512),
        )  # fmt: skip
        assert not status, message.value
        return found.exit_index

    session = load(path, backend="native")
    early = point.thresholds[:2]
    waveforms = [np.asarray(tone_task.split("test").waveform(k), np.float32) for k in range(20)]
    named = [left_at(each, b"mine", None) for each in waveforms]
    given = [left_at(each, None, early) for each in waveforms]
    library.bnn_exit_classifier_free(handle)
    assert named == [session.predict(each, operating_point="mine").exit_index for each in waveforms]
    assert given == [session.predict(each, thresholds=[*early, 0.0]).exit_index for each in waveforms]
    assert named != given


def test_a_gate_of_other_features_stays_out_of_files(network, made, tone_task, tmp_path):
    policy = dataclasses.replace(made[1], weights=made[1].weights[:7])
    with pytest.raises(
        ArgumentError, match="policy skip_gate was fitted to 7 features of stage 1, but this network has"
    ):
        to_lce.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=policy)
    assert not (tmp_path / "m.tflite").exists()


def test_a_network_of_two_exits_gets_no_gate(network, made, tone_task, tmp_path):
    with pytest.raises(ArgumentError, match="policy skip_gate was fitted for another network than this one of 2 exits"):
        to_lce.export(
            network.with_exits((0, 2)), tmp_path / "m.tflite", task=tone_task, operating_points={}, policy=made[1]
        )
