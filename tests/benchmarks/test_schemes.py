"""The comparison of training schemes: its rows, the figures by hand, and when a paper's claim holds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import read_json, write_json
from bnn_exit.settings.scheme import SCHEMES, SchemeConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import schemes
from scheme_rows import ROWS

from bnn_exit import policies
from bnn_exit.commands import train as train_command
from bnn_exit.training import schemes as training_schemes


def test_every_scheme_has_a_row_whose_options_its_training_takes() -> None:
    used = {row.options.get("scheme", "joint") for row in ROWS.values()}
    assert used == set(SCHEMES)
    for row in ROWS.values():
        options = train_command.parser().parse_args(row.words(3))
        assert (options.seed, options.recipe, options.size) == (3, "fast", "base")
        values = train_command.pairs("--scheme-option", options.scheme_option)
        training_schemes.make(SchemeConfig(options.scheme or "joint", values))
        assert row.like is None or ROWS[row.like].like is None
        assert all(claim.against in ROWS and claim.against != row.name for claim in row.claims)


def test_the_sweep_on_the_test_split_by_hand() -> None:
    # Two exits, three clips; the first exit is sure of 0.9 (right), 0.6 (wrong) and 0.51 (right).
    first = np.array([[0.9, 0.1], [0.6, 0.4], [0.51, 0.49]])
    last = np.array([[0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    logits = ExitLogits(np.log(np.stack([first, last], axis=1)).astype(np.float32), np.array([0, 1, 0]))
    curve = schemes.swept(logits, [10, 40])
    assert len(curve) == 101
    assert curve[50] == [10, pytest.approx(2 / 3)]
    assert curve[55] == [20, pytest.approx(1 / 3)]
    assert curve[70] == [30, pytest.approx(2 / 3)]
    assert curve[95] == [40, pytest.approx(2 / 3)]
    assert schemes.cheapest(curve, 2 / 3) == 10
    assert schemes.cheapest(curve, 0.9) is None


def test_the_figures_of_a_network_that_overthinks() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 400)
    sure = 12 * np.eye(4, dtype=np.float32)[labels]
    last = sure.copy()
    last[:40] = 12 * np.eye(4)[(labels[:40] + 1) % 4]  # right at first, wrong at the end
    logits = ExitLogits(np.stack([sure, last], axis=1), labels, split="test")
    costs = (Cost(0, 100), Cost(0, 400))
    found = schemes.figures(logits, logits, costs, policies.fit("max_probability"))
    assert [each["accuracy"] for each in found["exits"]] == [1.0, 0.9]
    assert found["overthinking"] == 0.1
    assert found["limits"][0]["ops"] == 100 and found["limits"][0]["accuracy"] == 1.0


def result(name: str, seed: int, first: float, ops: float) -> dict:
    exits = [{"accuracy": first, "ops": 1e6}, {"accuracy": 0.98, "ops": 3e6}]
    point = {"accuracy": 0.97, "ops": ops}
    return {
        "row": name,
        "seed": seed,
        "exits": exits,
        "balanced": point,
        "limits": [point] * 3,
        "swept_on_test": [[1e6, first], [3e6, 0.98]],
        "overthinking": 0.01,
        "processor_minutes": 9.0,
        "peak_memory_mb": 900,
    }


@pytest.mark.parametrize(
    ("boosted", "verdict"),
    [
        ((0.96, 0.97), "holds"),
        ((0.93, 0.935), "does not hold: the opposite"),
        ((0.945, 0.965), "within the spread of the seeds"),
        ((0.96,), "not measured with two seeds yet"),
    ],
)
def test_a_claim_holds_if_means_differ_by_more_than_the_seeds_do(
    boosted: tuple[float, ...],
    verdict: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(schemes, "RESULTS", tmp_path)
    for seed, accuracy in enumerate((0.945, 0.95)):
        write_json(tmp_path / "schemes" / f"joint-seed{seed}.json", result("joint", seed, accuracy, 1.5e6))
    for seed, accuracy in enumerate(boosted):
        write_json(tmp_path / "schemes" / f"boosted-seed{seed}.json", result("boosted", seed, accuracy, 1.2e6))
    assert schemes.main(["table"]) == 0
    found = read_json(tmp_path / "schemes.json")
    claims = {claim["claim"]: claim["verdict"] for claim in found["claims"] if claim["row"] == "boosted"}
    assert claims["the first exit gains about 0.7 points"] == verdict
    rows = {row["row"]: row for row in found["rows"]}
    assert rows["joint"]["exit_accuracy"][0] == {
        "mean": pytest.approx(0.9475),
        "spread": pytest.approx(0.005),
    }
    assert rows["joint"]["trecx_ops_at_0.03"]["mean"] in (1e6, 2e6, 3e6)
    assert "| boosted (BoostNet) |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("firsts", "expected"),
    [
        ((0.97, 0.975), "holds (1.000 M ops; joint: 3.000)"),  # its first exit is within a point of 98 %
        ((0.9, 0.91), "within the spread of the seeds (3.000 M ops; joint: 3.000)"),
        ((0.9, None), "not comparable: not every network reaches 97.00 %"),
    ],
)
def test_ops_are_compared_at_one_accuracy(firsts: tuple[float | None, ...], expected: str) -> None:
    found = {"joint": [result("joint", seed, 0.95, 1e6) for seed in (0, 1)], "cascade": []}
    for seed, first in enumerate(firsts):
        each = result("cascade", seed, first or 0.9, 9e6)
        if first is None:
            each["swept_on_test"] = [[1e6, 0.9], [3e6, 0.96]]
        found["cascade"].append(each)
    (claim,) = ROWS["cascade"].claims
    assert claim.figure == "equal"
    assert schemes.comparison(schemes.verdict(ROWS["cascade"], claim, found)) == expected


def test_a_wrong_row_and_a_missing_run_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert schemes.main(["train", "boostd"]) == 2
    assert "row is 'boostd', but must be one of" in capsys.readouterr().err
    with pytest.raises(ArgumentError, match=r"holds no finished run: python benchmarks/schemes.py train first"):
        schemes.measure(ROWS["joint"], 0, tmp_path, data_dir=None, command="c")
