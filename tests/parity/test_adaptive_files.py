"""Keras, LCE and the reference backend say the same, exit by exit, on networks made to be awkward."""

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit import policies
from bnn_exit._keras import keras, set_seed
from bnn_exit.conversion import to_lce
from bnn_exit.model_file import reader
from bnn_exit.policies import rule
from bnn_exit.policies.uncertainty import Margin
from bnn_exit.runtime.backends import BACKENDS
from bnn_exit.runtime.session import load

NETWORKS = {
    # LCE orders its outputs as it likes once there are more than four.
    "six exits": {"channels": (32, 32, 32, 32, 32, 32)},
    "odd channels": {"channels": (33, 65, 31)},
    "grid heads": {"channels": (64, 96, 64), "head": "grid"},
    "cascaded and boosted": {"channels": (32, 64, 32, 32), "head": "cascaded", "boost": 0.5},
}


def shuffled(model):
    """Give BatchNorm layers statistics as training leaves them, negative gammas included."""
    rng = np.random.default_rng(0)
    for layer in model.keras_model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            width = layer.gamma.shape[0]
            gamma = rng.uniform(0.3, 1.5, width) * np.where(rng.random(width) < 0.4, -1, 1)
            layer.set_weights([gamma, rng.normal(0, 1, width), rng.normal(0, 3, width), rng.uniform(1, 30, width)])
    return model


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, tone_task, tmp_path_factory):
    set_seed(1)
    model = shuffled(tiny_model(num_classes=4, input_shape=tone_task.input_shape, **NETWORKS[request.param]))
    path = tmp_path_factory.mktemp("files") / "model.tflite"
    to_lce.export(model, path, task=tone_task, operating_points={})
    return model, reader.read(path)


@pytest.fixture(scope="module")
def clips(tone_task):
    return np.asarray(tone_task.log_mel("test"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_exit_says_what_keras_says(network, clips, backend):
    model, file = network
    chosen = clips[:40] if backend == "lce" else clips[:6]
    expected = policies.softmax(model.logits(chosen))
    runner = BACKENDS[backend](file, threads=1)
    for exit_index in range(model.num_exits):
        thresholds = rule.forcing_thresholds(exit_index, exits=model.num_exits)
        exit_logits = [runner.infer(clip, thresholds) for clip in chosen]
        assert [answer[1] for answer in exit_logits] == [exit_index] * len(chosen)
        difference = np.abs(np.stack([answer[0] for answer in exit_logits]) - expected[:, exit_index]).max(axis=1)
        # Now and then a pre-activation within rounding of zero takes the other sign: bound the median, count the rest.
        assert np.median(difference) < 1e-5
        assert np.mean(difference > 1e-3) <= 0.05
        scores = [answer[2] for answer in exit_logits]
        probabilities = np.stack([answer[0] for answer in exit_logits])
        np.testing.assert_allclose(scores, Margin.of(probabilities), atol=2e-6)


def test_all_backends_leave_at_the_same_exit_for_any_thresholds(network, clips):
    model, file = network
    runners = [BACKENDS[name](file, threads=1) for name in BACKENDS]
    rng = np.random.default_rng(0)
    for clip in clips[:6]:
        thresholds = rng.uniform(0.2, 1, model.num_exits - 1).astype(np.float32)
        (first, left, score), *others = (runner.infer(clip, thresholds) for runner in runners)
        for second, also_left, also_score in others:
            assert left == also_left
            np.testing.assert_allclose(first, second, atol=1e-5)
            assert score == pytest.approx(also_score, abs=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_second_call_gives_the_same_answer_as_the_first(network, clips, backend):
    model, file = network
    runner = BACKENDS[backend](file, threads=1)
    zeros = np.zeros(model.num_exits - 1, np.float32)
    first = runner.infer(clips[0], zeros)
    kept = first[0].copy()
    runner.infer(clips[-1], zeros)
    second = runner.infer(clips[0], zeros)
    np.testing.assert_array_equal(first[0], kept)  # and the first answer is still what it was
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1:] == second[1:]


def test_a_zero_threshold_is_off_even_for_an_exit_that_is_sure(tone_task, tmp_path):
    set_seed(1)
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    for head in model.heads[:2]:
        kernel, _ = head.layers[-1].get_weights()
        head.layers[-1].set_weights([np.zeros_like(kernel), np.array([200, 0, 0, 0], np.float32)])
    to_lce.export(model, tmp_path / "m.tflite", task=tone_task, operating_points={})
    for backend in BACKENDS:
        session = load(tmp_path / "m.tflite", backend=backend)
        result = session.predict(tone_task.test.waveform(0), thresholds=[0.0, 0.0], explain=True)
        assert result.exit_index == 2
        assert result.steps[0]["score"] == 0.0


def test_the_front_end_inside_the_file_equals_the_one_outside(tone_task, tmp_path):
    set_seed(1)
    model = shuffled(tiny_model(num_classes=4, input_shape=tone_task.input_shape))
    sessions = []
    for form in ("log_mel", "waveform"):
        to_lce.export(model, tmp_path / f"{form}.tflite", task=tone_task, operating_points={}, input=form)
        sessions += [load(tmp_path / f"{form}.tflite", backend=backend) for backend in BACKENDS]
    flipped = 0
    for index in range(6):
        waveform = tone_task.test.waveform(index)
        exit_logits = [session.exit_probabilities(waveform) for session in sessions]
        flipped += any(np.abs(answer - exit_logits[0]).max() > 1e-3 for answer in exit_logits[1:])
    assert flipped <= 1
