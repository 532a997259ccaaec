"""How often a guarantee may be violated, and how clips are drawn to find out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_exit.calibration import p_values
from bnn_exit.files import read_json

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import guarantee


def test_help_tells_the_question(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        guarantee.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Is a guaranteed accuracy loss exceeded no more often than stated" in text and "--draws N" in text


@pytest.mark.parametrize(("share", "met"), [(0.05, True), (0.051, False)])
def test_a_guarantee_may_fail_as_often_as_its_confidence_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, share: float, met: bool
) -> None:
    rows = [
        {"path": "rising", "broken_share": 0.01},
        {"path": "shared", "broken_share": share},
        {"path": "searched", "broken_share": 0.1},  # one of ten draws says little
    ]
    monkeypatch.setattr(p_values, "P_VALUES", dict(p_values.P_VALUES))
    monkeypatch.setattr(guarantee, "RESULT", tmp_path / "guarantee.json")
    monkeypatch.setattr(guarantee, "measure", lambda run, draws: (rows, {"clips": draws}))
    assert guarantee.main(["/there/one", "there/two", "--draws=7"]) == (0 if met else 1)
    found = read_json(tmp_path / "guarantee.json")
    assert found["command"] == "python benchmarks/guarantee.py one there/two --draws 7"
    assert found["population"] == {"one": {"clips": 7}, "two": {"clips": 7}} and found["rows"] == rows * 2
    what = "share of draws that exceed the guaranteed accuracy loss"
    assert found["bars"] == [{"what": what, "value": share, "at_most": 0.05, "reached": met}]


def test_a_run_without_answers_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(p_values, "P_VALUES", dict(p_values.P_VALUES))
    assert guarantee.main([str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
    assert guarantee.main([str(tmp_path), "--draws", "0"]) == 2
    expected = "error: argument --draws: '0' is not a whole number of at least 1 (see python benchmarks/guarantee.py"
    assert capsys.readouterr().err == f"{expected} --help)\n"


def test_clips_are_drawn_again_or_split_into_halves() -> None:
    again = guarantee.drawn(6, 4, drawing="with replacement", draws=50)
    assert again.shape == (6, 50) and set(again.sum(axis=0)) == {4} and again.max() > 1
    halves = guarantee.drawn(6, 3, drawing="halves", draws=50)
    assert set(halves.sum(axis=0)) == {3} and set(np.unique(halves)) == {0, 1}


def test_a_guarantee_fails_by_the_loss_of_the_whole_population() -> None:
    found = guarantee._figures([0.004, 0.005, 0.006, 0.02], [0.5, 1.0, 0.75, 0.75], 0.005)
    assert found == {
        **{"broken_share": 0.5, "mean_accuracy_lost": 0.00875},
        **{"mean_cost": 0.75, "nothing_guaranteed_share": 0.25},
    }
