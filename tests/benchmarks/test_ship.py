"""From a measured run to a model of the package."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_cases
import tiny_files

import bnn_exit
from bnn_exit import pretrained
from bnn_exit.files import read_json, write_json
from bnn_exit.model_file import rewrite

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ship

ROW, NAME = "words-small", "toy-words"
RIGHTS = {"licence": "CC BY 9.0", "attribution": "Toys, Nobody, 2020"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder, the folder of results and an empty folder of models."""
    monkeypatch.setattr(ship, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(ship, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "shelf")
    write_json(tmp_path / "shelf/index.json", {"format": 1, "models": {}})
    (tmp_path / "runs" / ROW).mkdir(parents=True)
    data = tiny_files.adaptive_file()
    (tmp_path / "runs" / ROW / "model.tflite").write_bytes(data)
    record(tmp_path, data)
    return tmp_path


def record(folder: Path, data: bytes, **changes: Any) -> None:
    """Write a result about `data`."""
    point = {
        **{"accuracy": 0.8, "correct": 80, "drop": 0.1, "exit_shares": [1.0, 0, 0]},
        **{"relative_cost": {"ops": 0.4}, "relative_time": {"native": 0.3}},
    }
    result = {
        **{"row": ROW, "labels": 3, "split": "test", "sample_counts": {"test": 100}, "seed": 7, **RIGHTS},
        "file": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "exits": [
            {"exit_index": k, "accuracy": 0.9, "ops": 1.0, "time_us": {"native": 3}, "whole_us": {"native": 5}}
            for k in range(3)
        ],
        "operating_points": {"balanced": point},
        "training": {
            "environment": {"command": "python -m bnn_exit.train --seed 7", "git_revision": "abc"},
            "settings": {
                "task": {
                    **{"name": "toy", "clip_samples": tiny_files.CLIP_SAMPLES, "options": {"fold": 3}},
                    "features": tiny_files.FEATURES.to_dict(),
                }
            },
        },
    }
    write_json(folder / "results" / "accuracy" / f"{ROW}.json", {**result, **changes})


def test_the_entry_is_made_of_the_result_and_the_file_of_the_run(world: Path) -> None:
    assert ship.main([ROW, NAME]) == 0
    entry = pretrained.models()[NAME]
    data = (world / "shelf" / f"{NAME}.tflite").read_bytes()
    assert (entry.bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (entry.task, entry.options, entry.data) == ("toy", {"fold": 3}, "arabic_speech_commands")
    assert (entry.labels, entry.split, entry.sample_count) == (3, "test", 100)
    assert entry.exits[2] == {"exit_index": 2, "accuracy": 0.9, "ops": 1.0}  # times are those of one machine
    assert entry.operating_points["balanced"]["relative_cost"] == {"ops": 0.4}
    assert "relative_time" not in entry.operating_points["balanced"]
    assert entry.training == {"command": "python -m bnn_exit.train --seed 7", "git_revision": "abc", "seed": 7}
    assert entry.result == f"benchmarks/results/accuracy/{ROW}.json"


def test_the_file_gets_the_rights_and_stays_the_same_network(world: Path) -> None:
    assert ship.main([ROW, NAME]) == 0
    before = bnn_exit.load(world / "runs" / ROW / "model.tflite", backend="reference")
    after = bnn_exit.load(NAME, backend="reference")
    assert (before.metadata.licence, before.metadata.attribution) == ("CC0", "nobody")
    assert {name: getattr(after.metadata, name) for name in RIGHTS} == RIGHTS
    assert after.metadata.operating_points == before.metadata.operating_points
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, 720).astype(np.float32)
    assert np.array_equal(after.exit_probabilities(clip), before.exit_probabilities(clip))


def test_a_file_with_its_rights_is_shipped_as_it_is(world: Path) -> None:
    data = tiny_files.adaptive_file(meta=tiny_files.metadata(**RIGHTS).to_json())
    (world / "elsewhere").mkdir()
    (world / "elsewhere/model.tflite").write_bytes(data)
    record(world, data)
    assert ship.main([ROW, NAME, "--run", str(world / "elsewhere")]) == 0
    assert (world / "shelf" / f"{NAME}.tflite").read_bytes() == data


def test_shipping_again_replaces_one_and_keeps_the_others(world: Path) -> None:
    assert ship.main([ROW, "toy-b"]) == ship.main([ROW, "toy-a"]) == 0
    first = pretrained.models()["toy-b"]
    record(world, (world / "runs" / ROW / "model.tflite").read_bytes(), seed=8)
    assert ship.main([ROW, "toy-a"]) == 0
    models = pretrained.models()
    assert list(models) == ["toy-a", "toy-b"]
    assert (models["toy-a"].training["seed"], models["toy-b"]) == (8, first)


@pytest.fixture
def listening(world: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run with two files, of which the one with a listening point is measured; the row of its figures."""
    monkeypatch.setattr(ship, "LISTENING", world / "always_on.json")
    model = stream_cases.model(
        world / "runs" / ROW / "model_rejection.tflite",
        point=dataclasses.replace(stream_cases.POINT, figures={"hours": 2.5, "split": "validation"}),
    )
    record(world, model.read_bytes())
    row = {
        "file": {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()},
        "listening_point": bnn_exit.load(model, backend="reference").metadata.listening_points["balanced"].to_dict(),
        **{"split": "test", "words": 40, "recall": 0.95, "recall_last_exit": 0.975, "relative_ops": 1.125},
        "false_accepts": {"count": 1, "hours": 4.0, "per_hour": 0.25, "low": 0.01, "high": 1.4},
        **{"exit_shares": [0.9, 0.06, 0.04], "delay_s": {"50": 0.1, "95": 0.25}, "det": []},
    }
    write_json(world / "always_on.json", {"rows": {ROW: row}})
    return row


def test_a_file_that_listens_brings_its_figures_on_streams(world: Path, listening: dict[str, Any]) -> None:
    assert ship.main([ROW, NAME]) == 0
    entry = pretrained.models()[NAME]
    names = ("split", "words", "recall", "recall_last_exit", "relative_ops", "false_accepts")
    assert entry.listening == {
        "balanced": {
            **{name: listening[name] for name in names},
            **{"row": ROW, "exit_1_share": 0.9, "delay_s": 0.25},
            "chosen": {"hours": 2.5, "split": "validation"},
        }
    }
    assert bnn_exit.load(NAME, backend="reference").metadata.listening_points.keys() == {"balanced"}
    assert entry.negatives == ""


def test_the_folder_of_negatives_is_that_of_the_row(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ship.ROWS, ROW, dataclasses.replace(ship.ROWS[ROW], negatives="read_speech"))
    assert ship.main([ROW, NAME]) == 0
    assert pretrained.models()[NAME].negatives == "read_speech" and pretrained.models()[NAME].listening == {}


def test_another_point_has_a_row_of_its_own(world: Path, listening: dict[str, Any]) -> None:
    path = world / "runs" / ROW / "model_rejection.tflite"
    quiet = dataclasses.replace(stream_cases.POINT, name="quiet", thresholds={"yes": 0.5, "no": 0.5})
    path.write_bytes(rewrite.with_points(path, {}, listening_points={"quiet": quiet}))
    record(world, path.read_bytes())
    file = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    rows = {
        ROW: {**listening, "file": file},
        f"{ROW}-quiet": {**listening, "file": file, "listening_point": quiet.to_dict(), "recall": 0.5},
        "other-quiet": {},
    }
    write_json(world / "always_on.json", {"rows": rows})
    assert ship.main([ROW, NAME]) == 0
    found = pretrained.models()[NAME].listening
    assert {name: (figures["row"], figures["recall"]) for name, figures in found.items()} == {
        "balanced": (ROW, 0.95),
        "quiet": (f"{ROW}-quiet", 0.5),
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda row: {}, "the listening point balanced of "),
        (lambda row: {"other": row}, " is not measured: python benchmarks/always_on.py measure words-small "),
        (lambda row: {ROW: {**row, "file": {"sha256": "0"}}}, f"{ROW} is of another file or other settings than "),
        (
            lambda row: {ROW: {**row, "listening_point": {**row["listening_point"], "hop_ms": 40}}},
            f"{ROW} is of another file or other settings than balanced of ",
        ),
    ],
)
def test_a_point_that_is_not_measured_is_not_shipped(
    world: Path, listening: dict[str, Any], capsys: pytest.CaptureFixture, rows: Any, message: str
) -> None:
    write_json(world / "always_on.json", {"rows": rows(listening)})
    assert ship.main([ROW, NAME]) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert read_json(world / "shelf/index.json")["models"] == {}


def test_none_of_several_files_was_measured(
    world: Path, listening: dict[str, Any], capsys: pytest.CaptureFixture
) -> None:
    record(world, b"a third")
    assert ship.main([ROW, NAME]) == 1
    assert capsys.readouterr().err == (
        f"error: no .tflite file of {world}/runs/{ROW} is the one that was measured: measure {ROW} again\n"
    )


@pytest.mark.parametrize(
    ("words", "changes", "status", "message"),
    [
        (["words-smal", NAME], {}, 2, "row is 'words-smal', but must be one of "),
        ([ROW, "Toy_Words"], {}, 2, "name is 'Toy_Words', but must be small letters and digits, joined by hyphens"),
        (
            ["words-large", NAME],
            {},
            1,
            "words-large is not measured: python benchmarks/accuracy.py measure words-large",
        ),
        (
            [ROW, NAME],
            {"file": {"sha256": "0"}},
            1,
            "/model.tflite is not the file that was measured: measure words-small",
        ),
        ([ROW, NAME], {"licence": "not stated"}, 1, "cannot be shipped: its data has the licence 'not stated'"),
        ([ROW, NAME], {"attribution": "data of the user, folder x"}, 1, "and no known author"),
    ],
)
def test_what_cannot_be_shipped_is_one_line_and_ships_nothing(
    world: Path, capsys: pytest.CaptureFixture, words: list[str], changes: dict, status: int, message: str
) -> None:
    record(world, (world / "runs" / ROW / "model.tflite").read_bytes(), **changes)
    assert ship.main(words) == status
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert [path.name for path in (world / "shelf").iterdir()] == ["index.json"]
    assert read_json(world / "shelf/index.json")["models"] == {}
