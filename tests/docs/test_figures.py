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


def test_every_dscnn_has_a_file_as_accurate_and_faster():
    values = result("int8_peers")
    assert len(values["bars"]) == len(values["int8"]) == 3
    low, high = (float(share) for share in speed.peer_shares().split(" to "))
    assert 0 < low < high < 1
