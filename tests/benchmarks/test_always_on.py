"""The row of a model that listens."""

from __future__ import annotations

import hashlib
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
    data = model.read_bytes()
    assert row["file"] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert (row["split"], row["bars"]) == ("test", [])
    assert capsys.readouterr().out.startswith(f"tiny: {100 * row['recall']:.1f} % of 8 words found, ")
    assert always_on.main(["draw"]) == 0
    assert (tmp_path / "always_on.png").read_bytes()[:4] == b"\x89PNG"


def test_bars_are_met_at_their_limits_and_missed_beyond():
    row = {
        **{"recall": 0.95, "exit_shares": [0.85, 0.15], "relative_ops": 1.25, "recall_lost_by_exits": 0.95 - 0.94},
        **{"delay_s": {"50": 0.1, "95": 0.3}, "false_accepts": {"per_hour": 0.5}},
    }
    met = always_on.bars("listening-arabic", row)
    assert [bar["met"] for bar in met] == 6 * [True] and 0.95 - 0.94 > 0.01  # the rounding of floats
    assert met[0] == {"what": "words found", "figure": "95.0 %", "bar": ">= 95 %", "met": True}
    for change in (
        {"recall": 0.949},
        {"false_accepts": {"per_hour": 0.51}},
        {"exit_shares": [0.849, 0.151]},
        {"relative_ops": 1.26},
        {"recall_lost_by_exits": 0.02},
        {"delay_s": {"95": 0.31}},
        {"delay_s": {}},
    ):
        assert [bar["met"] for bar in always_on.bars("listening-arabic", row | change)].count(False) == 1
    assert len(always_on.bars("listening-english", row)) == 5
    assert always_on.bars("listening-arabic-quiet", row) == []


def test_a_missed_bar_is_the_exit_status(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(always_on, "RESULT", tmp_path / "always_on.json")
    model = stream_cases.model(tmp_path / "model.tflite")
    words = str(recording(tmp_path / "w.wav"))
    events = table(tmp_path / "e.tsv", *(f"w.wav {second} {second + 0.3} yes" for second in range(1, 9)))
    given = ["--negatives", words, "--words", words, "--events", str(events), "--split", "validation"]
    assert always_on.main(["measure", "listening-english", str(model), *given]) == 1
    assert "MISSED windows without words that leave at exit 1: " in capsys.readouterr().out
    row = json.loads((tmp_path / "always_on.json").read_text())["rows"]["listening-english"]
    assert row["split"] == "validation" and len(row["bars"]) == 5


def test_a_mistake_is_one_line(tmp_path, capsys):
    missing = str(tmp_path / "none.tflite")
    assert always_on.main(["measure", "tiny", missing, "--negatives", "a", "--words", "b", "--events", "c"]) == 1
    assert "none.tflite" in capsys.readouterr().err
