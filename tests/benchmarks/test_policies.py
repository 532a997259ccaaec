"""The comparison of policies: how the default is held to its bar, and what is fitted where."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bnn_exit.files import read_json

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import policies

from bnn_exit.policies import DEFAULT

OTHER = "entropy"


def network(costs: dict[str, float]) -> dict:
    """A network on which each policy costs the same for every limit, 1 if it is not told."""
    points = {
        name: [{"limit": limit, "relative_ops": costs.get(name, 1.0), "drop": 0.0} for limit in policies.LIMITS]
        for name in policies.COMPARED
    }
    return {"run": "r", "sample_counts": {"test": 10}, "policies": points}


def test_help_tells_the_question(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        policies.main(["--help"])
    text = capsys.readouterr().out
    assert "\nWhich policy leaves earliest for the same accuracy?\n" in text and "--data-dir DIR" in text


@pytest.mark.parametrize(("cost", "met"), [(0.51, True), (0.52, False)])
def test_the_default_is_held_to_the_cheapest_policy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture, cost: float, met: bool
) -> None:
    assert OTHER != DEFAULT
    monkeypatch.setattr(policies, "RESULT", tmp_path / "policies.json")
    monkeypatch.setattr(policies, "measure", lambda run, data_dir: network({OTHER: 0.5, DEFAULT: cost}))
    assert policies.main(["/there/run", "--data-dir", "/there/data"]) == (0 if met else 1)
    found = read_json(tmp_path / "policies.json")
    assert found["command"] == "python benchmarks/policies.py run --data-dir DIR"
    assert (found["default"], found["cheapest"]) == (DEFAULT, OTHER)
    what = "mean cost of the default beside the cheapest policy"
    assert found["bars"] == [{"what": what, "figure": pytest.approx(cost / 0.5), "bar": "<= 1.02", "met": met}]
    line = f"{'met ' if met else 'FAIL'} {what}: {cost / 0.5:.3f} <= 1.02"
    assert line in capsys.readouterr().out.splitlines()


def test_the_bar_is_of_the_mean_over_networks_and_limits_without_the_last() -> None:
    first, second = network({DEFAULT: 0.4, OTHER: 0.5}), network({DEFAULT: 0.8, OTHER: 0.5})
    first["policies"][DEFAULT][-1]["relative_ops"] = 100.0
    found = policies.judge([first, second])
    assert found["mean_relative_ops"][DEFAULT] == pytest.approx(0.6)
    assert found["ratio_to_cheapest"] == pytest.approx(1.2) and not found["bars"][0]["met"]


def test_policies_that_reject_are_not_compared() -> None:
    assert "rejection" not in policies.COMPARED and {DEFAULT, "ensemble", "patience"} <= set(policies.COMPARED)


def test_temperatures_are_fitted_on_validation_and_the_rest_on_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies.policies, "fit", lambda name, exit_logits: (name, exit_logits))
    exit_logits = {"train": "of train", "validation": "of validation"}
    for name in policies.COMPARED:
        expected = "of validation" if name.startswith("scaled_") else "of train"
        assert policies.fitted(name, exit_logits) == (name, expected)
