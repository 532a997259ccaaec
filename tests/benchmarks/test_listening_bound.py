"""How often a bound on false accepts is broken, in a simulation."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import listening_bound


def test_the_steps_are_nested_and_have_the_rates_that_they_say():
    generator = np.random.default_rng(0)
    for kind in listening_bound.KINDS:
        counts, hours = listening_bound.drawn(kind, groups=4000, hours=400.0, generator=generator)
        assert (np.diff(counts, axis=0) >= 0).all() and hours.sum() == pytest.approx(400)
        assert counts[-1].sum() / 400 == pytest.approx(60, rel=0.12)


@pytest.mark.parametrize(("share", "reached"), [(0.05, True), (0.07, True), (0.08, False)])
def test_the_bar_is_the_confidence_and_the_chance_of_the_draws(share, reached):
    rows = [{"kind": "poisson", "broken": {"package": share}}, {"kind": "lognormal 1.5", "broken": {"package": 0.3}}]
    (bar,) = listening_bound.judge(rows, draws=1000)
    assert bar["reached"] == reached and bar["at_most"] == pytest.approx(0.0707, abs=1e-4)


def test_the_result_has_a_row_for_each_kind_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr(listening_bound, "RESULT", tmp_path / "listening_bound.json")
    monkeypatch.setattr(listening_bound, "KINDS", ("poisson", "bursts 4"))
    monkeypatch.setattr(listening_bound, "SIZES", ((60, 8.0),))
    assert listening_bound.main(["--draws", "60"]) == 0
    found = json.loads((tmp_path / "listening_bound.json").read_text())
    assert [row["kind"] for row in found["rows"]] == ["poisson", "bursts 4"]
    assert found["command"] == "python benchmarks/listening_bound.py --draws 60"
    assert found["rows"][1]["broken"]["exact"] > 0.1
