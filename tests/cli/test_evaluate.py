import errno
import json
import os
import types

import numpy as np
import pytest

import audio_tasks
from audio_tasks.base import Task
from audio_tasks.split import Split
from bnn_exit import metrics, policies, pretrained
from bnn_exit.audio import logmel
from bnn_exit.commands import evaluate, measured_model
from bnn_exit.cost import Cost
from bnn_exit.evaluation import split
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import read_json, write_json
from bnn_exit.policies import rule
from bnn_exit.policies.uncertainty import Entropy
from bnn_exit.runtime.backends import BACKENDS
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.training import TrainConfig

LABELS = ("yes", "no", "maybe")
CLIPS, EXITS, SAMPLES = 30, 3, 1600
FEATURES = FeatureConfig()
COSTS = (Cost(6400, 10), Cost(64000, 20), Cost(640000, 40))
POINTS = {"full": (0.0, 0.0), "balanced": (0.5, 0.6), "fast": (0.8, 0.9)}
TRUE = np.arange(CLIPS) % len(LABELS)


def network():
    """The outputs of every exit for every clip: probabilities [clips, exits, labels], better with depth."""
    logits = np.random.default_rng(1).normal(0, 1, (CLIPS, EXITS, len(LABELS)))
    logits += np.array([0.8, 1.6, 3.0])[:, None] * np.eye(len(LABELS))[TRUE][:, None]
    return policies.softmax(logits).astype(np.float32)


