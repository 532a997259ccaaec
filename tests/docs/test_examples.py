"""Every Python example of the documentation runs, from the top of its page to the bottom."""

import importlib
import inspect
import re
import shutil

import numpy as np
import pytest
from doc_pages import PAGES, ROOT, blocks, name

from bnn_exit.audio import wav

MODEL = ROOT / "bnn_exit" / "pretrained" / "arabic-speech-commands-small.tflite"
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
NEEDS = {
    "docs/guides/python.md": ("tensorflow", "espeakng_loader", "larq_compute_engine"),
    "docs/guides/sensors.md": ("tensorflow", "larq_compute_engine"),
    "docs/guides/schemes.md": ("tensorflow", "espeakng_loader", "larq"),
    "docs/guides/add-exits.md": ("tensorflow", "larq"),
    "docs/guides/device-and-server.md": ("tensorflow", "grpc"),
    "docs/reference/bnn_exit.md": ("tensorflow", "espeakng_loader", "larq_compute_engine"),
    "docs/reference/audio_tasks.md": ("espeakng_loader",),
    "docs/reference/distill.md": ("tensorflow", "espeakng_loader", "larq"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the pages take for granted: a model file and two clips."""
    rng = np.random.default_rng(0)
    shutil.copy(MODEL, tmp_path / "model.tflite")
    for clip in ("clip.wav", "other.wav"):
        wav.write(tmp_path / clip, rng.normal(0, 0.1, 16000).astype(np.float32), sample_rate_hz=16000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BNN_EXIT_CACHE", str(tmp_path / "cache"))


def run(page):
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, name(page), "exec"), names)
    return names


def test_the_pages_with_examples():
    found = {name(page) for page in WITH_PYTHON}
    assert found >= {"README.md", "docs/guides/python.md", "docs/guides/add-exits.md", "docs/guides/difficulty.md"}


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
def test_the_examples_run_in_order(page, folder, capsys):
    for package in NEEDS.get(name(page), ()):
        pytest.importorskip(package)
    run(page)
    assert capsys.readouterr().out


REFERENCES = sorted((ROOT / "docs" / "reference").glob("*.md"))


@pytest.mark.parametrize("page", [page for page in REFERENCES if "\n::: " in page.read_text()], ids=name)
def test_every_public_function_has_an_example(page):
    text = page.read_text(encoding="utf-8")
    package = importlib.import_module(page.stem)
    functions = {each for each in package.__all__ if inspect.isfunction(getattr(package, each))}
    listed = set(re.findall(rf"^::: {page.stem}\.(\w+)$", text, re.M))
    assert functions and functions <= listed
    code = "\n".join(blocks(page, "python"))
    assert [each for each in sorted(functions) if f"{page.stem}.{each}(" not in code] == []


def test_what_the_readme_prints_is_a_prediction(folder, capsys):
    run(ROOT / "README.md")
    label, probability, exit_index, score = capsys.readouterr().out.split()
    assert label and 0 < float(probability) <= 1 and int(exit_index) in (0, 1) and 0 <= float(score) <= 1


def test_what_the_python_guide_prints_comes_from_what_it_trained(folder, capsys):
    for package in NEEDS["docs/guides/python.md"]:
        pytest.importorskip(package)
    run(ROOT / "docs" / "guides" / "python.md")
    lines = capsys.readouterr().out.splitlines()
    label, probability, exit_index, score = lines[0].split()
    assert label in ("yes", "no") and 0.5 <= float(probability) <= 1 and int(exit_index) in (0, 1)
    assert 0 <= float(score) <= 1
    clips = [line.split() for line in lines[1:3]]
    assert [clip[0] for clip in clips] == ["first", "second"]
    assert all(0 <= float(clip[1]) <= 1 and clip[2] in "12" and clip[3] in ("yes", "no") for clip in clips)
    assert "arabic-speech-commands-small" in lines[3]
