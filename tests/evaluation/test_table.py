from types import SimpleNamespace

from bnn_exit.evaluation.table import table


def test_columns_stand_below_their_names_whatever_a_point_is_called():
    figures = {
        "accuracy": 0.5, "accuracy_drop": 0.25, "relative_cost": {"binary_macs": 0.5, "ops": 0.5},
        "time_us": SimpleNamespace(mean=1.0, p95=2.0), "exit_shares": [0.25, 0.75],
    }  # fmt: skip
    report = SimpleNamespace(
        task="toy", split="test", sample_count=4, backend="native", threads=1, skipped_files={}, exits=[],
        provenance={"machine": {"cpu": "x"}},
        operating_points={name: SimpleNamespace(**figures) for name in ("full", "stream-balanced")},
    )  # fmt: skip
    head, *rows = table(report).splitlines()[4:7]
    end = head.index("accuracy %") + len("accuracy %")
    assert [row[:end].split() for row in rows] == [["full", "50.00"], ["stream-balanced", "50.00"]]
    assert all(row[end] == " " for row in rows)
