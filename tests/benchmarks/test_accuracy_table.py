"""The accuracy benchmark: bars, statistics, tables and the summary of what was measured."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_exit.files import read_json, write_json

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import accuracy
import accuracy_bars
import accuracy_table
from accuracy_rows import ROWS


def result(*accuracies: float, drop: float = 0.001, ops: float = 0.25, time: float = 0.28, size: int = 140_000) -> dict:
    """A measured row of a binary network with these exits of 2400 clips; `size` 0 is a network without a file."""
    count = len(accuracies)
    exits = [
        {
            "exit_index": k,
            "accuracy": value,
            "ops": 1e6 * (k + 1),
            "relative_ops": (k + 1) / count,
            "time_us": {"native": 50.0 * (k + 1), "lce": 1000.0 * (k + 1)},
        }
        for k, value in enumerate(accuracies)
    ]
    point = {
        "accuracy": accuracies[-1] - drop,
        "drop": drop,
        "exit_shares": [1.0] + [0.0] * (count - 1),
        "mean_cost": {"ops": 1e6 * ops * count},
        "relative_cost": {"binary_macs": ops / 2, "ops": ops},
        "relative_time": {"native": time, "lce": time / 2},
    }
    found = {"seed": 0, "sample_counts": {"test": 2400}, "exits": exits}
    if not size:
        for figures in exits:
            del figures["time_us"]
        return found
    return found | {"file": {"bytes": size}, "operating_points": {"balanced": point}}


def with_front_end(found: dict) -> dict:
    """The result with a front end of 40 us before each network."""
    for figures in found["exits"]:
        figures["whole_us"] = {backend: 40 + taken for backend, taken in figures["time_us"].items()}
    found["operating_points"]["balanced"]["relative_whole_time"] = {"native": 0.444, "lce": 0.5}
    return found | {"front_end_us": 40.2}


def bar(judged: list[dict], what: str) -> dict:
    (found,) = (entry for entry in judged if entry["what"] == what)
    return found


def test_a_bar_is_met_at_its_limit_and_missed_beyond() -> None:
    best = "words, best: accuracy of the final exit"
    drop = "words, best: `balanced` below the final exit"
    at = accuracy_bars.judge({"words-large": result(0.96, 0.99, drop=0.993 - 0.990)})
    assert 0.993 - 0.990 > 0.003  # the rounding of floats
    assert bar(at, best) == {
        **{"what": best, "rows": ["words-large"], "bar": ">= 99.00 %", "figure": "99.00 %", "met": True}
    }
    assert (bar(at, drop)["met"], bar(at, drop)["figure"]) == (True, "0.30 pp")
    beyond = accuracy_bars.judge({"words-large": result(0.96, 0.98999, drop=0.0031, size=500_100)})
    assert [bar(beyond, name)["met"] for name in (best, drop, "words, best: file")] == [False] * 3
    assert bar(beyond, "words, best: file")["figure"] == "500.1 KB"
    lines = accuracy_bars.lines(beyond)
    assert "- MISSED: words, best: `balanced` below the final exit: 0.31 pp (bar: <= 0.30 pp)" in lines
    assert "- met: words, best: mean time of `balanced`: 28.00 % (bar: <= 30.00 %)" in lines
    assert "- not measured: words, small: file (bar: <= 150.0 KB)" in lines


def test_bars_over_rows_need_all_of_them() -> None:
    def verdict(results: dict, what: str) -> tuple:
        found = bar(accuracy_bars.judge(results), what)
        return found["figure"], found["met"]

    folds = {f"esc10-fold{k}": result(0.5, value) for k, value in enumerate((0.9, 0.85, 0.8, 0.95, 0.9), 1)}
    assert verdict(folds, "ESC-10: mean accuracy of five folds") == ("88.00 %", True)
    del folds["esc10-fold4"]
    assert verdict(folds, "ESC-10: mean accuracy of five folds") == (None, None)
    twins = {"words-large": result(0.97, 0.990), "words-float": result(0.97, 0.994, size=0)}
    assert verdict(twins, "words: full-precision twin above the binary network") == ("0.40 pp", False)
    exits = {"words-large": result(0.96, 0.98, 0.99, 0.99)}
    assert verdict(exits, "words, best: accuracy of exit 1") == ("96.00 %", True)
    assert verdict(exits, "words, best: ops of exit 1") == ("25.00 %", True)
    assert verdict(exits, "words, best: time of exit 1") == ("25.00 %", True)


def test_a_line_of_a_table() -> None:
    row = ROWS["words-small"]
    start = "| QuickNet small | 91.23 / 98.00 | 1.00 / 2.00 | 140 | 97.90 | 0.10 | 25.0 | 28.0 |"
    found = with_front_end(result(0.91234, 0.98))
    assert accuracy_table.line(row, found) == (f"{start} 44.4 | 40 | 50 / 100 | 90 / 140 | 1000 / 2000 | 1040 / 2040 |")
    # A result of an earlier version has the network alone.
    assert accuracy_table.line(row, result(0.91234, 0.98)) == f"{start} - | - | 50 / 100 | - | 1000 / 2000 | - |"
    without = accuracy_table.line(row, result(0.99, size=0))
    assert without == f"| QuickNet small | 99.00 | 1.00 |{' - |' * 11}"
    assert {line.count("|") for line in (*accuracy_table.HEAD, without)} == {15}


def test_the_summary_keeps_the_share_with_the_front_end_where_it_is_known() -> None:
    old, new = result(0.9, 0.98), with_front_end(result(0.9, 0.98))
    rows = accuracy_table.summary({"words-small": new, "words-large": old})["groups"]
    assert rows["small"]["rows"]["words-small"]["operating_points"]["balanced"]["relative_whole_time"] == {
        "native": 0.444, "lce": 0.5
    }  # fmt: skip
    assert "relative_whole_time" not in rows["best"]["rows"]["words-large"]["operating_points"]["balanced"]


def test_the_tables_have_means_the_gap_and_what_is_not_measured() -> None:
    values = np.array([[0.5, 0.9], [0.6, 0.85], [0.7, 0.8], [0.8, 0.95], [0.9, 0.9]])
    results = {f"esc10-fold{k + 1}": result(*value) for k, value in enumerate(values)}
    results |= {"words-large": result(0.97, 0.990), "words-float": result(0.97, 0.992, size=0)}
    found = accuracy_table.statistics_of("esc10", results)
    assert found["mean"] == pytest.approx(values.mean(axis=0))
    assert found["deviation"] == pytest.approx(values.std(axis=0, ddof=1))
    text = accuracy_table.markdown(results)
    assert "| **mean ± standard deviation of 5** | 70.00 ± 15.81 / 88.00 ± 5.70 |" in text
    assert "| **gap, pp** | 0.20 |" in text
    assert "| QuickNet small | not measured |" in text
    assert (
        "not measured: `python benchmarks/accuracy.py train words-small --data-dir DIR && "
        "python benchmarks/accuracy.py measure words-small --data-dir DIR`"
    ) in text
    assert "fold 1 | not measured" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {15}
    del results["esc10-fold5"]
    assert accuracy_table.statistics_of("esc10", results) == {}


def test_the_summary_and_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    write_json(tmp_path / "accuracy/words-large.json", result(0.97, 0.98))
    assert accuracy.main(["table"]) == 1  # a bar is missed
    assert "- MISSED: words, best: accuracy of the final exit: 98.00 %" in capsys.readouterr().out
    summary = read_json(tmp_path / "accuracy.json")
    assert list(summary["groups"]["best"]["rows"]) == ["words-large"]
    assert summary["groups"]["best"]["rows"]["words-large"]["result"] == "accuracy/words-large.json"
    assert summary["groups"]["small"] == {**summary["groups"]["small"], "rows": {}, "not_measured": ["words-small"]}
    assert (tmp_path / "accuracy.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    write_json(tmp_path / "accuracy/words-large.json", result(0.96, 0.98, 0.99, 0.99))
    assert accuracy.main(["table"]) == 0  # what is not measured is not missed
