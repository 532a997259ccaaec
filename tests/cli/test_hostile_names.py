"""Names of classes and clips that mean something to terminals, shells, spreadsheets, formulas and HTML, through every
command from the check of the data to the page about the clips.
"""

import csv
import json
import os
import re

import numpy as np
import pytest

from audio_tasks import folder as folder_command
from bnn_exit.audio import riff
from bnn_exit.commands import calibrate as calibrate_command
from bnn_exit.commands import difficulty as difficulty_command
from bnn_exit.commands import evaluate, predict, train
from bnn_exit.commands import export as export_command

LABELS = ["=cmd()|calc", "$HOME $5", "%s%n {x}", "<script>alert(1)<script>", "-dash", "\"q'\\a,b;c"]
CLIPS = [
    b"new\nline",
    b"\x1b[31mred",
    b"=cmd()",
    b"<script>alert(2)<script>",
    b"\xe2\x80\xaertl",
    b"\xff\xfe",
    b"-lead",
]
CLIPS += [b"x" * 250, b" $(touch x) %s "]
REFUSED = [b"new\nline", b"\x1b[2J", b"\xe2\x80\xaertl", b"\xff\xfe", b"zero\xe2\x80\x8bwidth"]


def clips_of(root, label, names):
    place = os.path.join(os.fsencode(root), os.fsencode(label))
    os.makedirs(place)
    for index, name in enumerate(names):
        random = np.random.default_rng([index, *os.fsencode(label)])
        samples = random.uniform(-0.5, 0.5, 1600).astype(np.float32)
        with open(os.path.join(place, name + b".wav"), "wb") as file:
            file.write(riff.encode(samples, sample_rate_hz=16000))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data $x <b>")
    for label in LABELS:
        clips_of(root, label, CLIPS)
    return root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        run = tmp_path_factory.mktemp("runs") / "run %s $x"
        task = ["--task", "folder", "--data-dir", str(data), "--option", "clip_seconds=0.4"]
        options = ["--recipe", "fast", "--size", "small", "--epochs", "1", "--batch-size", "16"]
        assert train.main([*task, *options, "--out", str(run)]) == 0
        yield run


@pytest.fixture
def printed(capfd):
    """What a command prints: nothing in it may lead a terminal astray."""

    def check(status, main, *arguments):
        capfd.readouterr()
        assert main([*map(str, arguments)]) == status
        out, err = capfd.readouterr()
        assert all(letter.isprintable() or letter in "\n\t" for letter in out + err)
        assert "Traceback" not in err
        return out, err

    return check


def test_a_network_is_made_measured_and_asked(data, run, tmp_path, printed):
    pytest.importorskip("bokeh", reason="bokeh is not installed: pip install '.[report]'")
    from bnn_exit.commands import report as report_command

    out, _ = printed(0, folder_command.main, data, "--check")
    assert all(any(line.startswith(label) for line in out.splitlines()) for label in LABELS)
    assert "fit for use" in out

    printed(0, evaluate.main, run)
    assert json.loads((run / "metrics.json").read_text())["labels"] == sorted(LABELS)
    printed(0, calibrate_command.main, run, "--max-accuracy-drop", "0.9")
    printed(0, export_command.main, run)
    printed(0, report_command.main, run, "--out", tmp_path / "report.html")

    names = sorted(str(path) for path in data.rglob("*.wav"))
    model = run / "model.tflite"
    out, _ = printed(0, predict.main, model, "--", *names)
    assert len(out.splitlines()) == len(names)
    out, _ = printed(0, predict.main, model, "--json", "--", *names)
    assert [json.loads(line)["path"] for line in out.splitlines()] == names

    table, page = tmp_path / "d.csv", tmp_path / "d.html"
    printed(0, difficulty_command.main, model, data, "--labels", "folders", "--csv", table, "--html", page)
    with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["path"] for row in rows) == names
    assert not any(cell.startswith(("=", "-", "+", "@")) for row in rows for cell in row.values())
    for written in (page, tmp_path / "report.html"):
        text = written.read_text(encoding="utf-8")
        assert "alert(1)" in text and not re.search(r"<script>\s*alert", text)


@pytest.mark.parametrize("label", REFUSED)
def test_a_label_that_no_file_may_hold_is_one_line(label, tmp_path, printed, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_CACHE", str(tmp_path / "cache"))
    for each in (b"yes", label):
        clips_of(tmp_path / "data", os.fsdecode(each), [b"a", b"b", b"c"])
    out, _ = printed(1, folder_command.main, tmp_path / "data", "--check")
    assert "which no model file may hold" in out
    _, err = printed(1, train.main, "--task", "folder", "--data-dir", tmp_path / "data", "--out", tmp_path / "run")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()
