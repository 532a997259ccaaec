"""A file of one exit: valid, the same network up to there, on every backend and in every figure."""

import numpy as np
import pytest
from tiny import tiny_model

import bnn_exit
from bnn_exit.calibration.operating_points import operating_points
from bnn_exit.conversion import to_lce
from bnn_exit.errors import ArgumentError
from bnn_exit.evaluation.split import measure_split
from bnn_exit.evaluation.table import table
from bnn_exit.runtime.backends import installed
from bnn_exit.settings.features import INPUTS
from bnn_exit.settings.model import HEADS
from bnn_exit.training.calibrate import exit_logits_of


@pytest.fixture(scope="module")
def model(tone_task):
    made = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    made.adapt(tone_task.log_mel("train"))
    return made


def made_file(model, exit_index, task, path, **options):
    static = model.truncated(exit_index)
    logits = exit_logits_of(static, task, split="validation")
    points = operating_points(logits, static.costs())
    return to_lce.export(static, path, task=task, operating_points=points, **options)


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize("exit_index", range(3))
def test_the_file_gives_what_the_exit_of_the_network_gives_on_every_backend(
    model, tone_task, tmp_path, exit_index, form
):
    audit = made_file(model, exit_index, tone_task, tmp_path / "m.tflite", input=form)
    assert audit.binary_layers == exit_index + 1
    assert not [operator for operator in audit.operators if operator.subgraph or operator.name == "IF"]
    log_mel = np.asarray(tone_task.log_mel("test"))[:8]
    logits = model.logits(log_mel)[:, exit_index].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for backend in installed():
        session = bnn_exit.load(tmp_path / "m.tflite", backend=backend)
        assert session.exits == 1
        found = [session.predict(tone_task.test.waveform(index), explain=True) for index in range(8)]
        assert {each.exit_index for each in found} == {0} and len(found[0].steps) == 1
        apart = np.abs(np.stack([each.probabilities for each in found]) - expected).max(axis=-1)
        assert np.median(apart) < 1e-4, backend


@pytest.mark.parametrize("head", HEADS)
def test_a_network_of_any_head_can_be_truncated(tone_task, tmp_path, head):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, channels=(16, 16), head=head)
    made_file(model, 0, tone_task, tmp_path / "m.tflite")  # checks itself on every backend
    if model.chained:
        with pytest.raises(ArgumentError, match="exit_index is 1, but that head reads the logits of the exit before"):
            model.truncated(1)
    else:
        made_file(model, 1, tone_task, tmp_path / "m.tflite")


def test_its_figures_are_those_of_one_exit(model, tone_task, tmp_path):
    made_file(model, 1, tone_task, tmp_path / "m.tflite")
    session = bnn_exit.load(tmp_path / "m.tflite")
    _, labels, report = measure_split(session, tone_task)
    right = model.logits(tone_task.log_mel("test"))[:, 1].argmax(axis=-1) == labels
    assert [figures.accuracy for figures in report.exits] == [pytest.approx(right.mean())]
    assert list(report.operating_points) == ["full", "accurate", "balanced", "fast"]
    assert all(point.exit_shares == [1.0] for point in report.operating_points.values())
    assert all(point.accuracy == pytest.approx(right.mean()) for point in report.operating_points.values())
    assert len(table(report).splitlines()) > 5


def test_a_stream_of_it_runs_window_after_window(model, tone_task, tmp_path):
    made_file(model, 0, tone_task, tmp_path / "m.tflite")
    session = bnn_exit.load(tmp_path / "m.tflite")
    point = bnn_exit.ListeningPoint("all", operating_point="balanced", thresholds={"low": 0.9})
    stream = bnn_exit.Stream(session, hop_ms=100, listening_point=point)
    windows = [window for _ in range(30) for window in stream.windows(np.zeros(800, np.float32))]
    assert windows and {window.exit_index for window in windows} == {0}
