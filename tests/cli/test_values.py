"""Values of sensors from the training on: a run, its file, and every command."""

import json
import re

import numpy as np
import pytest

import audio_tasks
import bnn_exit
from bnn_exit.commands import adapt, bench, calibrate, difficulty, evaluate, export, listen, predict, report, train
from bnn_exit.errors import ArgumentError
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime.backends import installed

LABELS = ("fast", "slow", "still")
CHANNELS = ["acc_x", "acc_y", "acc_z", "light"]


def write_recordings(path, *, people=9, seed=0):
    """Three movements of each of some people at 50 Hz, which differ in speed."""
    random, time = np.random.default_rng(seed), np.arange(300) / 50
    parts = {name: [] for name in ("values", "label", "subject", "recording", "time_ms")}
    for person in range(people):
        for label, pitch in zip(LABELS, (4.0, 1.5, 0.0), strict=True):
            phase = 2 * np.pi * (pitch * random.uniform(0.9, 1.1) * time + random.uniform())
            moves = np.stack([np.sin(phase), np.cos(phase), 9.8 + 0.3 * np.sin(phase), 100 + 10 * np.cos(phase)], 1)
            parts["values"].append(moves * random.uniform(0.8, 1.2) + random.normal(0, 0.1, moves.shape))
            parts["label"] += [label] * len(time)
            parts["subject"] += [f"person_{person}"] * len(time)
            parts["recording"] += [f"{person}_{label}"] * len(time)
            parts["time_ms"].append(np.round(1000 * time))
    np.savez(
        path,
        values=np.concatenate(parts["values"]).astype(np.float32),
        channels=np.array(CHANNELS),
        time_ms=np.concatenate(parts["time_ms"]),
        **{name: np.array(parts[name]) for name in ("label", "subject", "recording")},
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "moves.npz"
    write_recordings(path)
    return path


def arguments(data, *more):
    options = "--task timeseries --group subject --recording recording --time time_ms --time-unit ms --window-s 1.28"
    return [*options.split(), "--data-dir", str(data), *more]


@pytest.fixture(scope="module")
def run(data):
    folder = data.parent / "run"
    given = arguments(
        data, "--recipe", "fast", "--epochs", "12", "--batch-size", "8", "--hop-s", "0.32", "--out", str(folder)
    )
    assert train.main(given) == 0
    return RunFolder(folder)


@pytest.fixture(scope="module")
def session(run):
    return bnn_exit.load(run.model)


@pytest.fixture(scope="module")
def task(run):
    return audio_tasks.load_again(run.config.task)


def test_the_file_says_what_it_takes(session):
    metadata = session.metadata
    assert metadata.takes_values and metadata.input == "values" and metadata.clip_samples == 64
    assert metadata.features.to_dict() == {"kind": "values", "sample_rate_hz": 50.0, "channels": CHANNELS}
    assert metadata.normalisation == "mean and variance of each channel, first in the network"
    assert session.labels == LABELS


def test_no_person_is_in_two_splits(task):
    people = [set(split.speakers) for split in task.splits.values()]
    assert sum(map(len, people)) == len(set().union(*people)) == 9


def test_test_windows_are_recognised(session, task):
    right = [
        session.predict(window).label_index == label
        for window, label in zip(task.log_mel("test"), task.test.labels, strict=True)
    ]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("backend", installed())
def test_every_backend_computes_what_the_network_does(run, task, backend):
    session, windows = bnn_exit.load(run.model, backend=backend), task.log_mel("test")[:5]
    expected = run.network().logits(windows)
    expected = np.exp(expected) / np.exp(expected).sum(axis=-1, keepdims=True)
    for window, probabilities in zip(windows, expected, strict=True):
        assert session.exit_probabilities(window) == pytest.approx(probabilities, abs=1e-4)


def test_the_middle_of_longer_values_is_classified(session, task):
    window = task.log_mel("test")[0]
    longer = np.concatenate([np.zeros((10, 4)), window, np.zeros((10, 4))]).astype(np.float32)
    found = session.predict(longer)
    assert found.label == session.predict(window).label
    assert np.array_equal(found.probabilities, session.predict(window).probabilities)
    assert found.left_out_s == pytest.approx(20 / 50)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((63, 4)), {}, "values has 63 samples, but a window of this file has 64"),
        (np.zeros((64, 3)), {}, "values has shape (64, 3), but must be [samples, channels] with 4 channels: acc_x"),
        (np.full((64, 4), np.nan), {}, "values has 256 NaN or infinite numbers, the first in sample 1 of acc_x"),
        (np.zeros((64, 4)), {"sample_rate_hz": 100}, "sample_rate_hz is 100, but the file takes values at 50 Hz"),
    ],
)
def test_values_that_do_not_fit_the_file(session, values, options, message):
    with pytest.raises(ArgumentError) as caught:
        session.predict(values, **options)
    assert message in str(caught.value)


