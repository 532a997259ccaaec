"""Every example of the README works, and every figure in it is in a committed result."""

import argparse
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from audio_tasks import TASKS
from bnn_exit.calibration.operating_points import STANDARD_ERRORS
from bnn_exit.commands import bench, evaluate, predict, train
from bnn_exit.commands import calibrate as calibrate_command
from bnn_exit.commands import difficulty as difficulty_command
from bnn_exit.commands import export as export_command
from bnn_exit.commands import models as models_command
from bnn_exit.commands import report as report_command
from distill import train_teacher

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PARSERS = {
    "bench": bench.parser,
    "difficulty": difficulty_command.parser,
    "train": train.parser,
    "distill.train_teacher": train_teacher.parser,
    "calibrate": calibrate_command.parser,
    "evaluate": evaluate.parser,
    "predict": predict.parser,
    "export": export_command.parser,
    "models": models_command.parser,
    "report": report_command.parser,
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands():
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    inline = re.findall(r"`(python -m [^`]+)`", TEXT)
    return sorted(
        {line for line in [*lines, *inline] if line.startswith(("python -m bnn_exit.", "python -m distill."))}
    )


def test_the_python_examples_run_in_order(tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BNN_EXIT_CACHE", str(tmp_path / "cache"))
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    label, probability, exit_index, score = lines[0].split()
    assert label in ("yes", "no") and 0.5 <= float(probability) <= 1 and int(exit_index) in (0, 1)
    assert 0 <= float(score) <= 1
    clips = [line.split() for line in lines[1:]]
    assert [clip[0] for clip in clips] == ["first", "second"]
    assert all(0 <= float(clip[1]) <= 1 and clip[2] in "12" and clip[3] in ("yes", "no") for clip in clips)


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_that_its_parser_takes(command):
    words = shlex.split(command)[2:]
    arguments = PARSERS[words[0].removeprefix("bnn_exit.")]().parse_args(words[1:])
    assert isinstance(arguments, argparse.Namespace)


def test_every_task_is_described():
    table = TEXT[TEXT.index("| task | what |") : TEXT.index("Sizes are")]
    assert {name for name in re.findall(r"`(\w+)`", table) if name in TASKS} == set(TASKS)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands_are_targets(target):
    assert re.search(rf"^make {target} ", TEXT, flags=re.MULTILINE)
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def trained_rows():
    pattern = r"^\| \[([\w-]+)\]\(benchmarks/results/accuracy/[\w-]+\.json\) \|(.*)\|$"
    return re.findall(pattern, TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "cells"), trained_rows())
def test_every_trained_row_is_a_committed_result(name, cells):
    path = ROOT / "benchmarks" / "results" / "accuracy" / f"{name}.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    balanced = values["operating_points"]["balanced"]
    expected = [
        *(f"{100 * figures['accuracy']:.2f}" for figures in values["exits"]),
        f"{100 * balanced['accuracy']:.2f}",
        f"{balanced['mean_cost']['ops'] / 1e6:.2f}",
        f"{100 * balanced['relative_cost']['ops']:.1f}",
        f"{100 * balanced['relative_time']['native']:.1f}",
        f"{values['file']['bytes'] / 1000:.0f}",
    ]
    assert re.findall(r"\d+(?:\.\d+)?", cells.split("|", 1)[1]) == expected


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("QuickNet", "quicknet"),
        ("Bi-Real Net", "birealnet"),
        ("Real-to-Binary Net", "real-to-binary"),
        ("BinaryDenseNet", "binary-densenet"),
    ],
)
def test_what_a_backbone_costs_is_that_of_the_result(backbone, name):
    exits = result(f"accuracy/words-{name}")["exits"]
    times = (" / ".join(f"{figures['time_us'][runtime]:.0f}" for figures in exits) for runtime in ("native", "lce"))
    assert cells(backbone) == [" / ".join(f"{figures['ops'] / 1e6:.2f}" for figures in exits), *times]


