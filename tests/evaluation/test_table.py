from types import SimpleNamespace

from bnn_exit.evaluation.table import table
from bnn_exit.evaluation.times import Times


def test_columns_stand_below_their_names_whatever_a_point_is_called():
    figures = {
        "accuracy": 0.5, "accuracy_drop": 0.25, "relative_cost": {"binary_macs": 0.5, "ops": 0.5},
        "time_us": Times(1, 2, 3, 4), "front_end_us": Times(5, 6, 7, 8), "whole_us": Times(6, 8, 10, 12),
        "exit_shares": [0.25, 0.75], "skipped_share": None,
    }  # fmt: skip
    report = SimpleNamespace(
        task="toy", split="test", sample_count=4, backend="native", threads=1, skipped_files={}, exits=[],
        provenance={"machine": {"cpu": "x"}}, time_of="a clip", front_end_us=Times(5, 6, 7, 8),
        operating_points={name: SimpleNamespace(**figures) for name in ("full", "stream-balanced")},
    )  # fmt: skip
    head, *rows = table(report).splitlines()[4:7]
    end = head.index("accuracy %") + len("accuracy %")
    assert [row[:end].split() for row in rows] == [["full", "50.00"], ["stream-balanced", "50.00"]]
    assert all(row[end] == " " for row in rows)


def figures(**times):
    return SimpleNamespace(
        exit_index=0, accuracy=0.5, accuracy_drop=0.0, skipped_share=None, exit_shares=[1.0],
        cost=SimpleNamespace(binary_macs=64, float_macs=1), relative_cost={"binary_macs": 0.5, "ops": 0.5},
        **{"front_end_us": None, "whole_us": None, **times},
    )  # fmt: skip


def report(exit, point, *, front_end_us):
    return SimpleNamespace(
        task="toy", split="test", sample_count=4, backend="native", threads=1, skipped_files={}, exits=[exit],
        provenance={"machine": {"cpu": "x"}}, time_of="a clip, with warm caches", front_end_us=front_end_us,
        operating_points={"exit 1": point},
    )  # fmt: skip


def test_front_end_network_and_both_stand_beside_each_other():
    alone, front_end, both = Times(10, 20, 30, 40), Times(1, 2, 3, 4), Times(11, 22.5, 33, 44)
    rows = [
        figures(time_us=alone, front_end_us=front_end, whole_us=both),
        figures(time_us=both, front_end_us=alone, whole_us=front_end),
    ]
    lines = table(report(*rows, front_end_us=front_end)).splitlines()
    start = lines.index("times in us, of a clip, with warm caches")
    assert lines[start + 1].split("  ")[-1].strip() == "front end + network"
    assert lines[start + 2].split() == ["median", "mean"] * 3 + ["p95"]
    # A point that is called like an exit has a row of its own.
    assert lines[start + 3].split()[2:] == ["2.0", "3.0", "20.0", "30.0", "22.5", "33.0", "44.0"]
    assert lines[start + 4].split()[2:] == ["20.0", "30.0", "22.5", "33.0", "2.0", "3.0", "4.0"]
    assert lines[start + 5] == ""


def test_a_report_without_the_new_times_shows_dashes():
    old = figures(time_us=Times(10, 20, 30, 40))
    lines = table(report(old, old, front_end_us=Times(1, 2, 3, 4))).splitlines()
    assert lines[-4].split() == ["exit", "1", "-", "-", "20.0", "30.0", "-", "-", "-"]


def test_a_front_end_in_the_file_is_told():
    inside = figures(time_us=Times(10, 20, 30, 40), whole_us=Times(10, 20, 30, 40))
    lines = table(report(inside, inside, front_end_us=None)).splitlines()
    assert lines[-4].split() == ["exit", "1", "-", "-", "20.0", "30.0", "20.0", "30.0", "40.0"]
    assert lines[-3] == "-: the front end is in the file, and its time in that of the network"
