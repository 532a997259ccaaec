"""The figures of README.md and docs/ are those of the result files, and the sentences about them hold."""

import importlib.util
import json
import re
import sys

import numpy as np
import pytest
from doc_pages import ROOT

from bnn_exit.calibration.operating_points import STANDARD_ERRORS

RESULTS = ROOT / "benchmarks" / "results"


def load():
    spec = importlib.util.spec_from_file_location("documentation_figures", ROOT / "docs" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures = load()
accuracy, calibration, speed = (sys.modules[f"figure_values.{name}"] for name in ("accuracy", "calibration", "speed"))
result = sys.modules["figure_values.common"].result


def marked():
    return [found for page in figures.pages() for found in figures.MARKED.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", figures.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_writing_the_figures_anew_changes_nothing(page):
    text = page.read_text(encoding="utf-8")
    assert figures.renewed(page, text) == text
    assert text.count("<!-- figures:") == len(figures.MARKED.findall(text)) == text.count("<!-- end -->")


def test_a_stale_figure_is_found_and_mended(tmp_path, monkeypatch, capsys):
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("It takes <!-- figures: call_us -->9.9 us<!-- end --> more.\n")
    (tmp_path / "README.md").write_text("Nothing.\n")
    monkeypatch.setattr(figures, "HERE", page.parent)
    assert figures.main(["--check"]) == 1 and "9.9 us" in page.read_text()
    assert figures.main([]) == 0
    expected = f"{result('native_calls')['backend_run_adds_us']:.1f} us"
    assert page.read_text() == f"It takes <!-- figures: call_us -->{expected}<!-- end --> more.\n"
    assert figures.main(["--check"]) == 0
    assert capsys.readouterr().out.splitlines() == ["docs/page.md: out of date", "docs/page.md: written"]


def test_an_unknown_figure_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"page\.md asks for the figure 'speed_of_light'"):
        figures.renewed(tmp_path / "page.md", "<!-- figures: speed_of_light --><!-- end -->")


def test_every_figure_is_shown_somewhere():
    assert {name for name, _ in marked()} == set(figures.FIGURES)


def test_every_figure_is_a_number_or_a_table():
    for name, text in marked():
        if name.endswith("_picture"):
            assert re.fullmatch(r"\n\n(!\[[^]]+\]\(\S+\)\n\n)?", text)
            continue
        assert re.search(r"\d|not measured yet", text), name
        assert text.startswith("\n\n| ") == text.endswith(" |\n\n") == ("|" in text), name


def test_every_measured_file_for_words_has_a_row():
    files = {
        path.stem for path in (RESULTS / "accuracy").glob("words-*.json") if "file" in json.loads(path.read_text())
    }
    assert accuracy.NETWORKS.keys() | accuracy.CHOICES.keys() == files > {"words-small", "words-large"}


def test_a_row_of_accuracy_is_that_of_its_file():
    values = json.loads((RESULTS / "accuracy" / "words-small.json").read_text(encoding="utf-8"))
    first, last = values["exits"]
    balanced = values["operating_points"]["balanced"]
    assert accuracy.row("words-small") == [
        f"{100 * first['accuracy']:.2f} / {100 * last['accuracy']:.2f}",
        f"{100 * balanced['accuracy']:.2f}",
        f"{balanced['mean_cost']['ops'] / 1e6:.2f}",
        f"{100 * balanced['relative_cost']['ops']:.1f}",
        f"{100 * balanced['relative_time']['native']:.1f}",
        f"{values['file']['bytes'] / 1000:.0f}",
    ]


def test_the_large_networks_are_level_on_test():
    order = list(accuracy.large_on_validation())
    assert len(order) == 5 and order[:2] == ["words-best", "words-large-labels"]
    last = [result(f"accuracy/{name}")["exits"][-1] for name in order]
    assert np.ptp([each["accuracy"] for each in last]) < 3 * np.sqrt(0.01 * 0.99 / last[0]["total"])
    assert len(accuracy.large_balanced()) == 3


def test_the_margin_is_the_smallest_that_keeps_enough_limits():
    found = result("threshold_margin")
    assert found["smallest_margin"] == found["margin_of_the_package"] == STANDARD_ERRORS
    kept = {row["margin"]: row["share"] for row in found["margins"]}
    assert kept[STANDARD_ERRORS] >= found["share_to_keep"] > kept[3]


def test_a_guarantee_breaks_no_more_often_than_it_may():
    (bar,) = result("guarantee")["bars"]
    assert bar["reached"] and {row["run"] for row in result("guarantee")["rows"]} >= set(calibration.SEEDS)


def test_policies_are_compared_on_the_networks_of_the_guarantee():
    values = result("policies")
    assert [network["run"] for network in values["networks"]] == list(calibration.SEEDS)
    assert set(values["networks"][0]["policies"]) >= set(calibration.POLICIES)
    assert values["default"] == "margin"


@pytest.mark.parametrize("network", speed.PLAIN)
def test_lce_is_shown_at_its_best(network):
    times = result("network_speed")["plain_graphs"][network]["contestants"]
    best = times[speed.LCE_FASTEST]["median_us"]
    assert all(best <= each["median_us"] for name, each in times.items() if name.startswith("lce"))


def test_the_path_to_exit_1_on_arm_is_shown_with_its_bar_and_its_parts(monkeypatch):
    parts = [{"part": "front end", "instructions": 700_000}, {"part": "stem", "instructions": 1_000_000}]
    made = {"bars": [{"figure": 1.7e6, "bar": 1.6e6, "met": False}], "rows": [{"parts": parts}, {"parts": []}]}
    monkeypatch.setattr(speed, "result", lambda name: {"arm_path": made}[name])
    assert speed.arm_exit_1() == "1.70 (bar 1.6, missed), of which front end 0.70; stem 1.00"


def test_no_label_and_no_exit_differs_from_lces():
    assert [row["labels_differ"] + row["exits_differ"] for row in result("agreement")["rows"]] == [0, 0]


@pytest.mark.parametrize("name", ["difficulty", "difficulty_scale", "int8_peers", "native_calls"])
def test_the_bars_are_met(name):
    assert result(name)["bars"] and all(bar["met"] for bar in result(name)["bars"])


def test_the_pair_and_the_scale_of_difficulty_are_what_the_guide_says():
    (pair,) = result("difficulty")["pairs_of_networks"]
    assert pair["two_seeds_of_one_training"] and result("difficulty_scale")["rows"][-1]["clips"] == 100_000
    for network in calibration.SEEDS:
        assert result("difficulty")["networks"][network]["test"]["changed_labels"]["changed"] == 48


def cells(text):
    """The rows of a table, each as its cells."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()]


def peers_result(*, whole):
    """A result file of int8_peers.py, of today or of an earlier version."""

    def entry(start, *settings):
        times = {
            "network": {"mean": start},
            **({"front_end": {"mean": 30.5}, "whole": {"mean": 31 + start}} if whole else {}),
        }
        figures = {name: {"accuracy": 0.98, **times} for name in settings}
        return {"bytes": 400_000, "front_end": {"native": {"mean": 29.25}}, "settings": figures}

    of_side = {"ours": {}, "int8": {}}
    for _, side, network, setting in speed.PEERS:
        known = of_side[side].get(network, {"settings": {}})["settings"]
        of_side[side][network] = entry(40.0, *known, setting)
    bars = [{"figure": "60.0 us, run first, 0.42 of the time"}, {"figure": "70.0 us, run last, 0.90 of the time"}]
    more = {"whole_path": [{"figure": "80.0 us, run last, 1.05 of the time"}, *bars[:1]]} if whole else {}
    return {**of_side, "bars": bars, **more}


def test_front_end_and_network_stand_beside_their_sum_once_they_are_measured(monkeypatch):
    monkeypatch.setattr(speed, "result", lambda name: peers_result(whole=True))
    head, _, *rows = cells(speed.peers())
    assert head[3:] == ["front end, mean us", "network, mean us", "both, mean us"]
    assert len(rows) == len(speed.PEERS) and {tuple(row[3:]) for row in rows} == {("30.5", "40.0", "71.0")}
    assert (speed.peer_shares(), speed.peer_shares("whole_path")) == ("0.42 to 0.90", "0.42 to 1.05")
    assert speed.front_ends() == "30 to 30 us"

    monkeypatch.setattr(speed, "result", lambda name: peers_result(whole=False))
    head, _, *rows = cells(speed.peers())
    assert head[3:] == ["front end, mean us", "network, mean us"]
    assert {tuple(row[3:]) for row in rows} == {("29.2", "40.0")}
    assert (speed.peer_shares(), speed.peer_shares("whole_path")) == ("0.42 to 0.90", "not measured yet")


@pytest.mark.parametrize("whole", [True, False])
def test_networks_have_rows_for_the_front_end_once_it_is_measured(monkeypatch, whole):
    def times(start):
        found = {"median_us": start, "mean_us": start + 1}
        parts = {
            "front_end": {"median_us": 30, "mean_us": 31},
            "whole": {"median_us": 30 + start, "mean_us": 32 + start},
        }
        return {**found, **(parts if whole else {})}

    contestants = {name: times(10.0 * k) for k, name in enumerate([*speed.ISAS, speed.LCE_FASTEST, "lce default"], 1)}
    made = {
        "plain_graphs": {name: {"contestants": contestants} for name in speed.PLAIN},
        "adaptive_file": dict.fromkeys(speed.ADAPTIVE, contestants),
    }
    monkeypatch.setattr(speed, "result", lambda name: made)
    rows = cells(speed.networks())[2:]
    titles = [*speed.PLAIN.values(), *speed.ADAPTIVE.values()]
    assert rows[0] == [titles[0], "10.0", "20.0", "30.0", "40.0"]
    assert [row[0] for row in rows if not row[0].startswith("- ")] == titles
    assert len(rows) == (3 if whole else 1) * len(titles)
    if whole:
        assert rows[1] == ["- its front end", "30.0", "30.0", "30.0", "30.0"]
        assert rows[2] == ["- front end + network", "40.0", "50.0", "60.0", "70.0"]
        assert rows[-1] == ["- front end + network", "42.0", "52.0", "62.0", "82.0"]

    contestants["avx2"]["times_bound"] = 1.9
    bounded = cells(speed.networks())[2:]
    assert ["- network, as a multiple of the bound", "", "1.90", "", ""] in bounded
    assert len(bounded) == len(rows) + len(titles)


def test_accuracy_rows_have_the_share_of_the_whole_time_once_all_are_measured(monkeypatch):
    def measured(name):
        values = json.loads(json.dumps(result(name)))
        for figures in values["exits"]:
            figures["whole_us"] = {runtime: 30 + taken for runtime, taken in figures["time_us"].items()}
        values["operating_points"]["balanced"]["relative_whole_time"] = {"native": 0.625}
        return values | {"front_end_us": 30.4}

    monkeypatch.setattr(accuracy, "result", measured)
    head, _, row, *_ = cells(accuracy.networks(ROOT / "docs", accuracy.CHOICES, "network"))
    assert head[-3:] == ["its network time, %", "with the front end, %", "file KB"] and row[-2] == "62.5"
    head, _, row, *_ = cells(accuracy.backbones())
    assert head[2:] == ["front end us", "network us of each exit, native", "front end + network us, native",
                        "network us of each exit, LCE", "front end + network us, LCE"]  # fmt: skip
    native = [figures["time_us"]["native"] for figures in result("accuracy/words-quicknet")["exits"]]
    assert row[2:5] == ["30", " / ".join(f"{us:.0f}" for us in native), " / ".join(f"{us + 30:.0f}" for us in native)]

    # One row of an earlier version: a column with gaps would compare what was not measured alike.
    monkeypatch.setattr(accuracy, "result", lambda name: result(name) if name.endswith("densenet") else measured(name))
    head, *_ = cells(accuracy.networks(ROOT / "docs", accuracy.CHOICES, "network"))
    assert "with the front end, %" not in head
    assert "front end us" not in cells(accuracy.backbones())[0]


def test_every_dscnn_has_a_file_as_accurate_and_faster():
    values = result("int8_peers")
    assert len(values["bars"]) == len(values["int8"]) == 3
    low, high = (float(share) for share in speed.peer_shares().split(" to "))
    assert 0 < low < high < 1


def test_a_path_on_arm_has_the_counts_and_cycles_of_each_core(monkeypatch):
    cycles = {"cortex-a53": 3e6, "cortex-a72": 2e6}
    own = {"model": "a", "exit": 1, "exits": 2, "instructions": 1234000, "cycles": cycles}
    peers = [
        {"peer": "P", "emulator": core, "instructions": count, "cycles": {core: cycles[core]}}
        for core, count in (("cortex-a53", 5e5), ("cortex-a72", 7e5))
    ]
    made = {"models_of_cores": cycles, "rows": [own, own | {"model": "b"}], "peers": peers}
    monkeypatch.setattr(speed, "result", lambda name: made)
    head, *rows = cells(speed.arm_paths())
    assert head[1:] == ["Cortex-A53", "Cortex-A72"]
    assert rows[1:] == [
        ["bnn_exit, exit 1 of 2", "1.23 / 3.00", "1.23 / 2.00"],
        ["P", "0.50 / 3.00", "0.70 / 2.00"],
    ]
