"""The accuracy benchmark: its rows, how they are trained, and what a measurement of a run says."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tiny_files

import audio_tasks
from audio_tasks import TASKS
from audio_tasks.base import Task
from audio_tasks.split import Split
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.files import read_json, write_json
from bnn_exit.model_file import reader
from bnn_exit.policies import rule
from bnn_exit.policies.uncertainty import Entropy
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime import native_backend, session
from bnn_exit.settings.run import RunTask

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import accuracy
import accuracy_bars
import accuracy_measure
import accuracy_rows
from accuracy_rows import GROUPS, ROWS, Row

native = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")


# ---------------------------------------------------------------------------------------------------------------- rows


def test_every_row_stands_in_a_table_and_has_a_teacher_that_is_one() -> None:
    assert len(ROWS) == len(accuracy_rows._ROWS)  # no name twice
    for row in ROWS.values():
        assert row.groups and set(row.groups) <= set(GROUPS)
        assert row.teacher is None or ROWS[row.teacher].is_teacher
    assert all(accuracy_rows.in_group(group) for group in GROUPS)
    assert {row for bar in accuracy_bars.BARS for row in bar.rows} <= set(ROWS)


def test_a_command_has_the_options_the_teacher_and_the_places() -> None:
    row = Row("r", "t", ("best",), "d", {"task": "esc10", "batch_size": 8, "feature": ["a=1", "b=2"]}, "words-teacher")
    options = ["--task", "esc10", "--batch-size", "8", "--feature", "a=1", "--feature", "b=2"]
    assert row.command(Path("out"), data_dir="DIR", teacher=Path("runs/words-teacher")) == [
        *("-m", "bnn_exit.train", *options, "--teacher", "runs/words-teacher", "--data-dir", "DIR", "--out", "out")
    ]
    assert row.command(Path("out"), data_dir=None)[-2:] == ["--out", "out"]
    flag = Row("r", "t", ("best",), "d", {"bfloat16": True, "epochs": 3})
    assert flag.words() == ["--bfloat16", "--epochs", "3"]
    assert flag.was_trained_by("python -m bnn_exit.train --epochs 3 --bfloat16 --out x")
    assert not flag.was_trained_by("python -m bnn_exit.train --epochs 3 --out x")
    assert ROWS["words-teacher"].command(Path("out"), data_dir="DIR")[1] == "distill.train_teacher"
    command = "python -m bnn_exit.train --out x --feature b=2 --batch-size 8 --feature a=1 --task esc10 --teacher {}"
    assert row.was_trained_by(command.format("elsewhere/words-teacher --data-dir /there"))
    assert not row.was_trained_by(command.format("another"))
    assert not row.was_trained_by(command.format("words-teacher --seed 1"))


def test_a_row_with_negatives_was_trained_with_some() -> None:
    row = ROWS["listening-english"]
    command = row.command(Path("out"), data_dir="DIR", negatives="DIR/librispeech")
    assert command[-6:] == ["--data-dir", "DIR", "--negatives", "DIR/librispeech", "--out", "out"]
    assert row.was_trained_by(" ".join(["python", *command]))
    assert not row.was_trained_by(" ".join(["python", *row.command(Path("out"), data_dir="DIR")]))
    assert not ROWS["words-large"].was_trained_by(f"python -m {' '.join(row.words())} --negatives elsewhere")


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_the_options_of_every_row_are_ones_that_its_training_takes(row: Row) -> None:
    from bnn_exit.settings import recipes
    from bnn_exit.settings.model import ModelConfig
    from bnn_exit.settings.plan import read_plan

    accuracy.check_words(row)
    name = row.options.get("recipe", recipes.DEFAULT)
    recipe = recipes.load(name, task=row.options["task"], tasks=TASKS, negatives=bool(row.negatives))
    changes = {name: row.options[name] for name in ("backbone", "size", "head", "precision") if name in row.options}
    if not row.is_teacher:
        ModelConfig.from_dict(recipe.model.to_dict() | changes)
    if "plan" in row.options:
        read_plan(row.options["plan"])


def test_all_rows_are_checked_before_the_first_is_trained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    wrong = Row("wrong", "t", ("best",), "d", {"recipee": "best"})
    monkeypatch.setattr(accuracy, "chosen", lambda names: [ROWS["words-large"], wrong])
    monkeypatch.setattr(accuracy, "train", lambda *_, **__: pytest.fail("a row was trained"))
    assert accuracy.main(["train", "words-large", "wrong"]) == 2
    error = (
        "error: row wrong: unrecognized arguments: --recipee best; did you mean '--recipe'? "
        "(see python -m bnn_exit.train --help)\n"
    )
    assert capsys.readouterr().err == error


def test_rows_and_groups_are_chosen_by_name() -> None:
    folds = [f"esc10-fold{fold}" for fold in range(1, 6)]
    assert [row.name for row in accuracy_rows.chosen(["esc10-fold2", "esc10"])] == [folds[1], *folds[:1], *folds[2:]]
    with pytest.raises(ArgumentError, match=r"row is 'word-large', but must be one of .*; did you mean 'words-large'"):
        accuracy_rows.chosen(["word-large"])
    runs = Path("runs")
    assert accuracy.folders(["words-large=elsewhere", "small"], runs) == [
        (ROWS["words-large"], Path("elsewhere")),
        (ROWS["words-small"], runs / "words-small"),
    ]
    with pytest.raises(ArgumentError, match="row is 'esc10', but must be one of"):
        accuracy.folders(["esc10=elsewhere"], runs)


# --------------------------------------------------------------------------------------------------------------- train


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; each leaves a finished run folder, unless it is told to fail with `--seed 2`."""
    commands: list[list[str]] = []

    def run(command: list[str]) -> types.SimpleNamespace:
        commands.append(command[1:])
        if command[-1:] == ["--fail"]:
            return types.SimpleNamespace(returncode=1)
        folder = Path(command[command.index("--out" if "--out" in command else "--resume") + 1])
        name = "teacher.json" if "distill.train_teacher" in command else "model.tflite"
        write_json(folder / name, {})
        if "--out" in command:
            write_json(folder / "environment.json", {"command": " ".join(["python", *command[1:]])})
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_training_begins_with_the_teacher_and_is_done_once(trained: list, tmp_path: Path) -> None:
    (tmp_path / "data/arabic_speech_commands").mkdir(parents=True)
    runs, data = tmp_path / "runs", str(tmp_path / "data")
    arguments = ["train", "words-float", "words-large", "--runs", str(runs), "--data-dir", data]
    assert accuracy.main(arguments) == 0
    assert [Path(command[-1]).name for command in trained] == ["words-teacher", "words-float", "words-large"]
    assert all(command[command.index("--data-dir") + 1] == f"{data}/arabic_speech_commands" for command in trained)
    assert trained[1][trained[1].index("--teacher") + 1] == str(runs / "words-teacher")
    assert accuracy.main(arguments) == 0
    assert len(trained) == 3


