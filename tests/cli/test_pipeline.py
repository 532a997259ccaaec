"""The main job from end to end on a few spoken words: train, resume, evaluate, predict, export again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bnn_exit
from audio_tasks import __main__ as tasks_command
from bnn_exit.commands import evaluate, predict, train
from bnn_exit.commands import export as export_command
from bnn_exit.model_file import reader
from bnn_exit.runtime.backends import installed
from bnn_exit.settings.features import INPUTS
from bnn_exit.settings.model import BACKBONES, HEADS, PRECISIONS
from bnn_exit.settings.plan import shipped_plans
from distill import train_teacher

pytest.importorskip("espeakng_loader")

TASK = [
    "--task",
    "synthetic",
    "--option",
    "words=yes,no,stop",
    "--option",
    "speakers=8",
    "--option",
    "clips_per_word=2",
]
NETWORK = ["--size", "small", "--batch-size", "8"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "words"
    assert train.main([*TASK, *NETWORK, "--epochs", "3", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    options = ["words=yes,no,stop", "speakers=8", "clips_per_word=2"]
    tasks_command.main(["synthetic", *options, "--write", str(folder), "--count", "4"])
    return sorted(folder.glob("*.wav"))


@pytest.mark.parametrize(
    ("option", "names"),
    [("backbone", BACKBONES), ("head", HEADS), ("precision", PRECISIONS), ("plan", shipped_plans()), ("input", INPUTS)],
)
def test_the_help_names_every_choice(option, names):
    (action,) = (action for action in train.parser()._actions if action.dest == option)
    assert all(re.search(rf"\b{name}\b", action.help) for name in names)


def test_the_help_says_where_a_default_stands():
    settings = {
        "backbone",
        "size",
        "head",
        "precision",
        "levels",
        "epochs",
        "batch_size",
        "learning_rate",
        "optimizer",
        "seed",
    }
    settings |= {"scheme", "teacher", "temperature", "teacher_weight", "deepest_weight", "views"}
    found = {action.dest for action in train.parser()._actions if "(default: the recipe's" in str(action.help)}
    assert found == settings
    found = {action.dest for action in train_teacher.parser()._actions if "(default: the recipe's" in str(action.help)}
    assert found == {"size", "epochs", "batch_size", "learning_rate", "seed"}


def test_a_run_holds_everything_that_its_result_depends_on(run):
    config = json.loads((run / "config.json").read_text())
    assert config["task"]["name"] == "synthetic" and config["task"]["labels"] == ["yes", "no", "stop"]
    assert config["training"]["epochs"] == 3 and config["model"] == {
        "backbone": "quicknet",
        "size": "small",
        "head": "grid",
        "precision": "binary",
        "levels": "normalised",
        "blocks": [],
        "boost": 0.0,
    }
    environment = json.loads((run / "environment.json").read_text())
    assert environment["seed"] == 0 and environment["versions"]["tensorflow"].startswith("2.16")
    assert "git_revision" in environment and environment["command"].startswith(
        "python -m bnn_exit.train --task synthetic"
    )
    history = json.loads((run / "history.json").read_text())
    assert [record["epoch"] for record in history] == [1, 2, 3]
    audit = json.loads((run / "audit.json").read_text())
    assert audit["binary_layers"] == 8 and audit["size"] == (run / "model.tflite").stat().st_size
    parity = json.loads((run / "parity.json").read_text())
    assert [report["backend"] for report in parity] == installed()
    assert all(len(report["exits"]) == 2 and report["repeatable"] for report in parity)
    points = json.loads((run / "operating_points.json").read_text())
    assert list(points) == ["full", "accurate", "balanced", "fast"]
    assert all(point["split"] == "validation" for point in points.values())
    assert reader.read(run / "model.tflite").metadata.labels == ("yes", "no", "stop")
    assert not list(run.glob(".*"))  # nothing half-written


def test_evaluate_measures_the_file_and_draws(run, capsys):
    assert evaluate.main([str(run)]) == 0
    assert "balanced" in capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"] == "test" and metrics["sample_count"] == 6 and metrics["backend"] == installed()[0]
    assert len(metrics["exits"]) == 2
    for name, point in metrics["operating_points"].items():
        assert point["exit_agreement"] == 1.0, name
        assert sum(point["exit_shares"]) == pytest.approx(1)
        assert np.sum(point["confusion_matrix"]) == 6
    assert {path.name for path in (run / "plots").iterdir()} == {
        "trade_off.png", "exit_histogram.png", "confusion_matrix.png",
    }  # fmt: skip
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (run / "plots").iterdir())


def test_the_measured_accuracy_is_that_of_the_predictions(run):
    # Independent of evaluate: clip by clip through the public API.
    import audio_tasks

    config = json.loads((run / "config.json").read_text())
    task = audio_tasks.load("synthetic", **config["task"]["options"])
    session = bnn_exit.load(run / "model.tflite")
    right = [
        session.predict(task.test.waveform(index), operating_point="full").label_index == task.test.labels[index]
        for index in range(len(task.test))
    ]
    metrics = json.loads((run / "metrics.json").read_text())
    assert np.mean(right) == pytest.approx(metrics["operating_points"]["full"]["accuracy"])


@pytest.mark.parametrize("backend", installed())
def test_predict_prints_a_line_a_clip(run, clips, backend, capsys):
    assert predict.main([str(run / "model.tflite"), *map(str, clips), "--backend", backend, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["path"]) for line in lines] == clips
    assert all(line["label"] in ("yes", "no", "stop") and 0 <= line["score"] <= 1 for line in lines)


def test_predict_takes_thresholds_and_explains(run, clips, capsys):
    command = [str(run / "model.tflite"), str(clips[0]), "--thresholds", "2", "--explain"]
    assert predict.main(command) == 0
    assert "exit 1 of 2" in capsys.readouterr().out
    assert predict.main([str(run / "model.tflite"), str(clips[0]), "--thresholds", "0.1,0.1"]) == 2
    assert "thresholds" in capsys.readouterr().err


def test_a_waveform_file_gives_the_same_answers(run, clips, tmp_path, capsys):
    assert export_command.main([str(run), "--input", "waveform", "--out", str(tmp_path / "w.tflite"), "--list"]) == 0
    assert "RFFT2D" in capsys.readouterr().out
    waveform = np.concatenate([np.zeros(100, np.float32), np.sin(np.arange(15900) / 7).astype(np.float32) / 3])
    exit_logits = [
        bnn_exit.load(path).exit_probabilities(waveform) for path in (run / "model.tflite", tmp_path / "w.tflite")
    ]
    assert np.median(np.abs(exit_logits[0] - exit_logits[1])) < 1e-3


def variables(folder, name="best.npz"):
    with np.load(folder / name) as file:
        return {key: file[key] for key in file.files if key != "state"}


def test_a_killed_run_resumes_to_the_same_weights(run, tmp_path):
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "bnn_exit.train", *TASK, *NETWORK, "--epochs", "3", "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "last.npz").exists():
        assert process.poll() is None, "ended before its first checkpoint"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "model.tflite").exists()
    resumed = subprocess.run(
        [sys.executable, "-m", "bnn_exit.train", "--resume", str(folder)], capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    expected, found = variables(run, "last.npz"), variables(folder, "last.npz")
    assert expected.keys() == found.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])
    assert (folder / "model.tflite").exists()


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """Recipes that can be read, but not used."""
    folder = tmp_path_factory.mktemp("recipes")
    weights = {"training": {"exit_weights": [1, 1, 1]}}
    (folder / "weights.json").write_text(json.dumps({"default": weights}))
    (folder / "teacher.json").write_text(json.dumps({"default": {"teacher": {"training": {"exit_weights": [1, 1]}}}}))
    (folder / "one_teacher.json").write_text(json.dumps({"default": {"distillation": {"teacher": ["auto"]}}}))
    steps = {"plan": "two-step", "views": 3}
    (folder / "steps.json").write_text(json.dumps({"default": {"distillation": steps}}))
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["--task", "speech_comands"],
            2,
            "--task is 'speech_comands', but must be one of .*; did you mean 'speech_comm",
        ),
        (
            ["--backbone", "resnet"],
            2,
            "backbone is 'resnet', but must be one of binary_densenet, birealnet, glance, quicknet, real_to_binary",
        ),
        (["--size", "huge"], 2, "size is 'huge', but must be one of base, deep, large, medium, micro, small, tiny"),
        (["--precision", "half"], 2, "precision is 'half', but must be one of binary, float, real_weights"),
        (["--epochs", "0"], 2, "argument --epochs: '0' is not a whole number of at least 1"),
        (["--learning-rate", "-1"], 2, "learning_rate is -1.0, but must be above 0"),
        (["--distribute", "mirror"], 2, "--distribute is 'mirror', but must be one of mirrored, multiworker; did you"),
        (["--distribute", "multiworker"], 2, "--distribute multiworker needs the environment variable TF_CONFIG"),
        (
            ["--distribute", "multiworker", "--teacher", "auto"],
            2,
            "--teacher is 'auto', but with --distribute multiworker it must be a path",
        ),
        (
            ["--distribute", "mirrored", "--teacher", ".", "--plan", "features"],
            2,
            "step 'features' of the plan compares layers or embeddings, but --distribute takes plans of labels",
        ),
        (["--input", "mfcc"], 2, "--input is 'mfcc', but must be one of log_mel, waveform"),
        (["--option", "words"], 2, "--option is 'words', but must be NAME=VALUE"),
        (["--feature", "hop"], 2, "--feature is 'hop', but must be NAME=VALUE"),
        (["--feature", "hops_ms=20"], 2, "setting of FeatureConfig is 'hops_ms', but must be one of"),
        (["--feature", "hop_ms=-1"], 2, "hop_ms is -1.0, but must be"),
        (["--option", "wrods=a,b"], 2, "task synthetic has no option 'wrods'; its options: "),
        (["--fold", "1"], 2, "task synthetic has no option 'fold'; its options: "),
        (["--task", "folder", "--data-dir", "/nowhere"], 1, "/nowhere"),
        (["--task", "esc10"], 2, "--data-dir"),
        (["--out", "/proc/nothing/run"], 2, "--out '/proc/nothing/run' cannot be written .*: choose a folder"),
        (["--resume", "/nowhere"], 2, "'/nowhere' is no run: there is no such folder"),
        (
            ["--resume", "/nowhere", "--epochs", "9"],
            2,
            "--epochs cannot change in a training that is resumed: leave it out",
        ),
        (["--resume", "/nowhere", "--seed", "0"], 2, "--seed cannot change in a training that is resumed"),
        (["--resume", "/nowhere", "--teacher-weight", "0"], 2, "--teacher-weight cannot change in a training that is"),
        (
            [*TASK, "--feature", "num_mels=20"],
            2,
            r"input_shape is \(98, 20, 1\), but must be .* at least 32 frames and",
        ),
        ([*TASK, "--feature", "hop_ms=50"], 2, r"input_shape is \(20, 64, 1\), but must be"),
        ([*TASK, "--size", "small", "--recipe", "RECIPES/weights.json"], 2, "exit_weights has 3 values, but the netw"),
        ([*TASK, "--teacher", "auto", "--recipe", "RECIPES/teacher.json"], 2, "exit_weights has 2 values, but the net"),
        (["--recipe", "RECIPES/one_teacher.json"], 2, "setting of distillation .* is 'teacher', .* mean 'teachers'"),
        (["--recipe", "RECIPES/steps.json"], 2, "views of the recipe stands in the steps of a plan: leave it out"),
        (["--deepest-weight", "0.5", "--views", "2"], 2, "--views is for training with a --teacher: add one"),
        (["--deepest-weight", "0", "--temperature", "3"], 2, "--temperature is for training with a --teacher: add one"),
        (["--help-me"], 2, "unrecognized arguments: --help-me"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(arguments, status, message, recipes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train.main([word.replace("RECIPES", str(recipes)) for word in arguments]) == status
    error = capsys.readouterr().err

    assert re.search(message, error), error
    assert error.count("\n") == 1 and error.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("distill.trainer.fit", interrupted)
    folder = tmp_path / "run"
    assert train.main([*TASK, *NETWORK, "--out", str(folder)]) == 130
    assert f"interrupted: python -m bnn_exit.train --resume {folder} resumes it" in capsys.readouterr().err


def test_an_existing_folder_is_not_overwritten(run, capsys):
    before = (run / "config.json").read_bytes()
    assert train.main([*TASK, "--out", str(run)]) == 2
    assert "exists already: choose another folder, or resume it with --resume" in capsys.readouterr().err
    assert (run / "config.json").read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "not json", "newer", "unknown setting"])
def test_a_damaged_run_is_named(run, tmp_path, damage, capsys):
    text = (run / "config.json").read_text()
    config = json.loads(text)
    if damage == "newer":
        config["format"] = 99
    if damage == "unknown setting":
        config["training"]["epoch"] = 3
    changed = {"truncated": text[:100], "not json": "hello"}.get(damage, json.dumps(config))
    (tmp_path / "config.json").write_text(changed)
    assert train.main(["--resume", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert (
        "is of format 99, this bnn_exit reads up to 1" if damage == "newer" else "config.json cannot be read"
    ) in error
    assert error.count("\n") == 1


def test_export_of_an_unfinished_run_says_how_to_finish_it(run, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    assert export_command.main([str(tmp_path)]) == 1
    assert "best.npz is missing: python -m bnn_exit.train --resume" in capsys.readouterr().err


def test_a_full_disk_gets_one_line_and_no_half_file(run, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "model.tflite"))

    monkeypatch.setattr("os.fsync", full)
    assert export_command.main([str(run), "--out", str(tmp_path / "model.tflite")]) == 1
    assert "no space left on the disk while writing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["train", "evaluate", "predict", "export"])
def test_help_teaches_with_examples(module, capsys):
    command = {"train": train, "evaluate": evaluate, "predict": predict, "export": export_command}[module]
    with pytest.raises(SystemExit) as stopped:
        command.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text and f"python -m bnn_exit.{module}" in text