class FakeBackend:
    """Knows each clip by its input, and answers as `network` says, through the rule of the policy."""

    stuck_at = None

    def __init__(self, file, *, threads):
        assert threads == 1
        self.model_file = file

    def infer(self, inputs, thresholds):
        assert inputs.shape == self.model_file.inputs[0].shape
        clip = int(np.argmin([np.abs(inputs - known).max() for known in self.model_file.inputs]))
        outputs = self.model_file.probabilities[clip]
        scores = Entropy.of(outputs)
        exit_index = int(rule.exit_indices(scores[None], thresholds)[0]) if self.stuck_at is None else self.stuck_at
        return outputs[exit_index], exit_index, float(scores[exit_index])


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A run folder with a task `toy` and a model `fake`, both changeable before the command runs."""
    generator = np.random.default_rng(0)
    waves = generator.uniform(-0.5, 0.5, (CLIPS, SAMPLES)).astype(np.float32)

    def split(name, count):
        return Split(
            name, tuple(f"{i}.wav" for i in range(count)), TRUE[:count].astype(np.int32), None, waves.__getitem__
        )

    task = Task(
        name="toy",
        labels=LABELS,
        train=split("train", CLIPS),
        validation=split("validation", 12),
        test=split("test", CLIPS),
        clip_samples=SAMPLES,
        features=FEATURES,
        skipped={"truncated": 2},
    )
    asked = []

    class Loader:
        def options(self):
            return {"words": 3}

        def __call__(self, **arguments):
            asked.append(arguments)
            return task

    def front_end(waveform):
        given.append(waveform)
        return logmel.log_mel(waveform, FEATURES)

    given = []
    session = types.SimpleNamespace(
        model_file=types.SimpleNamespace(
            path=tmp_path / "run" / "model.tflite",
            probabilities=network(),
            inputs=np.asarray(task.log_mel("train")),
        ),
        backend="fake",
        inputs=lambda waveform: front_end(waveform),
        labels=LABELS,
        exits=EXITS,
        operating_points={name: types.SimpleNamespace(thresholds=values) for name, values in POINTS.items()},
        metadata=types.SimpleNamespace(
            input="log_mel",
            features=FEATURES,
            clip_samples=SAMPLES,
            exits=COSTS,
            policy="entropy",
            skips=False,
            num_thresholds=EXITS - 1,
        ),
    )
    monkeypatch.setitem(audio_tasks.TASKS, "toy", Loader())
    monkeypatch.setitem(BACKENDS, "fake", FakeBackend)
    monkeypatch.setattr(FakeBackend, "stuck_at", None)
    monkeypatch.setattr(measured_model.runtime, "load", lambda path, *, backend, threads: session)
    run = tmp_path / "run"
    task.options = {"data_dir": "/old", "words": 3}
    RunConfig(RunTask.of(task), ModelConfig(), AugmentConfig(), TrainConfig(seed=7)).save(run)
    config = read_json(run / "config.json")
    (run / "model.tflite").write_bytes(b"stands in for a model")
    return types.SimpleNamespace(
        run=run, task=task, session=session, asked=asked, waves=waves, config=config, given=given
    )


def report_of(world):
    return json.loads((world.run / "metrics.json").read_text())


# ------------------------------------------------------------------------------------------------------------- figures


def test_metrics_json_holds_the_figures_of_every_exit(world):
    assert evaluate.main([str(world.run)]) == 0
    report = report_of(world)
    outputs = network()
    for k, row in enumerate(report["exits"]):
        assert row["exit_index"] == k
        assert row["accuracy"] == metrics.accuracy(outputs[:, k].argmax(-1), TRUE)
        assert row["cost"] == {**COSTS[k].to_dict(), "ops": COSTS[k].ops}
        assert row["relative_cost"]["binary_macs"] == pytest.approx([0.01, 0.1, 1.0][k])
        for name in ("time_us", "front_end_us", "whole_us"):
            assert 0 < row[name]["minimum"] <= row[name]["median"] <= row[name]["p95"]


def test_metrics_json_holds_the_figures_of_every_operating_point(world):
    assert evaluate.main([str(world.run)]) == 0
    report = report_of(world)
    outputs = network()
    assert list(report["operating_points"]) == list(POINTS)
    for name, row in report["operating_points"].items():
        exits = rule.exit_indices(Entropy.of(outputs), POINTS[name])
        predicted = rule.predicted_labels(outputs, exits)
        assert row["thresholds"] == list(POINTS[name])
        assert row["accuracy"] == metrics.accuracy(predicted, TRUE)
        assert row["accuracy_drop"] == pytest.approx(report["exits"][-1]["accuracy"] - row["accuracy"])
        assert row["exit_shares"] == metrics.exit_shares(exits, exits=EXITS).tolist()
        assert row["mean_cost"] == metrics.mean_cost(exits, COSTS)
        assert row["relative_cost"]["ops"] == pytest.approx(row["mean_cost"]["ops"] / COSTS[-1].ops)
        assert row["confusion_matrix"] == metrics.confusion_matrix(predicted, TRUE, num_classes=3).tolist()
        assert row["per_class"] == metrics.per_class(predicted, TRUE, names=LABELS, exit_indices=exits)
        assert row["exit_agreement"] == 1.0
        for times in ("time_us", "front_end_us", "whole_us"):
            assert set(row[times]) == {"minimum", "median", "mean", "p95"}
    # The points differ, or the test would not see one taken for another.
    assert len({tuple(row["exit_shares"]) for row in report["operating_points"].values()}) == 3


def test_metrics_json_tells_how_it_was_measured(world):
    assert evaluate.main([str(world.run), "--split", "test"]) == 0
    report = report_of(world)
    assert (report["task"], report["split"], report["sample_count"], report["split_count"]) == ("toy", "test", 30, 30)
    assert report["labels"] == list(LABELS)
    assert report["skipped_files"] == {"truncated": 2}
    assert (report["backend"], report["threads"], report["measured"], report["seed"]) == ("fake", 1, True, 7)
    assert report["command"] == f"python -m bnn_exit.evaluate {world.run} --split test"
    assert report["machine"]["cpu"] and report["machine"]["platform"]
    assert report["versions"]["numpy"] == np.__version__
    assert report["date"].endswith("+00:00")
    assert report["front_end_us"]["median"] > 0
    assert report["caches"] == "warm" and "with warm caches" in report["time_of"]


def test_front_end_and_network_are_added_clip_by_clip(world, monkeypatch):
    # The front end of clip i takes i + 1 ms, the network 10 ms for each exit that it runs; nothing else takes time.
    clock = types.SimpleNamespace(seconds=0.0)
    world.session.inputs, infer = lambda waveform: slow_front_end(waveform), FakeBackend.infer

    def slow_front_end(waveform):
        clock.seconds += 1e-3 * (1 + int(np.argmin(np.abs(world.waves - waveform).max(axis=1))))
        return logmel.log_mel(waveform, FEATURES)

    def slow_infer(self, inputs, thresholds):
        output = infer(self, inputs, thresholds)
        clock.seconds += 10e-3 * (1 + output[1])
        return output

    monkeypatch.setattr(FakeBackend, "infer", slow_infer)
    monkeypatch.setattr(split, "clock_of", lambda backend, threads: lambda: clock.seconds)
    assert evaluate.main([str(world.run)]) == 0
    report = report_of(world)
    front_end = 1e3 * np.arange(1, CLIPS + 1)
    exits = {name: rule.exit_indices(Entropy.of(network()), POINTS[name]) for name in POINTS}
    rows = [(row, np.full(CLIPS, k)) for k, row in enumerate(report["exits"])]
    rows += [(report["operating_points"][name], left) for name, left in exits.items()]
    for row, left in rows:
        each = {"front_end_us": front_end, "time_us": 1e4 * (1 + left), "whole_us": front_end + 1e4 * (1 + left)}
        for name, values in each.items():
            assert row[name]["mean"] == pytest.approx(values.mean())
            assert row[name]["median"] == pytest.approx(np.median(values))
    assert report["front_end_us"]["mean"] == pytest.approx(front_end.mean())
    # The sum of the medians would be another figure.
    balanced = report["operating_points"]["balanced"]
    added = balanced["front_end_us"]["median"] + balanced["time_us"]["median"]
    assert added != pytest.approx(balanced["whole_us"]["median"], rel=1e-3)


def test_the_front_end_is_that_of_the_session(world):
    assert evaluate.main([str(world.run), "--limit", "2"]) == 0
    assert {waveform.tobytes() for waveform in world.given} == {world.waves[i].tobytes() for i in (0, CLIPS - 1)}


def test_what_the_exits_said_is_kept_for_calibration(world):
    assert evaluate.main([str(world.run), "--limit", "2"]) == 0
    assert not (world.run / "exit_logits").exists()  # a part of the split would mislead
    assert evaluate.main([str(world.run)]) == 0
    exit_logits = ExitLogits.load(world.run / "exit_logits" / "test.npz")
    assert exit_logits.split == "test" and exit_logits.names == tuple(world.task.test.ids)
    np.testing.assert_array_equal(exit_logits.labels, TRUE)
    np.testing.assert_allclose(np.exp(exit_logits.logits), network(), atol=1e-6)
    (world.run / "exit_logits" / "test.npz").write_bytes(b"of an earlier file")
    assert evaluate.main([str(world.run)]) == 0
    assert len(ExitLogits.load(world.run / "exit_logits" / "test.npz")) == len(TRUE)


def test_another_file_of_the_run_has_results_of_its_own(world, capsys, monkeypatch):
    lean = world.run / "model_lean.tflite"
    lean.write_bytes(b"stands in for a model with fewer exits")
    loaded = []
    monkeypatch.setattr(measured_model.runtime, "load", lambda path, **_: loaded.append(path) or world.session)
    assert evaluate.main([str(lean)]) == 0
    assert loaded == [lean]
    assert capsys.readouterr().out.endswith(
        f"\n\nwrote {world.run / 'metrics_lean.json'} and {world.run / 'plots_lean'}\n"
    )
    report = json.loads((world.run / "metrics_lean.json").read_text())
    assert report["sample_count"] == CLIPS and report["seed"] == 7
    assert list((world.run / "plots_lean").iterdir())
    # Figures of model.tflite, and answers of all exits, are of that file alone.
    assert not {"metrics.json", "plots", "exit_logits"} & {path.name for path in world.run.iterdir()}


def test_a_missing_file_of_the_run_is_told_with_those_that_there_are(world, capsys):
    assert failing(world, capsys, model="model_lena.tflite") == (
        1,
        f"error: {world.run} has no model_lena.tflite: give {world.run / 'model.tflite'}",
    )


def test_answers_that_are_not_the_exits_own_are_not_kept(world):
    world.session.metadata.policy = "ensemble"
    assert evaluate.main([str(world.run)]) == 0
    assert evaluate.main([str(world.run), "--split", "validation"]) == 0
    assert not (world.run / "exit_logits").exists()


def test_the_plots_are_pngs(world):
    assert evaluate.main([str(world.run)]) == 0
    assert sorted(os.listdir(world.run / "plots")) == ["confusion_matrix.png", "exit_histogram.png", "trade_off.png"]
    for path in (world.run / "plots").iterdir():
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_table_shows_every_exit_and_point(world, capsys):
    assert evaluate.main([str(world.run)]) == 0
    text = capsys.readouterr().out
    report = report_of(world)
    assert text.splitlines()[0].startswith("toy, test split, 30 clips, backend fake, 1 thread, ")
    for k, row in enumerate(report["exits"]):
        line = next(line for line in text.splitlines() if line.startswith(f"{k + 1} "))
        assert f"{100 * row['accuracy']:.2f}" in line and f"{row['cost']['binary_macs']:,}" in line
    for name, row in report["operating_points"].items():
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert f"{100 * row['accuracy']:.2f}" in line and f"{100 * row['exit_shares'][0]:.1f}" in line
    assert "skipped files: 2 truncated" in text
    assert "times in us, of a clip in memory, with warm caches, " in text
    balanced = report["operating_points"]["balanced"]
    assert text.count(f"{balanced['whole_us']['mean']:.1f}") >= 1
    assert str(world.run / "metrics.json") in text


def test_json_prints_what_the_file_holds(world, capsys):
    assert evaluate.main([str(world.run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report_of(world)


def test_limit_takes_clips_from_the_whole_split(world):
    assert evaluate.main([str(world.run), "--limit", "4"]) == 0
    report = report_of(world)
    assert (report["sample_count"], report["split_count"]) == (4, 30)
    # Clips 0, 10, 19 and 29: labels 0, 1, 1 and 2.
    assert [row["support"] for row in report["operating_points"]["full"]["per_class"]] == [1, 2, 1]
    assert evaluate.main([str(world.run), "--limit", "400"]) == 0
    assert report_of(world)["sample_count"] == 30


def test_another_split(world):
    assert evaluate.main([str(world.run), "--split", "validation"]) == 0
    assert (report_of(world)["split"], report_of(world)["sample_count"]) == ("validation", 12)


def test_the_task_is_loaded_as_the_run_says(world):
    assert evaluate.main([str(world.run)]) == 0
    assert (world.asked[0]["data_dir"], world.asked[0]["words"]) == ("/old", 3)
    assert world.asked[0]["features"] == FEATURES


def test_data_dir_takes_the_place_of_the_one_in_the_run(world):
    assert evaluate.main([str(world.run), "--data-dir", "/new"]) == 0
    assert (world.asked[0]["data_dir"], world.asked[0]["words"]) == ("/new", 3)


def test_a_file_that_takes_waveforms_gets_waveforms(world):
    world.session.metadata.input = "waveform"
    world.session.model_file.inputs = world.waves
    assert evaluate.main([str(world.run)]) == 0
    report = report_of(world)
    assert report["front_end_us"] is None and world.given == []
    for row in [*report["exits"], *report["operating_points"].values()]:
        assert row["front_end_us"] is None and row["whole_us"] == row["time_us"]
    assert report["exits"][0]["accuracy"] == metrics.accuracy(network()[:, 0].argmax(-1), TRUE)


def test_a_file_without_operating_points_is_measured_at_full(world):
    world.session.operating_points = {}
    assert evaluate.main([str(world.run)]) == 0
    report = report_of(world)
    assert list(report["operating_points"]) == ["full"]
    assert report["operating_points"]["full"]["exit_shares"] == [0.0, 0.0, 1.0]


# ----------------------------------------------------------------------------------------------------------- bad input


def failing(world, capsys, *arguments, model=""):
    """The one line and the status of a command that must fail."""
    status = evaluate.main([str(world.run / model), *arguments])
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1
    assert not (world.run / "metrics.json").exists()
    return status, lines[0]


@pytest.mark.parametrize("name", ["config.json", "model.tflite"])
def test_a_missing_file_of_the_run_is_named_with_the_command_that_makes_it(world, capsys, name):
    (world.run / name).unlink()
    status, line = failing(world, capsys)
    run = world.run
    expected = {
        "config.json": (2, f"error: {str(run)!r} is no run: it has no config.json (bnn_exit.train makes runs)"),
        "model.tflite": (1, f"error: {run} has no model.tflite: python -m bnn_exit.train --resume {run} makes it"),
    }
    assert (status, line) == expected[name]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"task": {"name": "toy"}}', '{"task": 3, "features": {}}'])
def test_a_damaged_configuration_is_named(world, capsys, text):
    (world.run / "config.json").write_text(text)
    status, line = failing(world, capsys)
    assert status == 1
    assert line.startswith(f"error: {world.run / 'config.json'} cannot be read (")


def test_an_unknown_task_in_the_configuration_is_named(world, capsys):
    write_json(world.run / "config.json", {**world.config, "task": {**world.config["task"], "name": "toi"}})
    status, line = failing(world, capsys)
    assert status == 2
    assert line.startswith("error: task is 'toi', but must be one of ") and line.endswith("did you mean 'toy'?")


def test_data_with_other_labels_is_refused(world, capsys):
    world.task.labels = ("yes", "no", "never")
    status, line = failing(world, capsys)
    assert status == 2
    assert line == (
        "error: the data has other labels than before (look at maybe, never): give its folder with --data-dir, or "
        "start a new run"
    )


def test_other_feature_settings_are_refused(world, capsys):
    world.session.metadata.clip_samples = 8000
    assert failing(world, capsys) == (
        1,
        "error: model.tflite was exported with other feature settings than config.json: export it again",
    )


def test_an_empty_split_is_refused(world, capsys):
    world.task.test = Split("test", (), np.zeros(0, np.int32), None, world.waves.__getitem__)
    assert failing(world, capsys) == (1, "error: the test split of toy is empty: choose another with --split")


def test_a_file_that_does_not_leave_where_it_must_is_refused(world, capsys, monkeypatch):
    monkeypatch.setattr(FakeBackend, "stuck_at", 1)
    status, line = failing(world, capsys)
    assert status == 1
    assert line.startswith("error: clip 0: exit 1 was forced, but the clip left at exit 2 with score ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--split", "tets"],
            "error: --split is 'tets', but must be one of test, train, validation; did you mean 'test'?",
        ),
        (["--limit", "0"], "error: argument --limit: '0' is not a whole number of at least 1 (see "),
        (["--limit", "many"], "error: argument --limit: 'many' is not a whole number of at least 1 (see "),
    ],
)
def test_bad_options_are_one_line_and_status_2(world, capsys, arguments, message):
    status, line = failing(world, capsys, *arguments)
    assert status == 2
    assert line.startswith(message)


def test_a_full_disk_is_one_line_and_leaves_nothing(world, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, line = failing(world, capsys)
    assert status == 1
    assert line.startswith("error: no space left on the disk while writing")
    assert sorted(os.listdir(world.run)) == ["config.json", "model.tflite"]


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as left:
        evaluate.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "python -m bnn_exit.evaluate runs/words --split validation --json" in text
    assert "Times are of warm caches" in text


def test_a_file_of_the_package_is_evaluated_by_its_name(capsys):
    place = pretrained.FOLDER / "esc10-small.tflite"
    assert evaluate.main([str(place)]) == 2
    assert capsys.readouterr().err.startswith("error: --data-dir is missing: give the data of esc10-small, ")


def test_a_mistyped_file_gets_the_nearest_name(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(["esc10-smal.tflite"]) == 2
    assert capsys.readouterr().err == "error: there is no file esc10-smal.tflite; did you mean 'esc10-small'?\n"


def test_a_mistyped_name_of_the_package_gets_the_nearest(capsys):
    assert evaluate.main(["arabic-speech-comands-small"]) == 2
    assert capsys.readouterr().err == (
        "error: 'arabic-speech-comands-small' is no run: there is no such folder (bnn_exit.train makes runs); "
        "did you mean 'arabic-speech-commands-small'?\n"
    )
