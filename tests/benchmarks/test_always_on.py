"""The row of a model that listens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import stream_cases
from stream_cases import recording, table

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import always_on


def test_a_row_joins_words_with_false_accepts(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(always_on, "RESULT", tmp_path / "always_on.json")
    monkeypatch.setattr(always_on, "PICTURE", tmp_path / "always_on.png")
    model = stream_cases.model(tmp_path / "model.tflite")
    negatives, words = recording(tmp_path / "n.wav"), recording(tmp_path / "w.wav", seed=1)
    events = table(tmp_path / "e.tsv", *(f"w.wav {second} {second + 0.3} yes" for second in range(1, 9)))
    arguments = ["measure", "tiny", str(model), "--negatives", str(negatives), "--words", str(words)]
    assert always_on.main([*arguments, "--events", str(events)]) == 0
    row = json.loads((tmp_path / "always_on.json").read_text())["rows"]["tiny"]
    assert row["words"] == 8 and row["files"] == {"negatives": ["n.wav"], "words": ["w.wav"]}
    assert row["recall_lost_by_exits"] == pytest.approx(row["recall_last_exit"] - row["recall"])
    here = next(point for point in row["det"] if point["shift"] == 0)
    assert here["recall"] == row["recall"] and here["false_accepts"] == row["false_accepts"]
    assert capsys.readouterr().out.startswith(f"tiny: {100 * row['recall']:.1f} % of 8 words found, ")
    assert always_on.main(["draw"]) == 0
    assert (tmp_path / "always_on.png").read_bytes()[:4] == b"\x89PNG"


def test_a_mistake_is_one_line(tmp_path, capsys):
    missing = str(tmp_path / "none.tflite")
    assert always_on.main(["measure", "tiny", missing, "--negatives", "a", "--words", "b", "--events", "c"]) == 1
    assert "none.tflite" in capsys.readouterr().err
