"""How noise is added, and what is compared, in `adaptation.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_exit import policies
from bnn_exit.calibration.agreement import answered
from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import read_json, write_json

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import adaptation


def test_help_tells_the_question(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        adaptation.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "refitted without labels" in text and "measure RUN ENVIRONMENT... --data-dir DIR --noise-dir DIR" in text


def test_noise_has_the_level_that_was_asked_for() -> None:
    random = np.random.default_rng(0)
    clip = 0.1 * np.sin(np.arange(16000) / 5).astype(np.float32)
    sounds = [random.normal(0, 0.02, 80000).astype(np.float32)]
    mixed = adaptation.with_noise(clip, sounds, random, (6.0, 6.0))
    added = mixed - clip
    assert 10 * np.log10(np.mean(clip**2) / np.mean(added**2)) == pytest.approx(6.0, abs=0.01)
    # A sound shorter than the clip goes on from its start, and a pause adds nothing.
    assert adaptation.with_noise(clip, [sounds[0][:500]], random, (6.0, 6.0)).shape == (16000,)
    np.testing.assert_array_equal(adaptation.with_noise(clip, [np.zeros(80000, np.float32)], random, (6, 6)), clip)


def test_ops_between_two_points_are_interpolated() -> None:
    curve = [(0.99, 60.0), (0.97, 40.0)]
    assert adaptation.ops_at(0.98, curve, full=100.0) == pytest.approx(50.0)
    assert adaptation.ops_at(0.995, curve, full=100.0) == pytest.approx(80.0)
    assert adaptation.ops_at(0.99, curve, full=100.0) == pytest.approx(60.0)
    assert adaptation.ops_at(0.95, curve, full=100.0) is None
    # A point that agrees better for less beats those above it.
    assert adaptation.ops_at(0.995, [(0.996, 30.0), (0.99, 60.0)], full=100.0) == pytest.approx(30.0)


def test_what_is_won_back() -> None:
    assert adaptation.won_back(40.0, 80.0, 60.0) == pytest.approx(0.5)
    assert adaptation.won_back(40.0, 40.0, 30.0) is None and adaptation.won_back(None, 80.0, 60.0) is None


def test_a_point_of_the_curve_by_hand() -> None:
    # Clips 0 and 1 are sure at exit 1, and agree; clip 2 is sure and does not; clip 3 is unsure.
    logits = np.array([[[9, 0], [9, 0]], [[0, 9], [0, 9]], [[5, 0], [0, 9]], [[1, 0], [9, 0]]], np.float32)
    clips, costs = answered(ExitLogits(logits)), (Cost(0, 10), Cost(0, 100))
    find = {"costs": costs, "policy": policies.fit("margin")}
    assert adaptation.point(clips, clips, **find, lost=0.0) == (1.0, pytest.approx(55.0))
    assert adaptation.point(clips, clips, **find, lost=0.25) == (0.75, pytest.approx(10.0))


def result(clean: float, noisy: float, adapted: float, **more: object) -> dict:
    rows = {
        name: {"ops_at_agreement": {"0.995": ops, "0.99": ops, "0.98": ops}, "agreement": [0.9, 1.0], "accuracy": [0.8]}
        for name, ops in (("clean", clean), ("noisy", noisy), ("alone", noisy - 1), ("adapted", adapted))
    }
    won = {
        "won_back" + end: dict.fromkeys(("0.995", "0.99", "0.98"), adaptation.won_back(clean, noisy, each))
        for end, each in (("", adapted), ("_alone", noisy - 1))
    }
    kept = {"rows": rows, **won, "full_ops": 100.0}
    return kept | {"snr_db": [10.0, 20.0], "learning_clips": 500, **more}


def test_the_bar_is_of_the_ops_of_all_kinds_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(adaptation, "RESULTS", tmp_path)
    for name, ops in (("rain", (40, 60, 45)), ("dog", (40, 50, 48)), ("all_kinds", (40, 60, 60))):
        write_json(tmp_path / "adaptation" / f"{name}.json", result(*ops, environment=name))
    assert adaptation.main(["table"]) == 0
    summary = read_json(tmp_path / "adaptation.json")
    # 15 + 2 of 20 + 10; the environments with all kinds do not count.
    assert summary["won_back"]["0.99"] == pytest.approx(17 / 30) and summary["kinds"] == ["rain", "dog"]
    assert summary["won_back_alone"]["0.98"] == pytest.approx(2 / 30)
    assert summary["environments"]["rain"]["ops"]["noisy"] == {"0.995": 0.6, "0.99": 0.6, "0.98": 0.6}
    out = capsys.readouterr().out
    assert "| rain | 10-20 | 40.0 | 60.0 | 59.0 | 45.0 | 0.75 / 0.75 / 0.75 |" in out and "all_kinds" in out
    write_json(tmp_path / "adaptation" / "dog.json", result(40, 70, 70, environment="dog"))
    assert adaptation.main(["table"]) == 1


def test_an_unknown_environment_is_one_line(capsys: pytest.CaptureFixture) -> None:
    assert adaptation.main(["measure", "run", "kitchen", "--data-dir", "d", "--noise-dir", "n"]) == 2
    assert (
        "environment is 'kitchen', but must be one of all, all_kinds, all_kinds_loud, chainsaw"
        in capsys.readouterr().err
    )