def test_a_stream_says_what_predict_says(session, task):
    stream = np.concatenate(task.log_mel("test")[:4])
    listening = bnn_exit.Stream(session, hop_ms=160)
    windows = []
    for start in range(0, len(stream), 37):
        windows += listening.windows(stream[start : start + 37])
    assert len(windows) == (len(stream) - 64) // 8 + 1
    for number, window in enumerate(windows):
        expected = session.predict(stream[8 * number : 8 * number + 64])
        assert np.array_equal(window.probabilities, expected.probabilities)
        assert window.start_s == pytest.approx(8 * number / 50) and window.exit_index == expected.exit_index


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_rate_hz": 100}, "sample_rate_hz is 100, but the file takes values at 50 Hz: resample them"),
        ({"hop_ms": 30}, "hop_ms is 30, but must be a multiple of the 20 ms from frame to frame: the nearest is 40"),
        ({"gate": True}, "gate needs log-mel frames, but this file takes values of sensors"),
    ],
)
def test_streams_that_cannot_be(session, options, message):
    with pytest.raises(ArgumentError) as caught:
        bnn_exit.Stream(session, **options)
    assert str(caught.value) == message


def test_evaluate_and_report(run, capsys):
    assert evaluate.main([str(run)]) == 0
    assert "timeseries, test split" in capsys.readouterr().out
    assert report.main([str(run)]) == 0
    page = (run.path / "report.html").read_text()
    assert "data:image/svg+xml;base64," in page and "data:audio" not in page


def test_predict_difficulty_and_bench_read_files_of_values(run, task, tmp_path, capsys):
    window = task.log_mel("test")[0]
    np.save(tmp_path / "a.npy", window)
    rows = [",".join(reversed(CHANNELS)), *(",".join(map(repr, map(float, row[::-1]))) for row in window)]
    (tmp_path / "b.csv").write_text("\n".join(rows))
    places = [str(tmp_path / "a.npy"), str(tmp_path / "b.csv")]
    assert predict.main([str(run.model), "--json", *places]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["probabilities"] == second["probabilities"]
    assert first["label"] == bnn_exit.load(run.model).predict(window).label
    assert difficulty.main([str(run.model), *places]) == 0
    assert capsys.readouterr().out.count("a.npy") == 1
    assert bench.main([str(run.model), places[0], "--repeats", "3"]) == 0


def test_export_again_is_the_same_file(run):
    out = run.path.parent / "again.tflite"
    assert export.main([str(run), "--out", str(out)]) == 0
    assert out.read_bytes() == run.model.read_bytes()


def test_calibrate_with_a_guarantee(run, capsys):
    given = ["--max-accuracy-drop", "0.2", "--confidence", "0.9", "--name", "sure"]
    assert calibrate.main([str(run), *given]) == 0
    assert "sure" in bnn_exit.load(run.model).operating_points


@pytest.mark.parametrize(
    ("command", "given", "message"),
    [
        (listen, ["a.wav"], r"listen needs sound, but the features are values of sensors \(acc_x"),
        (predict, ["missing.npy"], "cannot read values: no such file or folder: 'missing.npy'"),
        (predict, ["clip.wav"], "clip.wav ends in '.wav', but values are in .npy or .csv files"),
    ],
)
def test_commands_that_cannot_work(run, capsys, command, given, message):
    assert command.main([str(run.model), *given]) != 0
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("name", ["", "model.tflite"])
def test_adapt_says_that_it_needs_sound_before_it_looks_for_any(run, tmp_path, capsys, name):
    assert adapt.main([str(run.path / name), "--unlabelled", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: adapt needs sound, but the features are values of sensors (acc_x")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--feature", "hop_ms=20"], "--feature is 'hop_ms=20', but the task timeseries has no log-mel features"),
        (["--input", "waveform"], "--input is 'waveform', but must be one of values"),
        (["--levels", "normalised"], "levels is 'normalised', but values have no level as sound has: use 'kept'"),
        (["--negatives", "folder"], "negatives are recordings of sound, but the task timeseries has none"),
        (["--backbone", "birealnet"], "size is 'micro', but birealnet has small, base, large: choose one of them"),
        (["--window-s", "60"], "no window of 60 s is left of 27 recordings: 27 too short for a window"),
        (["--group", "label"], "recording 0_fast is of the groups"),
    ],
)
def test_trainings_that_cannot_be(data, tmp_path, capsys, more, message):
    if more[0] == "--group":
        more = ["--group", "labels"]
        message = "has no array 'labels' (a group of each), but channels, label, recording, subject, time_ms, values"
    assert train.main(arguments(data, *more, "--out", str(tmp_path / "run"))) != 0
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())