def test_the_means_over_trainings_are_those_of_the_summary():
    groups = result("accuracy")["groups"]
    for group in ("best", "seeds"):
        spread = zip(groups[group]["mean"], groups[group]["deviation"], strict=True)
        sentence = " / ".join(f"{100 * mean:.2f} ± {100 * each:.2f}" for mean, each in spread) + " %"
        assert sentence in " ".join(TEXT.split())


def test_what_balanced_changes_in_the_trainings_of_large_is_that_of_the_results():
    rows = result("accuracy")["groups"]["best"]["rows"].values()
    points = [row["operating_points"]["balanced"] for row in rows]
    changes = [f"{-100 * point['drop']:+.2f}" for point in points]
    ops = [f"{100 * point['relative_cost']['ops']:.1f}" for point in points]
    assert len(points) == 3
    sentence = "`balanced` changes that of the last exit by {}, {} and {} points, at {}, {} and {} % of the ops"
    assert sentence.format(*changes, *ops) in " ".join(TEXT.split())


def test_which_large_network_validation_puts_first_is_that_of_the_results():
    groups = result("accuracy")["groups"]
    rows = [result(f"accuracy/{name}") for group in ("best", "longer") for name in groups[group]["rows"]]
    validation = {row["row"]: 100 * np.mean(row["training"]["steps"][-1]["best_validation_accuracy"]) for row in rows}
    first, second, *others = sorted(validation, key=validation.get, reverse=True)
    low, high = validation[others[-1]], validation[others[0]]
    sentence = (
        f"puts {first} first ({validation[first]:.2f} %; {second} {validation[second]:.2f} %, the others {low:.2f} to "
        f"{high:.2f} %); on test the five are level at the last exit"
    )
    assert sentence in " ".join(TEXT.split()) and len(others) == 3
    last = [row["exits"][-1] for row in rows]
    assert np.ptp([figures["accuracy"] for figures in last]) < 3 * np.sqrt(0.01 * 0.99 / last[0]["total"])


def test_what_margins_keep_is_that_of_the_result():
    found = result("threshold_margin")
    start = TEXT.index("| margin, standard errors |")
    rows = TEXT[start:].split("\n\n")[0].splitlines()[2:]
    assert len(rows) == len(found["margins"])
    for line, row in zip(rows, found["margins"], strict=True):
        name, *figures = (cell.strip() for cell in line.strip("|").split("|"))
        default = " (default)" if row["margin"] == STANDARD_ERRORS else ""
        assert name == f"{row['margin']:g}{default}"
        assert figures == [f"{100 * value:.1f}" for value in (row["share"], *row["mean_relative_ops"].values())]
    assert f"a margin of {STANDARD_ERRORS:g} standard errors of the loss" in " ".join(TEXT.split())
    assert found["smallest_margin"] == STANDARD_ERRORS and len(found["networks"]) == 15


def test_every_measured_file_for_words_has_a_row():
    results = (ROOT / "benchmarks" / "results" / "accuracy").glob("words-*.json")
    files = {path.stem for path in results if "file" in json.loads(path.read_text(encoding="utf-8"))}
    assert {name for name, _ in trained_rows()} == files > {"words-small", "words-large"}


def test_the_figures_of_networks_without_a_file_are_those_of_the_results():
    for name in ("words-teacher", "words-float"):
        values = json.loads((ROOT / "benchmarks" / "results" / "accuracy" / f"{name}.json").read_text(encoding="utf-8"))
        assert f"{100 * values['exits'][-1]['accuracy']:.2f} % ([{name}]" in " ".join(TEXT.split())


def test_the_mean_over_folds_is_that_of_the_summary():
    found = result("accuracy")["groups"]["esc10"]
    mean, deviation = found["mean"][-1], found["deviation"][-1]
    each = ", ".join(f"{100 * fold['exits'][-1]['accuracy']:.2f}" for fold in found["rows"].values())
    assert f"{100 * mean:.2f} ± {100 * deviation:.2f} % ({each})" in " ".join(TEXT.split())


