"""The accuracy benchmark: its rows, what a measurement of a run says, the bars and the tables."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tiny_files

import audio_tasks
from audio_tasks.base import Split, Task
from bnn_exit import artifact, policy
from bnn_exit.errors import ArgumentError
from bnn_exit.files import read_json, write_json
from bnn_exit.runtime import native_backend, session

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import accuracy
import accuracy_bars
import accuracy_measure
import accuracy_rows
import accuracy_table
from accuracy_rows import GROUPS, ROWS, Row

native = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")


def result(*accuracies: float, drop: float = 0.001, ops: float = 0.25, time: float = 0.28, size: int = 140_000) -> dict:
    """A measured row of a binary network with these exits of 2400 clips; `size` 0 is a network without a file."""
    count = len(accuracies)
    exits = [
        {
            "exit_index": k,
            "accuracy": value,
            "ops": 1e6 * (k + 1),
            "relative_ops": (k + 1) / count,
            "time_us": {"native": 50.0 * (k + 1), "lce": 1000.0 * (k + 1)},
        }
        for k, value in enumerate(accuracies)
    ]
    point = {
        "accuracy": accuracies[-1] - drop,
        "drop": drop,
        "exit_shares": [1.0] + [0.0] * (count - 1),
        "mean_cost": {"ops": 1e6 * ops * count},
        "relative_cost": {"binary_macs": ops / 2, "ops": ops},
        "relative_time": {"native": time, "lce": time / 2},
    }
    found = {"seed": 0, "sample_counts": {"test": 2400}, "exits": exits}
    if not size:
        for figures in exits:
            del figures["time_us"]
        return found
    return found | {"file": {"bytes": size}, "operating_points": {"balanced": point}}


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
    assert ROWS["words-teacher"].command(Path("out"), data_dir="DIR")[1] == "distill.train_teacher"
    command = "python -m bnn_exit.train --out x --feature b=2 --batch-size 8 --feature a=1 --task esc10 --teacher {}"
    assert row.was_trained_by(command.format("elsewhere/words-teacher --data-dir /there"))
    assert not row.was_trained_by(command.format("another"))
    assert not row.was_trained_by(command.format("words-teacher --seed 1"))


def test_rows_and_groups_are_chosen_by_name() -> None:
    folds = [f"esc10-fold{fold}" for fold in range(1, 6)]
    assert [row.name for row in accuracy_rows.chosen(["esc10-fold2", "esc10"])] == [folds[1], *folds[:1], *folds[2:]]
    with pytest.raises(ArgumentError, match=r"row is 'word-best', but must be one of .*; did you mean 'words-best'"):
        accuracy_rows.chosen(["word-best"])
    runs = Path("runs")
    assert accuracy.folders(["words-best=elsewhere", "small"], runs) == [
        (ROWS["words-best"], Path("elsewhere")),
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
    arguments = ["train", "words-small", "words-best", "--runs", str(runs), "--data-dir", data]
    assert accuracy.main(arguments) == 0
    assert [Path(command[-1]).name for command in trained] == ["words-teacher", "words-small", "words-best"]
    assert all(command[command.index("--data-dir") + 1] == f"{data}/arabic_speech_commands" for command in trained)
    assert trained[1][trained[1].index("--teacher") + 1] == str(runs / "words-teacher")
    assert accuracy.main(arguments) == 0
    assert len(trained) == 3


def test_an_interrupted_training_goes_on(trained: list, tmp_path: Path) -> None:
    folder = tmp_path / "words-no-teacher"
    write_json(folder / "config.json", {})
    assert accuracy.main(["train", "words-no-teacher", "--runs", str(tmp_path), "--data-dir", "DIR"]) == 0
    assert trained == [["-m", "bnn_exit.train", "--resume", str(folder), "--data-dir", "DIR"]]


def test_a_folder_of_other_options_is_refused(trained: list, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = "python -m bnn_exit.train --task speech_commands --seed 9 --out x"
    write_json(tmp_path / "words-best/environment.json", {"command": command})
    (tmp_path / "words-best/model.tflite").touch()
    for verb in ("measure", "train"):
        write_json(tmp_path / "words-teacher/teacher.json", {})
        assert accuracy.main([verb, "words-best", "--runs", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {tmp_path}/words-best was trained by '{command}', but the row says '--task ")
        assert error.count("\n") == 1
    assert trained == []


def test_a_training_that_fails_is_one_line(
    trained: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(Row, "command", lambda *_, **__: ["--fail"])
    assert accuracy.main(["train", "words-no-teacher", "--runs", str(tmp_path)]) == 1
    error = "error: the training of words-no-teacher failed with status 1: the same command goes on with it\n"
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
    metadata = artifact.load(folder / "model.tflite").metadata
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
    known = {"name": "toy", "options": options, "features": features, "clip_samples": task.clip_samples}
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
    said = np.stack([model.exit_probabilities(task.test.waveform(k)) for k in range(CLIPS)])
    truth = np.asarray(task.test.labels)
    for k, figures in enumerate(found["exits"]):
        cost = model.metadata.exits[k]
        assert (figures["correct"], figures["total"]) == ((said[:, k].argmax(-1) == truth).sum(), CLIPS)
        assert figures["accuracy"] == figures["correct"] / CLIPS
        assert [figures[name] for name in ("binary_macs", "float_macs", "ops")] == [
            *(cost.binary_macs, cost.float_macs, cost.ops)
        ]
        assert figures["time_us"]["native"] > 0
    for name, point in found["operating_points"].items():
        exits = policy.exit_indices(policy.scores(said), model.operating_points[name].thresholds)
        shares = np.bincount(exits, minlength=model.exits) / CLIPS
        assert point["exit_shares"] == shares.tolist() and point["exits_as_the_rule_says"] == 1
        assert point["correct"] == (policy.predicted_labels(said, exits) == truth).sum()
        assert point["drop"] == pytest.approx(found["exits"][-1]["accuracy"] - point["accuracy"])
        times = [figures["time_us"]["native"] for figures in found["exits"]]
        assert point["relative_time"]["native"] == pytest.approx((shares * times).sum() / times[-1])
    assert found["file"]["bytes"] == (run / "model.tflite").stat().st_size
    assert (found["split"], found["thresholds_from"], found["seed"]) == ("test", "validation", 5)
    assert found["sample_counts"] == {"train": CLIPS, "validation": CLIPS, "test": CLIPS}
    assert (found["licence"], found["attribution"]) == ("CC0", "made by a test")
    assert found["command"] == "python benchmarks/accuracy.py measure words-small --data-dir DIR"


def test_the_training_is_told_without_places(run: Path) -> None:
    found = accuracy_measure.training(run, read_json(run / "config.json"))
    assert "private" not in json.dumps(found)
    assert found["environment"] == {
        "command": "python -m bnn_exit.train --task toy --data-dir DIR --out runs/x",
        "git_revision": "abc",
    }
    assert found["settings"]["task"]["options"] == {"fold": 3}
    assert found["settings"]["distillation"] == {"teachers": ["words-teacher"]}
    assert found["history"] == {
        **{"epochs": 4, "minutes": 2.0, "processor_minutes": 4.0, "last_loss": 2.0},
        **{"best_epoch": 2, "best_validation_accuracy": [0.7, 0.9]},  # the first of two that are equal in the mean
    }


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


# ------------------------------------------------------------------------------------------------------ bars and tables


def bar(judged: list[dict], what: str) -> dict:
    (found,) = (entry for entry in judged if entry["what"] == what)
    return found


def test_a_bar_is_met_at_its_limit_and_missed_beyond() -> None:
    best = "words, best: accuracy of the final exit"
    drop = "words, best: `balanced` below the final exit"
    at = accuracy_bars.judge({"words-best": result(0.96, 0.99, drop=0.993 - 0.990)})
    assert 0.993 - 0.990 > 0.003  # the rounding of floats
    assert bar(at, best) == {
        **{"what": best, "rows": ["words-best"], "bar": ">= 99.00 %", "figure": "99.00 %", "met": True}
    }
    assert (bar(at, drop)["met"], bar(at, drop)["figure"]) == (True, "0.30 pp")
    beyond = accuracy_bars.judge({"words-best": result(0.96, 0.98999, drop=0.0031, size=500_100)})
    assert [bar(beyond, name)["met"] for name in (best, drop, "words, best: file")] == [False] * 3
    assert bar(beyond, "words, best: file")["figure"] == "500.1 KB"
    lines = accuracy_bars.lines(beyond)
    assert "- MISSED: words, best: `balanced` below the final exit: 0.31 pp (bar: <= 0.30 pp)" in lines
    assert "- met: words, best: mean time of `balanced`: 28.00 % (bar: <= 30.00 %)" in lines
    assert "- not measured: words, small: file (bar: <= 150.0 KB)" in lines


def test_bars_over_rows_need_all_of_them() -> None:
    def verdict(results: dict, what: str) -> tuple:
        found = bar(accuracy_bars.judge(results), what)
        return found["figure"], found["met"]

    folds = {f"esc10-fold{k}": result(0.5, value) for k, value in enumerate((0.9, 0.85, 0.8, 0.95, 0.9), 1)}
    assert verdict(folds, "ESC-10: mean accuracy of five folds") == ("88.00 %", True)
    del folds["esc10-fold4"]
    assert verdict(folds, "ESC-10: mean accuracy of five folds") == (None, None)
    twins = {"words-best": result(0.97, 0.990), "words-float": result(0.97, 0.994, size=0)}
    assert verdict(twins, "words: full-precision twin above the binary network") == ("0.40 pp", False)
    exits = {"words-best": result(0.96, 0.98, 0.99, 0.99)}
    assert verdict(exits, "words, best: accuracy of exit 1") == ("96.00 %", True)
    assert verdict(exits, "words, best: ops of exit 1") == ("25.00 %", True)
    assert verdict(exits, "words, best: time of exit 1") == ("25.00 %", True)


def test_a_line_of_a_table() -> None:
    row = ROWS["words-small"]
    assert accuracy_table.line(row, result(0.91234, 0.98)) == (
        "| QuickNet small | 91.23 / 98.00 | 1.00 / 2.00 | 140 | 97.90 | 0.10 | 25.0 | 28.0 | 50 / 100 | 1000 / 2000 |"
    )
    without = accuracy_table.line(row, result(0.99, size=0))
    assert without == "| QuickNet small | 99.00 | 1.00 | - | - | - | - | - | - | - |"
    assert {line.count("|") for line in (*accuracy_table.HEAD, without)} == {11}


def test_the_tables_have_means_the_gap_and_what_is_not_measured() -> None:
    values = np.array([[0.5, 0.9], [0.6, 0.85], [0.7, 0.8], [0.8, 0.95], [0.9, 0.9]])
    results = {f"esc10-fold{k + 1}": result(*value) for k, value in enumerate(values)}
    results |= {"words-best": result(0.97, 0.990), "words-float": result(0.97, 0.992, size=0)}
    found = accuracy_table.statistics_of("esc10", results)
    assert found["mean"] == pytest.approx(values.mean(axis=0))
    assert found["deviation"] == pytest.approx(values.std(axis=0, ddof=1))
    text = accuracy_table.markdown(results)
    assert "| **mean ± standard deviation of 5** | 70.00 ± 15.81 / 88.00 ± 5.70 |" in text
    assert "| **gap, pp** | 0.20 |" in text
    assert "| QuickNet small | not measured |" in text
    assert (
        "not measured: `python benchmarks/accuracy.py train words-small --data-dir DIR && "
        "python benchmarks/accuracy.py measure words-small --data-dir DIR`"
    ) in text
    assert "fold 1 | not measured" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {11}
    del results["esc10-fold5"]
    assert accuracy_table.statistics_of("esc10", results) == {}


def test_the_summary_and_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    write_json(tmp_path / "accuracy/words-best.json", result(0.97, 0.98))
    assert accuracy.main(["table"]) == 1  # a bar is missed
    assert "- MISSED: words, best: accuracy of the final exit: 98.00 %" in capsys.readouterr().out
    summary = read_json(tmp_path / "accuracy.json")
    assert list(summary["groups"]["best"]["rows"]) == ["words-best"]
    assert summary["groups"]["best"]["rows"]["words-best"]["result"] == "accuracy/words-best.json"
    assert summary["groups"]["small"] == {**summary["groups"]["small"], "rows": {}, "not_measured": ["words-small"]}
    assert (tmp_path / "accuracy.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    write_json(tmp_path / "accuracy/words-best.json", result(0.96, 0.98, 0.99, 0.99))
    assert accuracy.main(["table"]) == 0  # what is not measured is not missed
