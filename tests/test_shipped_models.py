"""The models that come with the package: their files, figures and, where real clips are at hand, accuracy."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import audio_tasks
import bnn_exit
from bnn_exit import pretrained
from bnn_exit.evaluation.split import measure_split
from bnn_exit.files import read_json
from bnn_exit.settings.features import FeatureConfig

ROOT = Path(__file__).parents[1]
SHIPPED = pretrained.models()
DATA = Path(os.environ.get("BNN_EXIT_TEST_DATA") or "absent")


def test_every_shipped_file_is_in_the_list() -> None:
    assert {path.stem for path in pretrained.FOLDER.glob("*.tflite")} == set(SHIPPED)
    assert all(pretrained.NAME.fullmatch(name) for name in SHIPPED)


def test_nothing_keeps_the_files_out_of_a_wheel() -> None:
    tomllib = pytest.importorskip("tomllib")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["scikit-build"]
    paths = [str(path.relative_to(ROOT)) for path in (*pretrained.FOLDER.glob("*.*"), pretrained.FOLDER / "a.tflite")]
    assert "bnn_exit" in settings["wheel"]["packages"]
    for pattern in settings["wheel"]["exclude"] + settings["sdist"]["exclude"]:
        assert not [path for path in paths if fnmatch.fnmatch(path, pattern)], pattern
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    done = subprocess.run(["git", "-C", ROOT, "check-ignore", *paths], capture_output=True, text=True)
    assert done.returncode in (1, 128), done.stdout  # none is ignored, or this is no checkout


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_says_of_itself_what_the_list_says(name: str) -> None:
    entry, session = SHIPPED[name], bnn_exit.load(name)
    metadata = session.metadata
    assert (entry.bytes, entry.labels) == (len(session.model_file.data), len(metadata.labels))
    assert (entry.task, entry.clip_samples) == (metadata.task, metadata.clip_samples)
    assert entry.features == metadata.features.to_dict()
    assert (entry.licence, entry.attribution) == (metadata.licence, metadata.attribution)
    assert [figures["ops"] for figures in entry.exits] == [cost.ops for cost in metadata.exits]
    assert set(entry.operating_points) == set(metadata.operating_points)
    notice = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    # The recordings of negatives have an entry of their own.
    assert all(part in notice for part in entry.attribution.split("; negatives: "))
    assert f"({entry.licence})" in notice
    assert set(entry.listening) == set(metadata.listening_points)
    assert bool(entry.negatives) == ("; negatives: " in entry.attribution)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_figures_of_a_shipped_file_are_those_of_a_committed_result(name: str) -> None:
    entry, result = SHIPPED[name], read_json(ROOT / SHIPPED[name].result)
    assert entry.sample_count == result["sample_counts"]["test"]
    for ours, measured in zip(entry.exits, result["exits"], strict=True):
        assert ours == {key: measured[key] for key in ours}
    for point, figures in entry.operating_points.items():
        assert figures == {key: result["operating_points"][point][key] for key in figures}
    for point, figures in entry.listening.items():
        row = read_json(ROOT / "benchmarks/results/always_on.json")["rows"][figures["row"]]
        copied = ("split", "words", "recall", "recall_last_exit", "false_accepts", "relative_ops")
        assert {key: figures[key] for key in copied} == {key: row[key] for key in copied}
        assert (figures["exit_1_share"], figures["delay_s"]) == (row["exit_shares"][0], row["delay_s"].get("95"))
        of_file = bnn_exit.load(name).metadata.listening_points[point]
        assert row["listening_point"] == of_file.to_dict() and figures["chosen"] == of_file.figures


@pytest.mark.parametrize("name", SHIPPED)
def test_the_accuracy_of_a_shipped_file_on_real_clips(name: str) -> None:
    entry, session = SHIPPED[name], bnn_exit.load(name)
    if not (DATA / entry.data).is_dir() or not (DATA / entry.negatives).is_dir():
        pytest.skip("needs BNN_EXIT_TEST_DATA, with the negatives if the model has any")
    if session.backend == "reference":
        pytest.skip("the reference backend takes too long for a whole split")
    features = FeatureConfig.from_dict(dict(entry.features))
    options = dict(entry.options, **({"negatives": DATA / entry.negatives} if entry.negatives else {}))
    task = audio_tasks.load(entry.task, data_dir=DATA / entry.data, features=features, **options)
    _, labels, report = measure_split(session, task, split=entry.split)
    assert len(labels) == entry.sample_count
    # Backends and instruction sets differ in the last bits, which may move a clip that two classes share.
    close = {"abs": 2.5 / entry.sample_count}
    for found, figures in zip(report.exits, entry.exits, strict=True):
        assert found.accuracy == pytest.approx(figures["accuracy"], **close)
    for point, figures in entry.operating_points.items():
        assert report.operating_points[point].accuracy == pytest.approx(figures["accuracy"], **close)