def result(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def cells(start):
    """The cells of the row of a table that starts like this."""
    (row,) = re.findall(rf"^\| {re.escape(start)} \|(.*)\|$", TEXT, flags=re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


SEEDS = ("words-standard-seed0", "words-standard-seed1")


@pytest.mark.parametrize("network", SEEDS)
def test_what_a_promise_costs_is_that_of_the_result(network):
    values = result("guarantee")
    chosen = {"run": network, "path": "rising", "p_value": "binomial_or_exact", "drawn": "with replacement"}
    rows = [row for row in values["rows"] if chosen.items() <= row.items()]
    assert cells(f"{network}, promise") == [f"{100 * row['mean_cost']:.1f}" for row in rows]
    assert f"broken in at most\n{100 * values['bars'][0]['value']:.1f} %" in TEXT and values["bars"][0]["reached"]


@pytest.mark.parametrize(
    "name", ["margin", "max_probability", "entropy", "scaled_margin", "ensemble", "patience", "class_means"]
)
def test_what_policies_cost_is_that_of_the_result(name):
    values = result("policies")
    assert [network["run"] for network in values["networks"]] == list(SEEDS)
    costs = [[point["relative_ops"] for point in network["policies"][name][:5]] for network in values["networks"]]
    row = f"`{name}`" + (" (default)" if name == values["default"] else "")
    assert cells(row) == [f"{50 * (one + other):.1f}" for one, other in zip(*costs, strict=True)]


ISAS = ("avx512_vpopcnt", "avx2", "scalar")


@pytest.mark.parametrize(
    ("row", "network", "better"),
    [
        ("QuickNet `base` without exits, median", "quicknet base", "lce indirect, xnnpack"),
        ("residual network of 170 M binary MACs, median", "residual, random weights", "lce indirect, xnnpack"),
    ],
)
def test_the_times_of_whole_networks_are_those_of_the_result(row, network, better):
    contestants = result("network_speed")["plain_graphs"][network]["contestants"]
    assert cells(row) == [f"{contestants[name]['median_us']:.1f}" for name in (*ISAS, better)]
    assert all(contestants[better]["median_us"] <= times["median_us"] for name, times in contestants.items()
               if name.startswith("lce"))  # fmt: skip


@pytest.mark.parametrize(
    ("row", "setting"),
    [
        ("the words file, mean at `balanced`", "balanced"),
        ("the same file, every clip to the last exit, mean", "exit 3 of 3 forced"),
    ],
)
def test_the_times_of_the_file_with_exits_are_those_of_the_result(row, setting):
    times = result("network_speed")["adaptive_file"][setting]
    assert cells(row) == [f"{times[name]['mean_us']:.1f}" for name in (*ISAS, "lce default")]


def test_the_rest_of_the_speed_is_that_of_the_results():
    for bar in result("native_calls")["bars"]:
        if "addition" not in bar["what"]:
            assert f" {bar['figure']:.1f} us" in TEXT, bar
    memory = result("memory")
    python, example = memory["python_stages_mb"]["run"], memory["c_example_mb"]
    assert f"takes {python:.0f} MB, the C example\n{example:.0f} MB" in TEXT
    assert [row["labels_differ"] + row["exits_differ"] for row in result("agreement")["rows"]] == [0, 0]
    layers = result("aarch64_model")["instructions_per_layer"]
    shares = [layer[output]["of_lce_best"] for layer in layers for output in ("bitpacked", "float")]
    assert f"{min(shares):.2f} to {max(shares):.2f} of its instructions" in TEXT
    for core, loop in result("aarch64_model")["inner_loop"]["macs_per_cycle"].items():
        assert f"{loop['times_lce']['128 channels and more']:.2f} on {core.title().replace('n1', 'N1')}" in TEXT


def test_what_becomes_of_quiet_clips_is_that_of_the_result():
    rows, paragraph = (
        result("levels")["rows"],
        TEXT[TEXT.index("\nNetworks do not recognise") : TEXT.index("\n### Recipes")],
    )
    figures = [("shipped", "0", -1), ("shipped", "-30", -1)]
    figures += [
        (f"{row}{seed}", *figure)
        for row in ("usual", "attenuated", "normalised")
        for seed in ("", "-seed1")
        for figure in (("0", -1), ("-30", -1), ("0", 0))
    ]
    for row, gain_db, exit_index in figures:
        assert f"{100 * rows[row]['accuracy_by_gain_db'][gain_db][exit_index]:.2f}" in paragraph, (row, gain_db)


@pytest.mark.parametrize("network", SEEDS)
def test_the_figures_of_difficulty_are_those_of_the_result(network):
    figures = result("difficulty")["networks"][network]["test"]
    within, pooled, changed = (figures[name] for name in ("spearman_within_clips", "spearman_pooled", "changed_labels"))
    right = round(changed["recall"] * changed["changed"])
    expected = [f"{figures['auroc_of_errors']:.3f}"]
    expected += [f"{each['white']:.2f}, {each['background']:.2f}" for each in (within, pooled)]
    assert cells(network) == [*expected, f"{right} / {changed['found'] - right}"] and changed["changed"] == 48


def test_the_other_figures_of_difficulty_are_those_of_the_results():
    (pair,) = result("difficulty")["pairs_of_networks"]
    assert f"(Spearman {pair['spearman']:.2f})" in TEXT and pair["two_seeds_of_one_training"]
    row = result("difficulty_scale")["rows"][-1]
    assert row["clips"] == 100_000
    assert f"100,000 take {row['peak_mb']:.0f} MB and {row['cpu_seconds']:.0f} seconds of one core" in TEXT
    for name in ("difficulty", "difficulty_scale"):
        assert all(bar["met"] for bar in result(name)["bars"])


@pytest.mark.parametrize(
    ("row", "side", "network", "setting"),
    [
        ("ours, words, every clip at exit 1", "ours", "words-standard-seed0", "exit 1"),
        ("ours, words, `balanced`", "ours", "words-standard-seed0", "balanced"),
        ("ours, words, `accurate`", "ours", "words-standard-seed0", "accurate"),
        ("ours, words, `large`, `balanced`", "ours", "words-large", "balanced"),
        ("ours, coarser features (49 x 40), `balanced`", "ours", "words-49x40", "balanced"),
        ("ours, the same, every clip at exit 2", "ours", "words-49x40", "exit 2"),
        ("int8 DS-CNN S", "int8", "ds-cnn-S-mel10", "LiteRT"),
        ("int8 DS-CNN M", "int8", "ds-cnn-M-mel10", "LiteRT"),
        ("int8 DS-CNN L", "int8", "ds-cnn-L-mel10", "LiteRT"),
    ],
)
def test_the_comparison_with_int8_is_that_of_the_result(row, side, network, setting):
    file = result("int8_peers")[side][network]
    figures = file["settings"][setting]
    expected = [file["bytes"] / 1000, 100 * figures["accuracy"], figures["network"]["mean"]]
    assert cells(row) == [f"{expected[0]:.0f}", f"{expected[1]:.2f}", f"{expected[2]:.1f}"]


def test_the_shares_of_the_time_of_int8_networks_are_those_of_the_result():
    bars = result("int8_peers")["bars"]
    assert all(bar["met"] for bar in bars)
    shares = [float(re.search(r"(\d\.\d+) of the time", bar["figure"])[1]) for bar in bars]
    assert f"in {min(shares):.2f} to {max(shares):.2f} of the time" in " ".join(TEXT.split())
    networks = [*result("int8_peers")["ours"].values(), *result("int8_peers")["int8"].values()]
    times = [network["front_end"]["native"]["mean"] for network in networks]
    assert f"the front ends, {min(times):.0f} to {max(times):.0f} us, are" in " ".join(TEXT.split())


def test_the_figures_of_the_report_are_a_committed_result():
    found = result("report_page")
    size, seconds = found["bytes"] / 1e6, found["load_ms"]["median"] / 1000
    sentence = f"With {found['clips']:,} clips it takes {size:.1f} MB and opens in {seconds:.1f} s"
    assert sentence in " ".join(TEXT.split())
