import json
import os
import re

import numpy as np
import pytest
import tiny_files

import audio_tasks
from audio_tasks.base import Task
from audio_tasks.split import Split
from bnn_exit import metrics
from bnn_exit.commands import report as command
from bnn_exit.files import write_json
from bnn_exit.policies import rule
from bnn_exit.runtime import session
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.training import TrainConfig

pytest.importorskip("bokeh", reason="bokeh is not installed: pip install '.[report]'")
CLIPS = 12


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with a tiny file of three exits, and its task."""
    rng = np.random.default_rng(0)
    waves = rng.uniform(-0.5, 0.5, (CLIPS, tiny_files.CLIP_SAMPLES)).astype(np.float32)

    def split(name, count):
        ids = tuple(f"{name}/{index}.wav" for index in range(count))
        return Split(name, ids, (np.arange(count) % 3).astype(np.int32), None, waves.__getitem__)

    task = Task(
        name="toy",
        labels=tiny_files.LABELS,
        train=split("train", CLIPS),
        validation=split("validation", 0),
        test=split("test", CLIPS),
        clip_samples=tiny_files.CLIP_SAMPLES,
        features=tiny_files.FEATURES,
        licence="CC0",
        attribution="nobody & sons",
    )

    class Loader:
        def options(self):
            return {}

        def __call__(self, **arguments):
            return task

    monkeypatch.setitem(audio_tasks.TASKS, "toy", Loader())
    folder = tmp_path / "run"
    task.options = {"data_dir": "/old"}
    RunConfig(RunTask.of(task), ModelConfig(), AugmentConfig(), TrainConfig(seed=7)).save(folder)
    (folder / "model.tflite").write_bytes(tiny_files.adaptive_file())
    return folder


def held(path):
    text = path.read_text(encoding="utf-8")
    return text, json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_another_file_of_the_run_gets_a_page_of_its_own(run, capsys):
    (run / "model.tflite").rename(run / "model_lean.tflite")
    assert command.main([str(run / "model_lean.tflite"), "--backend", "reference"]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {run / 'report_lean.html'} (")
    assert "<dd>toy</dd>" in held(run / "report_lean.html")[0]


def test_a_run_gets_its_page(run, capsys):
    assert command.main([str(run), "--backend", "reference"]) == 0
    out = run / "report.html"
    assert re.fullmatch(rf"wrote {re.escape(str(out))} \(\d\.\d MB\)\n", capsys.readouterr().out)
    text, found = held(out)
    for fact in ("toy", "nobody &amp; sons, CC0", "reference, 1 thread", "chosen on 7 clips of the validation split"):
        assert f"<dd>{fact}</dd>" in text
    assert f"<dd>python -m bnn_exit.report {run} --backend reference</dd>" in text
    # Through the public API, clip by clip.
    import base64

    model = session.load(run / "model.tflite", backend="reference")
    task = audio_tasks.TASKS["toy"]()
    outputs = np.stack([model.exit_probabilities(task.test.waveform(index)) for index in range(CLIPS)])
    for k in range(3):
        predicted = np.frombuffer(base64.b64decode(found["clips"]["predicted"][k]), "<u2")
        assert predicted.tolist() == outputs[:, k].argmax(-1).tolist()
    scores = np.stack([np.frombuffer(base64.b64decode(text), "<f4") for text in found["clips"]["scores"]], axis=1)
    left = rule.exit_indices(scores, [0.5, 0.5])
    assert [
        model.predict(task.test.waveform(i), thresholds=[0.5, 0.5]).exit_index for i in range(CLIPS)
    ] == left.tolist()
    accuracy = metrics.accuracy(rule.predicted_labels(outputs, left), task.test.labels)
    assert found["points"]["balanced"]["accuracy"] == accuracy


def test_split_out_and_limit(run, tmp_path):
    out = tmp_path / "new" / "page.html"
    assert command.main([str(run), "--split", "train", "--limit", "5", "--out", str(out)]) == 0
    text, found = held(out)
    assert "<dd>train</dd>" in text and "<dd>5 of 12, evenly spread</dd>" in text
    names = {entry["name"] for entry in found["gallery"].values()}
    assert names == {"train/0.wav", "train/3.wav", "train/6.wav", "train/8.wav", "train/11.wav"}
    assert not (run / "report.html").exists()


def failing(run, capsys, *arguments):
    """The status and the one line of a command that must fail, and leave nothing."""
    before = sorted(os.listdir(run)) if run.is_dir() else None
    status = command.main([str(run), *arguments])
    printed = capsys.readouterr()
    assert printed.out == "" and (sorted(os.listdir(run)) if run.is_dir() else None) == before
    (line,) = printed.err.splitlines()
    return status, line


@pytest.mark.parametrize("name", ["config.json", "model.tflite"])
def test_a_missing_file_of_the_run_is_named_with_the_command_that_makes_it(run, capsys, name):
    (run / name).unlink()
    status, line = failing(run, capsys)
    expected = {
        "config.json": (2, f"error: {str(run)!r} is no run: it has no config.json (bnn_exit.train makes runs)"),
        "model.tflite": (1, f"error: {run} has no model.tflite: python -m bnn_exit.train --resume {run} makes it"),
    }
    assert (status, line) == expected[name]


def test_a_missing_run_is_named(run, capsys):
    status, line = failing(run.parent / "no", capsys)
    assert status == 2 and line.startswith(f"error: {str(run.parent / 'no')!r} is no run: there is no such folder")
    assert not (run.parent / "no").exists()


def test_a_split_without_clips_is_named(run, capsys):
    assert failing(run, capsys, "--split", "validation") == (
        1,
        "error: the validation split of toy is empty: choose another with --split",
    )


def test_a_float_run_is_named(run, capsys):
    config = json.loads((run / "config.json").read_text())
    write_json(run / "config.json", {**config, "model": {**config["model"], "precision": "float"}})
    status, line = failing(run, capsys)
    assert status == 1 and line.startswith(f"error: {run} is a run of precision 'float', which has no model.tflite")


def test_a_folder_as_the_page_is_refused_before_anything_is_run(run, capsys):
    assert failing(run, capsys, "--out", str(run)) == (
        2,
        f"error: --out is {str(run)!r}, but that is a folder: give a file such as {run / 'report.html'}",
    )


def test_a_file_of_the_run_is_not_overwritten(run, capsys):
    assert failing(run, capsys, "--out", str(run / "config.json")) == (
        2,
        f"error: --out is {str(run / 'config.json')!r}, which would overwrite config.json of the run, and that stays "
        "as it is: choose another name",
    )


def test_an_unknown_split_is_refused(run, capsys):
    assert failing(run, capsys, "--split", "tets") == (
        2,
        "error: --split is 'tets', but must be one of test, train, validation; did you mean 'test'?",
    )


def test_an_interrupted_write_leaves_nothing(run, capsys, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, line = failing(run, capsys)
    assert status == 1 and line.startswith("error: no space left on the disk while writing")


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as left:
        command.main(["--help"])
    assert left.value.code == 0
    assert "python -m bnn_exit.report runs/words --split validation --out words.html" in capsys.readouterr().out