def test_an_interrupted_training_goes_on(trained: list, tmp_path: Path) -> None:
    folder = tmp_path / "words-quicknet"
    write_json(folder / "config.json", {})
    assert accuracy.main(["train", "words-quicknet", "--runs", str(tmp_path), "--data-dir", "DIR"]) == 0
    assert trained == [["-m", "bnn_exit.train", "--resume", str(folder), "--data-dir", "DIR"]]


def test_negatives_lie_beside_the_data(trained: list, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, runs = tmp_path / "data", tmp_path / "runs"
    (data / "arabic_speech_commands").mkdir(parents=True)
    arguments = ["train", "listening-arabic", "--runs", str(runs), "--data-dir", str(data)]
    assert accuracy.main(arguments) == 2 and trained == []
    assert capsys.readouterr().err == (
        "error: row listening-arabic is trained with negatives: give --data-dir DIR with DIR/librispeech, long "
        "recordings in the folders train, validation and test\n"
    )
    (data / "librispeech").mkdir()
    assert accuracy.main(arguments) == 0
    (command,) = trained
    assert command[command.index("--negatives") + 1] == f"{data}/librispeech"
    (runs / "listening-arabic/model.tflite").unlink()
    write_json(runs / "listening-arabic/config.json", {})
    assert accuracy.main(arguments) == 0
    assert trained[1][:2] == ["-m", "bnn_exit.train"] and "--resume" in trained[1]
    assert trained[1][-2:] == ["--negatives", f"{data}/librispeech"]


def test_a_folder_of_other_options_is_refused(trained: list, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = "python -m bnn_exit.train --task speech_commands --seed 9 --out x"
    write_json(tmp_path / "words-large/environment.json", {"command": command})
    (tmp_path / "words-large/model.tflite").touch()
    for verb in ("measure", "train"):
        write_json(tmp_path / "words-teacher/teacher.json", {})
        assert accuracy.main([verb, "words-large", "--runs", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path}/words-large was trained by '{command}', but the row says '--task ")
        assert error.count("\n") == 1
    assert trained == []


def test_a_training_that_fails_is_one_line(
    trained: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(Row, "command", lambda *_, **__: ["--fail"])
    assert accuracy.main(["train", "words-quicknet", "--runs", str(tmp_path)]) == 1
    error = "error: the training of words-quicknet failed with status 1: the same command resumes it\n"
    assert capsys.readouterr().err == error


# ------------------------------------------------------------------------------------------------------------- measure

CLIPS = 8


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with a small file, and the task that it belongs to."""
    folder = tmp_path / "run"
    data = tiny_files.adaptive_file()
    folder.mkdir()
    (folder / "model.tflite").write_bytes(data)
    metadata = reader.read(folder / "model.tflite").metadata
    waves = np.random.default_rng(0).uniform(-0.5, 0.5, (CLIPS, metadata.clip_samples)).astype(np.float32)
    truth = np.arange(CLIPS, dtype=np.int32) % len(metadata.labels)
    splits = {
        name: Split(name, tuple(map(str, range(CLIPS))), truth, None, waves.__getitem__)
        for name in ("train", "validation", "test")
    }
    task = Task(
        name="toy",
        labels=metadata.labels,
        **splits,
        clip_samples=metadata.clip_samples,
        features=metadata.features,
        licence="CC0",
        attribution="made by a test",
    )
    loader = type("Loader", (), {"options": lambda self: {"fold": 1}, "__call__": lambda self, **_: task})()
    monkeypatch.setitem(audio_tasks.TASKS, "toy", loader)
    features = metadata.features.to_dict()
    options = {"data_dir": "/private/place", "fold": 3}
    known = {**RunTask.of(task).to_dict(), "options": options}
    config = {"format": 1, "task": known, "features": features, "model": {"size": "small"}, "training": {"seed": 5}}
    write_json(folder / "config.json", config | {"distillation": {"teachers": ["/private/words-teacher"]}})
    command = "python -m bnn_exit.train --task toy --data-dir '/private/a place' --out runs/x"
    write_json(folder / "environment.json", {"command": command, "git_revision": "abc"})
    record = {"total_seconds": 30, "processor_seconds": 60, "loss": 2.0}
    accuracies = ([0.5, 0.6], [0.7, 0.9], [0.8, 0.8], [0.1, 0.2])
    write_json(
        folder / "history.json",
        [{**record, "epoch": k + 1, "validation_accuracy": a} for k, a in enumerate(accuracies)],
    )
    return folder


@native
def test_a_measurement_is_what_the_file_says_about_the_test_split(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path / "results")
    assert accuracy.main(["measure", f"words-small={run}", "--data-dir", "DIR"]) == 0
    found = read_json(tmp_path / "results/accuracy/words-small.json")
    assert capsys.readouterr().out.splitlines()[2].startswith("| QuickNet small | ")
    model, task = session.load(run / "model.tflite", backend="reference"), audio_tasks.TASKS["toy"]()
    outputs = np.stack([model.exit_probabilities(task.test.waveform(k)) for k in range(CLIPS)])
    truth = np.asarray(task.test.labels)
    for k, figures in enumerate(found["exits"]):
        cost = model.metadata.exits[k]
        assert (figures["correct"], figures["total"]) == ((outputs[:, k].argmax(-1) == truth).sum(), CLIPS)
        assert figures["accuracy"] == figures["correct"] / CLIPS
        assert [figures[name] for name in ("binary_macs", "float_macs", "ops")] == [
            *(cost.binary_macs, cost.float_macs, cost.ops)
        ]
        assert figures["time_us"]["native"] > 0 and figures["whole_us"]["native"] > 0
    assert found["front_end_us"] > 0
    for name, point in found["operating_points"].items():
        exits = rule.exit_indices(Entropy.of(outputs), model.operating_points[name].thresholds)
        shares = np.bincount(exits, minlength=model.exits) / CLIPS
        assert point["exit_shares"] == shares.tolist() and point["exits_as_the_rule_says"] == 1
        assert point["correct"] == (rule.predicted_labels(outputs, exits) == truth).sum()
        assert point["drop"] == pytest.approx(found["exits"][-1]["accuracy"] - point["accuracy"])
        times = [figures["time_us"]["native"] for figures in found["exits"]]
        assert point["relative_time"]["native"] == pytest.approx((shares * times).sum() / times[-1])
        whole = [figures["whole_us"]["native"] for figures in found["exits"]]
        assert point["relative_whole_time"]["native"] == pytest.approx((shares * whole).sum() / whole[-1])
    assert found["file"]["bytes"] == (run / "model.tflite").stat().st_size
    assert (found["split"], found["thresholds_from"], found["seed"]) == ("test", "validation", 5)
    assert found["sample_counts"] == {"train": CLIPS, "validation": CLIPS, "test": CLIPS}
    assert (found["licence"], found["attribution"]) == ("CC0", "made by a test")
    assert found["command"] == "python benchmarks/accuracy.py measure words-small --data-dir DIR"


@native
def test_a_row_may_name_another_file_of_its_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path / "results")
    row = f"listening-english={run}"
    assert accuracy.main(["measure", row, "--data-dir", str(tmp_path)]) == 2
    line = f"error: {run} has no model_rejection.tflite: python -m bnn_exit.export {run} --policy rejection\n"
    assert capsys.readouterr().err == line
    data = (run / "model.tflite").read_bytes()
    (run / "model_rejection.tflite").write_bytes(data)
    (run / "model.tflite").write_bytes(b"another")
    asked: list[dict] = []
    monkeypatch.setattr(audio_tasks, "load_again", lambda _, **moved: asked.append(moved) or audio_tasks.TASKS["toy"]())
    (tmp_path / "librispeech").mkdir()
    assert accuracy.main(["measure", row, "--data-dir", str(tmp_path)]) == 0
    assert asked == [{"data_dir": str(tmp_path), "negatives": f"{tmp_path}/librispeech"}]
    found = read_json(tmp_path / "results/accuracy/listening-english.json")
    assert found["file"]["sha256"] == hashlib.sha256(data).hexdigest()


def test_the_training_is_told_without_places(run: Path) -> None:
    found = accuracy_measure.training(run, read_json(run / "config.json"))
    assert "private" not in json.dumps(found)
    assert found["environment"] == {
        "command": "python -m bnn_exit.train --task toy --data-dir DIR --out runs/x",
        "git_revision": "abc",
    }
    assert found["settings"]["task"]["options"] == {"fold": 3}
    assert found["settings"]["distillation"] == {"teachers": ["words-teacher"]}
    assert found["steps"] == [
        {
            **{"epochs": 4, "minutes": 2.0, "processor_minutes": 4.0, "last_loss": 2.0},
            **{"best_epoch": 2, "best_validation_accuracy": [0.7, 0.9]},  # the first of two that are equal in the mean
        }
    ]
    record = {"epoch": 1, "total_seconds": 6, "processor_seconds": 12, "loss": 0.5}
    write_json(run / "steps/1_embedding/history.json", [record])
    first, last = accuracy_measure.training(run, read_json(run / "config.json"))["steps"]
    assert first == {"epochs": 1, "minutes": 0.1, "processor_minutes": 0.2, "last_loss": 0.5}
    assert last["epochs"] == 4


def test_a_network_without_a_file_is_measured_in_keras(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "model.tflite").unlink()
    config = read_json(run / "config.json")
    assert not accuracy.is_finished(run)
    write_json(run / "config.json", config | {"model": {"precision": "float"}})
    assert not accuracy.is_finished(run)  # it is calibrated last
    write_json(run / "operating_points.json", {})
    assert accuracy.is_finished(run)
    task = audio_tasks.TASKS["toy"]()
    exit_logits = np.stack([np.asarray(task.test.labels), np.zeros(CLIPS, np.int64)], axis=1)
    costs = (Cost(binary_macs=0, float_macs=50), Cost(binary_macs=0, float_macs=200))

    def logits(log_mel: np.ndarray) -> np.ndarray:
        assert np.array_equal(log_mel, task.log_mel("test"))
        return np.eye(3)[exit_logits]

    network = types.SimpleNamespace(logits=logits, costs=lambda: costs)
    monkeypatch.setattr(RunFolder, "network", lambda folder: network)
    found = accuracy_measure.measure(ROWS["words-float"], run, data_dir=None)
    assert [figures["correct"] for figures in found["exits"]] == [CLIPS, 3]  # of eight clips three are of class 0
    assert [figures["relative_ops"] for figures in found["exits"]] == [0.25, 1]
    assert "file" not in found and "operating_points" not in found


def test_a_teacher_is_what_its_training_wrote(run: Path) -> None:
    figures = {"accuracy": {"validation": 0.75, "test": 0.625}, "cost": {"binary_macs": 0, "float_macs": 7, "bytes": 9}}
    write_json(run / "teacher.json", figures)
    found = accuracy_measure.measure(ROWS["words-teacher"], run, data_dir=None)
    (only,) = found["exits"]
    assert (only["correct"], only["total"], only["ops"], found["validation_accuracy"]) == (5, CLIPS, 7, 0.75)
    assert "file" not in found and "operating_points" not in found


def test_what_is_not_finished_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert accuracy.main(["measure", "words-small", "--runs", str(tmp_path)]) == 2
    line = (
        f"error: {tmp_path}/words-small holds no finished run of words-small: python benchmarks/accuracy.py train first"
    )
    assert capsys.readouterr().err == f"{line}\n"


def test_a_mean_time_is_that_of_the_exits_by_their_shares() -> None:
    assert accuracy_measure.relative_time([0.5, 0.25, 0.25], [40, 80, 160]) == (20 + 20 + 40) / 160


def test_a_command_is_kept_without_the_places_of_this_machine() -> None:
    command = "python -m bnn_exit.train --task esc10 --data-dir /a/b --teacher /c/d --epochs 3 --out runs/x"
    expected = "python -m bnn_exit.train --task esc10 --data-dir DIR --teacher d --epochs 3 --out runs/x"
    assert accuracy_measure.without_places(command) == expected
    command = "python benchmarks/always_on.py measure a m.tflite --negatives /a/b.ogg /c/d.ogg --words w.wav"
    expected = "python benchmarks/always_on.py measure a m.tflite --negatives b.ogg d.ogg --words w.wav"
    assert accuracy_measure.without_places(command) == expected
