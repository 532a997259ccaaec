"""The comparison of a found network with sizes made by hand: when it is better."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import search


def points(*pairs: tuple[float, float]) -> list[dict[str, object]]:
    return [{"point": str(index), "accuracy": accuracy, "mean_us": us} for index, (accuracy, us) in enumerate(pairs)]


def test_a_point_is_a_mean_over_exits() -> None:
    row = {
        "exits": [{"whole_us": {"native": 50.0}}, {"whole_us": {"native": 100.0}}],
        "operating_points": {"balanced": {"accuracy": 0.9, "exit_shares": [0.75, 0.25]}},
    }
    assert search.points_of(row) == [{"point": "balanced", "accuracy": 0.9, "mean_us": pytest.approx(62.5)}]


def test_when_the_found_network_is_better() -> None:
    found = points((0.90, 50.0), (0.95, 80.0))
    assert search.verdict(found, points((0.90, 60.0), (0.94, 90.0)))["found_is"] == "better"
    assert search.verdict(found, points((0.91, 50.0), (0.96, 80.0)))["found_is"] == "worse"
    assert search.verdict(found, points((0.90, 40.0), (0.94, 90.0)))["found_is"] == "neither"
    assert search.verdict(found, found)["found_is"] == "neither"
    beside = search.verdict(found, points((0.90, 60.0), (0.94, 100.0)))
    assert beside["time_at_its_best_accuracy"] == pytest.approx(0.8)
    assert beside["accuracy_in_its_time"] == pytest.approx(0.01)
    unreached = search.verdict(found, points((0.97, 100.0)))
    assert unreached["time_at_its_best_accuracy"] is None and "does not reach that" in unreached["text"]
