"""Every script of examples/ runs as a user runs it, and prints values that are right."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import write_json
from bnn_exit.runs.folder import RunFolder

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TESTED = {"predict.py", "calibrate_for_a_board.py", "add_exits_to_a_larq_model.py"}


def start(script, *arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BNN_EXIT_CACHE": str(cwd / "cache")}
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def values(script, *arguments, cwd):
    """What a script prints: the first words of a line -> the values after two spaces or more."""
    done = start(script, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return {name: text.split() for name, _, text in (line.partition("  ") for line in done.stdout.splitlines())}


def test_every_script_is_tested_and_listed():
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in readme for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))


def test_predict_without_a_clip_recognises_rain(tmp_path):
    printed = values("predict.py", cwd=tmp_path)
    assert printed["label"] == ["rain"] and float(printed["probability"][0]) > 0.9
    assert printed["exit"] == ["1", "of", "2"] and float(printed["score"][0]) < 0.1


def test_predict_a_file_prints_what_the_session_predicts(tmp_path):
    # Another rate than the model's, for it must be resampled.
    waveform = np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32)
    wav.write(tmp_path / "clip.wav", waveform, sample_rate_hz=8000)
    model = "arabic-speech-commands-small"
    session = bnn_exit.load(model)
    expected = session.predict(wav.read(tmp_path / "clip.wav", sample_rate_hz=16000), operating_point="full")
    printed = values("predict.py", "clip.wav", "--model", model, "--operating-point", "full", cwd=tmp_path)
    assert printed["label"] == [expected.label] and printed["exit"] == ["2", "of", "2"]
    assert float(printed["score"][0]) == pytest.approx(expected.score, abs=6e-4)


@pytest.mark.parametrize("budget", [450, 500, 600])
def test_the_calibrated_thresholds_stay_within_the_time(tmp_path, budget):
    printed = values("calibrate_for_a_board.py", "--max-mean-us", budget, cwd=tmp_path)
    assert 0.9 * budget < float(printed["mean us"][0]) <= budget
    shares = [float(share) for share in printed["exit shares"]]
    assert sum(shares) == pytest.approx(1, abs=2e-3) and len(printed["thresholds"]) == len(shares) - 1 == 2
    assert float(printed["accuracy"][0]) > 0.9


def test_more_time_loses_less_accuracy(tmp_path):
    lost = [
        float(values("calibrate_for_a_board.py", "--max-mean-us", us, cwd=tmp_path)["lost"][0]) for us in (450, 600)
    ]
    assert lost[0] > lost[1] >= 0


def test_a_run_is_calibrated_with_its_own_logits(tmp_path):
    labels = np.arange(200) % 4
    logits = np.random.default_rng(0).normal(0, 1, (200, 3, 4)) + 4 * np.eye(4)[labels][:, None]
    run = RunFolder(tmp_path / "run")
    run.save_exit_logits(ExitLogits(logits, labels, split="validation"))
    run.save_costs(ExitCosts(tuple(Cost(0, 100 * k) for k in (1, 2, 3)), (Cost(0, 10),) * 3))
    printed = values("calibrate_for_a_board.py", "--run", "run", "--max-mean-us", 400, cwd=tmp_path)
    # Time for exit 1 alone: its accuracy is that of the point.
    assert [float(share) for share in printed["exit shares"]] == [1, 0, 0]
    assert float(printed["accuracy"][0]) == pytest.approx((logits[:, 0].argmax(-1) == labels).mean(), abs=1e-4)
    done = start("calibrate_for_a_board.py", "--run", "nothing", cwd=tmp_path)
    assert done.returncode == 2 and "nothing has no cached logits" in done.stderr


def test_the_times_of_a_board_are_read(tmp_path):
    times = {f"exit {number}": {"mean": 100.0 * number, "p95": 110.0 * number} for number in (1, 2, 3)}
    bench = {"times": {"native": times}, "exits": 3, "threads": 1, "machine": {"cpu": "Cortex-A72"}}
    write_json(tmp_path / "pi.json", bench)
    printed = values("calibrate_for_a_board.py", "--device", "pi.json", "--max-mean-us", 150, cwd=tmp_path)
    assert printed["board"] == ["pi"] and 100 <= float(printed["mean us"][0]) <= 150


def test_a_budget_below_the_first_exit_is_an_error_in_one_line(tmp_path):
    done = start("calibrate_for_a_board.py", "--max-mean-us", 300, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: max_mean_us is 300") and line.rstrip().endswith("400")


def test_exits_added_to_a_larq_model_are_trained_and_exported(tmp_path):
    for package in ("tensorflow", "larq", "larq_compute_engine"):
        pytest.importorskip(package)
    printed = values("add_exits_to_a_larq_model.py", "--out", "larq.tflite", "--clips", 60, cwd=tmp_path)
    first, last = map(float, printed["ops"])
    assert 0 < first < last and {"block_1", "block_2", "block_3"} < set(printed["cut points"])
    assert float(printed["accuracy"][0]) > 0.7
    session = bnn_exit.load(tmp_path / "larq.tflite")
    assert session.exits == len(printed["clips"]) == 2 and session.labels == ("low", "middle", "high", "top")
    assert sum(map(int, printed["clips"])) == 100
    assert printed["first clip"][0] in session.labels
