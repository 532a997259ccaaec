"""The figures of listening: from any rows, from none, and with bars that are missed."""

import importlib.util
import re
import sys

import pytest
from doc_pages import ROOT


def load():
    if "figure_values.always_on" not in sys.modules:
        spec = importlib.util.spec_from_file_location("documentation_figures", ROOT / "docs" / "figures.py")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return sys.modules["figure_values.always_on"]


always_on = load()
PAGE = ROOT / "docs"
TABLES = ("listening", "listening_exits", "listening_short")


def row(point="balanced", **changes):
    figures = {"bound_per_hour": 0.47, "confidence": 0.95, "hours": 6.5}
    return {
        "listening_point": {"name": point, "figures": figures},
        **{"words": 200, "recall": 0.955, "recall_last_exit": 0.96, "recall_lost_by_exits": 0.005},
        "false_accepts": {"count": 2, "hours": 4.0, "per_hour": 0.5, "low": 0.06, "high": 1.81},
        **{"exit_shares": [0.875, 0.125], "relative_ops": 1.05, "delay_s": {"50": 0.1, "95": 0.24}},
        **{"spoken": 19, "spoken_hits": 17},
        "bars": [{"what": "words found", "figure": "95.5 %", "bar": ">= 97 %", "met": False}],
        **changes,
    }


@pytest.fixture
def rows(monkeypatch):
    found = {}
    monkeypatch.setattr(always_on, "measured", lambda: found)
    return found


def cells(text):
    return [re.split(r" *\| *", line)[1:-1] for line in text.strip().splitlines()[2:]]


def test_a_row_shows_its_figures(rows):
    rows["listening-arabic"] = row()
    rows["listening-arabic-quiet"] = row("quiet", spoken=0, delay_s={})
    rows["toys"] = row(listening_point={"name": "balanced", "figures": {}})
    first, second, third = cells(always_on.FIGURES["listening"](PAGE))
    assert first == [
        "[listening-arabic](../benchmarks/results/always_on.json)",
        "40 Arabic words, small, `balanced`",
        "95.5 of 200",
        "0.50 (0.06 to 1.81; 2 in 4.00 h)",
        "0.47 (95 %, 6.50 h)",
        "17 of 19",
    ]
    assert (second[1], second[5], third[1], third[4]) == (
        "40 Arabic words, small, `quiet`",
        "-",
        "toys, `balanced`",
        "-",
    )
    exits = cells(always_on.FIGURES["listening_exits"](PAGE))
    assert exits[0] == ["40 Arabic words, small, `balanced`", "87.5", "1.050", "96.0", "+0.5", "240"]
    assert exits[1][-1] == "no hits"
    short = cells(always_on.FIGURES["listening_short"](ROOT))[0]
    assert short == ["40 Arabic words, small, `balanced`", "95.5", "0.50 (0.06 to 1.81; 2 in 4.00 h)", "87.5", "240"]


def test_a_missed_bar_is_shown_as_missed(rows):
    rows["listening-english"] = row()
    first, *others = cells(always_on.FIGURES["listening_bars"](PAGE))
    assert first == ["ten English words, small, `balanced`", "words found", "95.5 %", ">= 97 %", "**missed**"]
    bars = [bar for each in always_on.result("stream_cost")["rows"] for bar in each["bars"]]
    assert [each[-1] for each in others] == ["met" if bar["met"] else "**missed**" for bar in bars]
    assert all(re.fullmatch(r"<= \d+\.\d M", each[3]) for each in others)


def test_without_a_result_the_tables_say_so_and_there_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(always_on, "RESULTS", tmp_path)
    assert always_on.measured() == {}
    for name in TABLES:
        ((first, *blanks),) = cells(always_on.FIGURES[name](PAGE))
        assert first == "not measured yet" and set(blanks) == {""}
    assert always_on.FIGURES["listening_picture"](PAGE) == "\n\n"


def test_the_picture_is_found_from_every_page(tmp_path, monkeypatch):
    monkeypatch.setattr(always_on, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/always_on.png").touch()
    shown = always_on.FIGURES["listening_picture"](tmp_path / "docs")
    assert shown == "\n\n![Words missed against false accepts an hour](../results/always_on.png)\n\n"
