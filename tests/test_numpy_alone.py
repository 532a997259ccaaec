"""Every command where nothing but NumPy is installed: it works, or says in one line what it needs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_exit.audio import wav

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bnn_exit", "audio_tasks", "distill")
MODEL = "arabic-speech-commands-small"
TYPICAL = {
    "bnn_exit.bench": [[MODEL, "--clips", "2"], [MODEL, "words/yes/0.wav", "--json"]],
    "bnn_exit.calibrate": [["run"], ["run", "--max-accuracy-drop", "0.01", "--confidence", "0.95"]],
    "bnn_exit.difficulty": [[MODEL, "words"], [MODEL, "words", "--csv", "d.csv", "--html", "d.html"]],
    "bnn_exit.evaluate": [[MODEL, "--data-dir", "."], ["run"]],
    "bnn_exit.export": [["run"], ["run", "--out", "model.tflite"]],
    "bnn_exit.listen": [
        ["--list-devices"],
        [MODEL, "--windows"],
        [MODEL, "words/yes/0.wav", "--windows", "--json"],
        [MODEL, "-", "--windows"],
    ],
    "bnn_exit.models": [["--json"]],
    "bnn_exit.predict": [["--model", MODEL, "words/yes/0.wav"], ["--model", MODEL, "0.flac"]],
    "bnn_exit.report": [["run"]],
    "bnn_exit.serve": [[MODEL], [MODEL, "--uri", "stdio://"]],
    "bnn_exit.train": [
        ["--out", "new"],
        ["--task", "folder", "--data-dir", "words", "--out", "new"],
        ["--resume", "run"],
    ],
    "audio_tasks": [
        ["synthetic"],
        ["folder", "--data-dir", "words"],
        ["synthetic", "--write", "clips", "--count", "1"],
    ],
    "audio_tasks.folder": [["words"], ["words", "--check"]],
    "distill.train_teacher": [["--out", "new"], ["--task", "folder", "--data-dir", "words", "--out", "new"]],
}
"""Typical arguments. Commands that are not here are called with those that every command may get."""

ALONE = """
import runpy, sys

OURS = {"numpy", "bnn_exit", "audio_tasks", "distill"}


class Alone:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in OURS and root not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Alone())
sys.path.insert(0, sys.argv[1])
module, sys.argv = sys.argv[2], sys.argv[2:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def commands():
    """The modules of every folder that are commands: those whose exit status is that of their `main`."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^ *(raise SystemExit|sys\.exit)\(main\(\)\)$", text, re.MULTILINE) and "command" in text:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


CALLS = [
    pytest.param(name, arguments, id=" ".join([name, *arguments]))
    for name in commands()
    for arguments in (["--help"], [], ["nowhere"], ["--no-such-option"], *TYPICAL.get(name, []))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("alone")
    (place / "run").mkdir()
    for label in ("yes", "no"):
        (place / "words" / label).mkdir(parents=True)
        for index in range(3):
            samples = np.random.default_rng(index + 10 * len(label)).normal(0, 0.1, 16000).clip(-1, 1)
            wav.write(place / "words" / label / f"{index}.wav", samples, sample_rate_hz=16000)
    (place / "0.flac").write_bytes(b"fLaC")
    return place


def test_every_typical_command_is_there():
    assert set(TYPICAL) <= set(commands())


@pytest.mark.skipif(not hasattr(sys, "stdlib_module_names"), reason="Python 3.9 does not list its own modules")
@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_command_works_or_says_in_one_line_what_it_needs(folder, name, arguments):
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(ROOT), name, *arguments],
        cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == (done.returncode != 0), done.stderr
    if arguments == ["--help"]:
        assert done.returncode == 0 and done.stdout.startswith("usage: ")
