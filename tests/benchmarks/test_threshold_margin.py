"""The comparison of margins: when a limit counts as satisfied, which margin is the smallest, and that we have it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_logits import ladder, made_up

from bnn_exit.files import read_json

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import threshold_margin

from bnn_exit import policies
from bnn_exit.calibration.operating_points import DROPS, STANDARD_ERRORS, operating_points
from bnn_exit.policies import rule


def half(lost: float, *, allowed: float = 0.005, ops: float = 0.5) -> dict:
    return {"balanced": {"allowed": allowed, "lost": lost, "ops": ops}}


def network(kept: dict[float, int]) -> dict:
    """Ten halvings, of which each margin keeps so many."""
    rows = [threshold_margin.summary(margin, [half(0.0)] * n + [half(0.1)] * (10 - n)) for margin, n in kept.items()]
    return {"run": "r", "rows": [row for each in rows for row in each]}


def test_a_point_is_within_its_limit_where_no_more_is_lost_than_allowed() -> None:
    (row,) = threshold_margin.summary(2.0, [half(-0.01, ops=0.2), half(0.005), half(0.0051), half(0.03, ops=0.6)])
    assert (row["within"], row["halvings"], row["allowed"]) == (2, 4, 0.005)
    assert row["mean_lost"] == pytest.approx(0.030100 / 4) and row["mean_relative_ops"] == pytest.approx(0.45)


def test_halves_are_of_speakers_and_each_is_judged_by_the_other() -> None:
    exit_logits, costs = made_up(count=60, exits=3, seed=2), ladder(3)
    found = list(threshold_margin.halves(exit_logits, np.repeat(list("abcd"), 15), costs, 0.0))
    assert len(found) == 6
    first, second = exit_logits.select_clips(np.arange(30)), exit_logits.select_clips(np.arange(30, 60))
    for figures, chosen, other in ((found[0], first, second), (found[-1], second, first)):
        for name, point in operating_points(chosen, costs, standard_errors=0.0).items():
            if name == "full":
                assert name not in figures
                continue
            exits = rule.exit_indices(policies.fit(policies.DEFAULT).scores(other), point.thresholds)
            right = other.correct[np.arange(30), exits]
            assert figures[name]["allowed"] == DROPS[name]
            assert figures[name]["lost"] == pytest.approx(other.correct[:, -1].mean() - right.mean())
            assert figures[name]["ops"] == pytest.approx(np.mean([costs[k].ops for k in exits]) / costs[-1].ops)
    assert found[0] != found[-1]


@pytest.mark.parametrize(
    ("within", "smallest"),
    [
        ({0.0: 5, 2.0: 9, 4.0: 10}, 2.0),
        ({0.0: 9, 2.0: 8, 4.0: 10}, 4.0),
        ({0.0: 9, 2.0: 9, 4.0: 9}, 0.0),
        ({0.0: 5, 2.0: 9, 4.0: 8}, None),
    ],
)
def test_the_smallest_margin_from_which_on_enough_is_within(within: dict[float, int], smallest: float | None) -> None:
    assert threshold_margin.smallest(threshold_margin.pooled([network(within)])) == smallest


def test_points_are_pooled_over_networks() -> None:
    (row,) = threshold_margin.pooled([network({1.0: 10}), network({1.0: 7})])
    assert (row["within"], row["points"], row["share"]) == (17, 20, 0.85)


@pytest.mark.parametrize("margin", [STANDARD_ERRORS, STANDARD_ERRORS + 1])
def test_the_margin_of_the_package_is_held_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture, margin: float
) -> None:
    monkeypatch.setattr(threshold_margin, "RESULT", tmp_path / "margin.json")
    monkeypatch.setattr(threshold_margin, "measure", lambda run, data_dir: network({0.0: 1, margin: 9}))
    same = margin == STANDARD_ERRORS
    assert threshold_margin.main(["/there/run", "--data-dir", "/there/data"]) == int(not same)
    line = f"{'met ' if same else 'FAIL'} smallest that keeps 90%: {margin}, of the package: {STANDARD_ERRORS}"
    assert line in capsys.readouterr().out.splitlines()
    found = read_json(tmp_path / "margin.json")
    assert found["command"] == "python benchmarks/threshold_margin.py run --data-dir DIR"
    assert found["smallest_margin"] == margin


def test_the_margin_of_the_package_is_the_one_that_was_measured() -> None:
    found = read_json(threshold_margin.RESULT)
    assert found["smallest_margin"] == threshold_margin.smallest(found["margins"]) == STANDARD_ERRORS
    assert found["margins"] == threshold_margin.pooled(found["networks"])
