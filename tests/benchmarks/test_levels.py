"""What the rows of `levels.py` are measured on, and how they are put together."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
from bnn_exit.errors import ArgumentError
from bnn_exit.files import read_json
from bnn_exit.settings import recipes
from bnn_exit.settings.model import LEVELS

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import levels

TONE = 0.5 * np.sin(np.arange(16000) / 5).astype(np.float32)


def test_help_tells_the_question(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        levels.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "recognise quiet clips" in text and "train ROW... --data-dir DIR" in text


def test_a_recording_has_sixteen_bits_and_clips() -> None:
    quiet = levels.recorded(TONE, -40)
    np.testing.assert_array_equal(quiet * 32768, np.round(quiet * 32768))
    np.testing.assert_allclose(quiet, TONE / 100, atol=1 / 65536)
    loud = levels.recorded(TONE, 12)
    assert loud.max() == 32767 / 32768 and loud.min() == -1


def test_rows_differ_from_the_usual_one_in_what_they_say() -> None:
    recipe = recipes.load("fast", task="speech_commands", tasks=audio_tasks.TASKS)
    for row in levels.ROWS.values():
        assert set(row.changes) <= set(recipe.augment.to_dict())
        assert row.levels in LEVELS


def test_a_row_is_added_and_the_others_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(levels, "RESULT", tmp_path / "levels.json")
    result = {"about": "as ever", "accuracy_by_gain_db": {str(gain): [0.5, 0.9] for gain in levels.GAINS_DB}}
    levels.save("usual", result)
    levels.save("shipped", result | {"about": "other"})
    levels.save("usual", result)
    rows = read_json(tmp_path / "levels.json")["rows"]
    assert {name: row["about"] for name, row in rows.items()} == {"usual": "as ever", "shipped": "other"}
    assert levels.table(rows).splitlines()[2] == "| usual: as ever | " + " | ".join(["90.00"] * 6) + " |"


def test_a_model_file_is_not_trained(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is trained already"):
        levels.train(levels.ROWS["shipped"], None, tmp_path)
