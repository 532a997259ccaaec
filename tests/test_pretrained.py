"""Models by name: what comes with the package, and how commands find it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pretrained_models
import pytest
from pretrained_models import NAME

import audio_tasks
import bnn_exit
from audio_tasks.base import Task
from audio_tasks.split import Split
from bnn_exit import pretrained
from bnn_exit.audio import wav
from bnn_exit.commands import bench, evaluate, predict
from bnn_exit.commands import models as models_command
from bnn_exit.errors import INSTALL, ArgumentError, ModelFileError
from bnn_exit.files import read_json, write_json

ROOT = Path(__file__).parents[1]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped models, with one in it, while the command runs elsewhere."""
    folder, elsewhere = tmp_path / "shelf", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    monkeypatch.chdir(elsewhere)
    pretrained_models.put(folder)
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> str:
    path = str(tmp_path / "clip.wav")
    wav.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 720).astype(np.float32), sample_rate_hz=16000)
    return path


# --------------------------------------------------------------------------------------------------------------- names


def test_a_name_loads_the_shipped_file(shelf: Path) -> None:
    session = bnn_exit.load(NAME, backend="reference")
    assert session.model_file.path == shelf / f"{NAME}.tflite"
    assert session.labels == ("yes", "no", "other")


def test_a_path_that_exists_wins(shelf: Path) -> None:
    assert pretrained.resolve(NAME) == shelf / f"{NAME}.tflite"
    Path(NAME).write_bytes(b"the user's own")
    assert pretrained.resolve(NAME) == Path(NAME)
    with pytest.raises(ModelFileError, match=rf"^{NAME}: this is not a TFLite file"):
        bnn_exit.load(NAME, backend="reference")


