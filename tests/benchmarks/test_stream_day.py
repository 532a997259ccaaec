"""What benchmarks/stream_day.py counts, on some seconds of made-up sound."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import stream_day  # noqa: E402

from bnn_exit.files import read_json  # noqa: E402
from bnn_exit.runtime.detector import Event  # noqa: E402


def test_a_day_in_small_has_the_same_events_in_both_chunkings(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.uniform(0, 0.3, 40), 2000)
    soundfile.write(tmp_path / "a.wav", (loud * rng.normal(0, 1, loud.size)).clip(-1, 1), 16000)
    monkeypatch.setattr(stream_day, "RESULT", tmp_path / "result.json")
    monkeypatch.setattr(stream_day, "THRESHOLD", 0.1)
    arguments = ["arabic-speech-commands-small", "--audio", str(tmp_path / "a.wav"), "--hours", "0.01"]
    monkeypatch.setattr(stream_day, "resident_kib", lambda: 1000)
    assert stream_day.main(arguments) == 0
    result = read_json(tmp_path / "result.json")
    assert result["events"] > 0 and result["hours"] == pytest.approx(0.01)
    assert [bar["figure"] for bar in result["bars"]] == [0, 0]
    assert "met    events that differ: 0 (bar: 0)" in capsys.readouterr().out


def test_memory_that_grows_misses_the_bar(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(32000), 16000)
    monkeypatch.setattr(stream_day, "RESULT", tmp_path / "result.json")
    sizes = iter([1000, 3000, 1, 1])
    monkeypatch.setattr(stream_day, "resident_kib", lambda: next(sizes))
    monkeypatch.setattr(stream_day, "played", lambda *given: ([], [1000, 3000], 1.0))
    assert stream_day.main(["arabic-speech-commands-small", "--audio", str(tmp_path / "a.wav"), "--hours", "0.01"]) == 1


def test_the_audio_is_played_round_and_round():
    audio = np.arange(5)
    sizes = iter([3, 4, 4, 4, 4])
    assert np.concatenate(list(stream_day.chunks(audio, 13, lambda: next(sizes)))).tolist() == [
        *range(5),
        *range(5),
        0,
        1,
        2,
    ]


def test_an_event_that_only_one_has_is_counted():
    one, two = Event("a", 0, 0.0, 1.0, 1.0, 0.5, 0), Event("a", 0, 0.0, 1.0, 1.1, 0.5, 0)
    assert stream_day.differing([one, two], [one]) == 2
    assert stream_day.differing([one], [one]) == 0
