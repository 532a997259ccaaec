"""Whether memory that grows with the number of clips is seen, and what is written about it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tiny_files

import audio_tasks
import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.files import read_json
from bnn_exit.runs.folder import RunFolder

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import difficulty_scale


def test_help_tells_the_question(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        difficulty_scale.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "take any number of files with the same memory" in text and "--clips N" in text


@pytest.mark.parametrize(("peak", "met"), [(57.5, True), (57.75, False)])
def test_memory_may_grow_by_a_bar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture, peak: float, met: bool
) -> None:
    task = types.SimpleNamespace(name="toy", test=types.SimpleNamespace(ids=["a.wav"]))
    monkeypatch.setattr(difficulty_scale, "RESULT", tmp_path / "difficulty_scale.json")
    monkeypatch.setattr(RunFolder, "config", types.SimpleNamespace(task=None))
    monkeypatch.setattr(audio_tasks, "load_again", lambda remembered, data_dir: task)
    monkeypatch.setattr(bnn_exit, "load", lambda path: types.SimpleNamespace(backend="native"))
    peaks = {10: 47.5, 100: peak}
    monkeypatch.setattr(
        difficulty_scale, "measured", lambda model, paths, clips: {"clips": clips, "peak_mb": peaks[clips]}
    )
    arguments = ["/there/run", "--data-dir", "/there/data", "--clips", "100", "10"]
    assert difficulty_scale.main(arguments) == (0 if met else 1)
    found = read_json(tmp_path / "difficulty_scale.json")
    assert found["command"] == "python benchmarks/difficulty_scale.py run --data-dir DIR --clips 100 10"
    grown = {"what": "growth of peak memory, MB", "figure": peak - 47.5, "bar": "<= 10", "met": met}
    assert found["bars"] == [grown]
    state = "met " if met else "FAIL"
    assert capsys.readouterr().out == f"{state} peak memory grows by {peak - 47.5:.1f} MB <= 10 MB\n"


def test_one_number_of_clips_shows_no_growth(capsys: pytest.CaptureFixture) -> None:
    assert difficulty_scale.main(["run", "--data-dir", "data", "--clips", "7", "7"]) == 2
    error = "error: --clips is 7, but must be two numbers or more, to see memory grow\n"
    assert capsys.readouterr().err == error


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_the_peak_is_of_the_child_alone(tmp_path: Path) -> None:
    """A parent that holds more than its child needs does not count."""
    held = np.ones(25_000_000)
    (tmp_path / "model.tflite").write_bytes(tiny_files.adaptive_file())
    (tmp_path / "yes").mkdir()
    wav.write(tmp_path / "yes" / "a.wav", np.full(720, 0.1, np.float32), sample_rate_hz=16000)
    row = difficulty_scale.measured(tmp_path / "model.tflite", [str(tmp_path / "yes" / "a.wav")], 3)
    assert row["clips"] == 3 and 10 < row["peak_mb"] < held.nbytes / 2**20