@pytest.mark.parametrize("path", ["m.tflite", "runs/words", "./words", Path("words"), Path("")])
def test_what_looks_like_a_path_is_one(shelf: Path, path: str | Path) -> None:
    assert pretrained.resolve(path) == Path(path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        *((name, f"; did you mean '{NAME}'?") for name in ("toy-word-small", "toy_words_small", "Toy-Words-Small")),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_gives_the_nearest(shelf: Path, name: str, hint: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        bnn_exit.load(name)
    assert str(caught.value) == f"model is {name!r}, but must be a file or one of the shipped models: {NAME}{hint}"


def test_an_unknown_name_where_nothing_is_shipped(shelf: Path) -> None:
    write_json(shelf / "index.json", {"format": 1, "models": {}})
    with pytest.raises(ArgumentError, match=r"must be a file or one of the shipped models: there are none$"):
        bnn_exit.load("words")


# ------------------------------------------------------------------------------------------------------------- damages


def test_a_damaged_file_is_refused(shelf: Path, clip: str, capsys: pytest.CaptureFixture) -> None:
    path = shelf / f"{NAME}.tflite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert predict.main(["--model", NAME, clip]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: the shipped model {NAME} is damaged (its SHA-256 is ")
    assert error.endswith(f"...): {INSTALL} brings it anew\n") and error.count("\n") == 1
    path.unlink()
    with pytest.raises(ModelFileError, match=rf"the shipped model {NAME} cannot be read \(No such file or directory\)"):
        bnn_exit.load(NAME)


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"format": 2, "models": {}}', '{"format": 1, "models": {"a": {"bytes": 1}}}']
)
def test_a_damaged_list_is_one_line(shelf: Path, capsys: pytest.CaptureFixture, text: str | None) -> None:
    (shelf / "index.json").unlink()
    if text is not None:
        (shelf / "index.json").write_text(text)
    assert models_command.main([]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the list of shipped models '") and error.count("\n") == 1
    assert error.endswith(f"): {INSTALL} brings it anew\n")


# ------------------------------------------------------------------------------------------------------------ commands


def test_predict_takes_a_name_in_every_form(shelf: Path, clip: str, capsys: pytest.CaptureFixture) -> None:
    chosen = ["--backend", "reference"]
    printed = []
    for words in (
        ["--model", NAME, clip],
        [clip, f"--model={NAME}"],
        [NAME, clip],
        [str(shelf / f"{NAME}.tflite"), clip],
    ):
        assert predict.main([*words, *chosen]) == 0
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1 and printed[0].startswith(f"{clip}\t")
    assert predict.main(["--model", NAME, clip, clip, *chosen]) == 0
    assert capsys.readouterr().out == 2 * printed[0]


@pytest.mark.parametrize(
    ("words", "missing"),
    [([], "model, clip"), (["m.tflite"], "clip"), (["--model", NAME], "clip"), (["--json"], "model, clip")],
)
def test_predict_names_what_is_missing(
    shelf: Path, capsys: pytest.CaptureFixture, words: list[str], missing: str
) -> None:
    assert predict.main(words) == 2
    assert capsys.readouterr().err == (
        f"error: the following arguments are required: {missing} (see python -m bnn_exit.predict --help)\n"
    )


def test_bench_takes_a_name(shelf: Path) -> None:
    report = bench.bench(NAME, backends=["reference"], repeats=1)
    size = (shelf / f"{NAME}.tflite").stat().st_size
    assert (report["model"], report["model_bytes"]) == (f"{NAME}.tflite", size)


def test_evaluate_measures_a_name_on_the_data_that_is_given(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    session = bnn_exit.load(NAME, backend="reference")
    metadata = session.metadata
    waves = np.random.default_rng(0).uniform(-0.5, 0.5, (6, metadata.clip_samples)).astype(np.float32)
    truth = np.arange(6, dtype=np.int32) % 3
    splits = {
        name: Split(name, tuple("abcdef"), truth, None, waves.__getitem__) for name in ("train", "validation", "test")
    }
    task = Task(
        name="toy", labels=metadata.labels, **splits, clip_samples=metadata.clip_samples, features=metadata.features
    )
    asked = []
    options = {"options": lambda self: {"fold": 1}, "__call__": lambda self, **given: asked.append(given) or task}
    monkeypatch.setitem(audio_tasks.TASKS, "toy", type("Loader", (), options)())
    assert evaluate.main([NAME, "--data-dir", "/there", "--backend", "reference", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    predicted = np.stack([session.exit_probabilities(wave) for wave in waves]).argmax(-1)
    assert [figures["accuracy"] for figures in report["exits"]] == (predicted == truth[:, None]).mean(axis=0).tolist()
    assert (asked[0]["data_dir"], asked[0]["fold"], report["seed"]) == ("/there", 2, 4)
    assert evaluate.main([NAME, "--data-dir", "/there", "--backend", "reference"]) == 0
    assert "wrote" not in capsys.readouterr().out
    assert os.listdir() == []  # there is no run to write to
    assert evaluate.main([NAME]) == 2
    line = f"error: --data-dir is missing: give the data of {NAME}, Toys, Nobody, 2020\n"
    assert capsys.readouterr().err == line


def test_the_list_of_models(shelf: Path, capsys: pytest.CaptureFixture) -> None:
    assert models_command.main([]) == 0
    head, row, blank, credit = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "name" and head.endswith("  licence of the data")
    size = (shelf / f"{NAME}.tflite").stat().st_size
    assert row.split() == [NAME, f"{size / 1000:.0f}", "3", "200", "75.00", "70.00", "45.7", "CC0"]
    assert (blank, credit) == ("", f"{NAME}: Toys, Nobody, 2020")
    assert models_command.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == read_json(shelf / "index.json")["models"]
    write_json(shelf / "index.json", {"format": 1, "models": {}})
    assert models_command.main([]) == 0
    assert capsys.readouterr().out == "no models come with this installation\n"


STREAM = {
    **{"row": "toy", "split": "test", "words": 40, "recall": 0.95, "recall_last_exit": 0.975, "relative_ops": 1.125},
    "false_accepts": {"count": 1, "hours": 4.0, "per_hour": 0.25, "low": 0.01, "high": 1.4},
    **{"exit_1_share": 0.9, "delay_s": 0.25, "chosen": {}},
}


def test_models_that_listen_have_a_table_of_their_own(shelf: Path, capsys: pytest.CaptureFixture) -> None:
    pretrained_models.put(shelf, listening={"balanced": STREAM, "quiet": {**STREAM, "delay_s": None}})
    assert models_command.main([]) == 0
    _, _, blank, head, first, second, after, credit = capsys.readouterr().out.splitlines()
    assert (blank, after, credit) == ("", "", f"{NAME}: Toys, Nobody, 2020")
    assert head.split("  ")[0] == "name" and head.endswith("  split")
    assert first.split() == [NAME, "balanced", "40", "95.0", "0.25", "1.40", "4.00", "90.0", "250", "test"]
    assert second.split()[1:] == ["quiet", "40", "95.0", "0.25", "1.40", "4.00", "90.0", "-", "test"]


def test_an_entry_of_an_earlier_version_has_no_negatives_and_does_not_listen(shelf: Path) -> None:
    index = read_json(shelf / "index.json")
    del index["models"][NAME]["negatives"], index["models"][NAME]["listening"]
    write_json(shelf / "index.json", index)
    model = pretrained.models()[NAME]
    assert (model.negatives, model.listening) == ("", {})


def test_the_data_of_a_model_needs_its_negatives(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    credits = "Toys, Nobody, 2020; negatives: Talk, Somebody"
    pretrained_models.put(shelf, negatives="talk", attribution=credits, options={"negatives_share": 0.25})
    given = [NAME, "--data-dir", "/there", "--backend", "reference"]
    assert evaluate.main(given) == 2
    assert capsys.readouterr().err == (
        f"error: --negatives is missing: give the folder 'talk' of long recordings that {NAME} was trained with, Talk, "
        "Somebody\n"
    )
    asked: list[dict] = []

    def load(name: str, **options: object) -> Task:
        asked.append(options)
        raise ArgumentError("enough")

    monkeypatch.setattr(audio_tasks, "load", load)
    assert evaluate.main([*given, "--negatives", "/talk"]) == 2
    assert [(each["data_dir"], each["negatives"], each["negatives_share"]) for each in asked] == [
        ("/there", "/talk", 0.25)
    ]
    capsys.readouterr()
    pretrained_models.put(shelf)
    assert evaluate.main([*given, "--negatives", "/talk"]) == 2
    line = f"error: --negatives is '/talk', but {NAME} was trained without any: leave them out\n"
    assert capsys.readouterr().err == line


SCRIPT = """
import runpy, sys
for name in ("tensorflow", "tf_keras", "larq", "soundfile", "tqdm"):
    sys.modules[name] = None
from pathlib import Path
from bnn_exit import pretrained
pretrained.FOLDER = Path(sys.argv.pop(1))
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("words", [["bnn_exit.models"], ["bnn_exit.predict", "--model", NAME]], ids=["list", "run"])
def test_a_device_needs_numpy_alone(shelf: Path, clip: str, words: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT, str(shelf), *words, *([clip] if len(words) > 1 else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(clip if len(words) > 1 else "name")
