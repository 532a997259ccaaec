"""From long recordings to a file whose early exits reject: train, calibrate, evaluate and export on a few tones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnn_exit.audio import wav
from bnn_exit.commands import calibrate, evaluate, export, train
from bnn_exit.model_file import reader

WORDS = {"high": 2000, "low": 500, "mid": 1000}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    time = np.arange(8000) / 16000
    for word, pitch in WORDS.items():
        (root / word).mkdir()
        for speaker in range(12):
            loud = np.where((time > 0.15) & (time < 0.35), 0.3, 0.0)
            clip = loud * np.sin(2 * np.pi * pitch * draw.uniform(0.97, 1.03) * time) + draw.normal(0, 0.003, 8000)
            wav.write(root / word / f"s{speaker}_0.wav", clip.astype(np.float32), sample_rate_hz=16000)
    return root


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, draw = tmp_path_factory.mktemp("negatives"), np.random.default_rng(1)
    for name in ("train", "validation", "test"):
        (root / name).mkdir()
        noise = draw.normal(0, 0.1, 48000) * (1.2 + np.sin(np.arange(48000) / 3000))
        wav.write(root / name / "noise.wav", noise.astype(np.float32), sample_rate_hz=16000)
    return root


@pytest.fixture(scope="module")
def options(data: Path) -> list[str]:
    task = ["--task", "folder", "--data-dir", str(data), "--option", "clip_seconds=0.5"]
    return [*task, "--recipe", "fast", "--epochs", "2", "--batch-size", "8"]


@pytest.fixture(scope="module")
def run(options: list[str], negatives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "words"
    chosen = ["--negatives", str(negatives), "--negatives-share", "0.4", "--policy", "rejection"]
    assert train.main([*options, *chosen, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def failing(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def failed(command, *arguments: str) -> str:
        assert command.main(list(arguments)) in (1, 2)
        found = capsys.readouterr()
        assert found.out == ""
        return found.err.splitlines()[-1]

    return failed


def test_the_file_rejects_and_the_run_remembers_how(run: Path) -> None:
    metadata = reader.read(run / "model.tflite").metadata
    assert metadata.labels == (*WORDS, "unknown")
    assert metadata.policy_dict == {"name": "rejection", "background": [3]}
    for point in metadata.operating_points.values():
        assert max(point.thresholds) <= 1
    config = json.loads((run / "config.json").read_text())
    assert (config["policy"], config["background"]) == ("rejection", [])
    assert config["task"]["options"]["negatives_share"] == 0.4
    assert (config["augment"]["background_probability"], config["augment"]["partial_share"]) == (0.6, 0.25)


def test_evaluate_and_calibrate_see_cuts_as_clips_of_unknown(
    run: Path, negatives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([str(run), "--backend", "reference", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["labels"] == [*WORDS, "unknown"]
    with np.load(run / "exit_logits" / "validation.npz") as stored:
        assert any(name.startswith("negatives/validation/noise.wav@") for name in stored["names"])
        assert (stored["labels"] == 3).sum() > 0
    assert calibrate.main([str(run), "--max-accuracy-drop", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["policy"] == {"name": "rejection", "background": [3]}
    assert max(found["operating_point"]["thresholds"]) <= 1
    assert calibrate.main([str(run), "--policy", "rejection", "--background", "low,unknown"]) == 0
    assert capsys.readouterr().out.startswith("policy rejection, ")


def test_negatives_that_have_moved_are_found(run: Path, negatives: Path, tmp_path: Path, capsys) -> None:
    moved = shutil.copytree(negatives, tmp_path / "moved")
    copied = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copied / "config.json").read_text())
    config["task"]["options"]["negatives"] = str(tmp_path / "gone")
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "exit_logits" / "validation.npz").unlink()
    assert evaluate.main([str(copied), "--backend", "reference"]) == 1
    assert "gone' does not exist: give a folder of long recordings without the words" in capsys.readouterr().err
    chosen = ["--negatives", str(moved)]
    assert evaluate.main([str(copied), "--backend", "reference", *chosen]) == 0
    assert calibrate.main([str(copied), *chosen]) == 0


def test_a_run_is_exported_with_another_policy_and_its_own_points(run: Path, tmp_path: Path, capsys) -> None:
    assert export.main([str(run), "--policy", "margin", "--out", str(tmp_path / "margin.tflite")]) == 0
    plain = reader.read(tmp_path / "margin.tflite").metadata
    assert plain.policy_dict == {"name": "margin"} and list(plain.operating_points) == [
        "full",
        "accurate",
        "balanced",
        "fast",
    ]
    chosen = ["--policy", "rejection", "--background", "unknown,low"]
    assert export.main([str(run), *chosen]) == 0
    assert reader.read(run / "model_rejection.tflite").metadata.policy_dict == {
        "name": "rejection",
        "background": [1, 3],
    }
    # The run's own file and points stay.
    assert reader.read(run / "model.tflite").metadata.policy_dict["background"] == [3]


def test_mistakes_get_one_line_before_the_training(
    options: list[str], negatives: Path, tmp_path: Path, failing: Callable[..., str]
) -> None:
    out = ["--out", str(tmp_path / "run")]
    assert failing(train, *options, *out, "--policy", "rejection") == (
        "error: policy rejection needs a class that is background, and none of the 3 labels is called unknown or "
        "silence: name it with --background LABEL, or train a network that knows one with --negatives DIR"
    )
    assert "background is 'lov', but must be one of high, low, mid" in failing(
        train, *options, *out, "--policy", "rejection", "--background", "lov"
    )
    assert failing(train, *options, *out, "--background", "low") == (
        "error: --background is 'low', but goes with --policy rejection alone"
    )
    assert "--policy is 'reject', but must be one of" in failing(train, *options, *out, "--policy", "reject")
    assert "negatives_share is 1.5, but must be above 0 and below 1" in failing(
        train, *options, *out, "--negatives", str(negatives), "--negatives-share", "1.5"
    )
    assert failing(train, *options, *out, "--negatives-share", "0.5") == (
        "error: negatives_share is 0.5, but there are no negatives: give their folder"
    )
    assert not (tmp_path / "run" / "config.json").exists()
