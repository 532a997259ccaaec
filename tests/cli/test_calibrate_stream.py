"""`python -m bnn_exit.calibrate MODEL --stream NEGATIVES`."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import stream_cases
from stream_cases import recording, table

import audio_tasks
from audio_tasks.base import Task
from audio_tasks.split import Split
from bnn_exit import Stream, pretrained
from bnn_exit.audio import wav
from bnn_exit.calibration.listening import LEVELS
from bnn_exit.commands import calibrate
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.runtime import session
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.training import TrainConfig

LABELS = ("yes", "no", "unknown")
NAMES = {"labels": LABELS}


@pytest.fixture
def model(tmp_path):
    return stream_cases.model(tmp_path / "run" / "model.tflite", point=None, **NAMES)


@pytest.fixture
def negatives(tmp_path):
    (tmp_path / "negatives").mkdir()
    for seed in range(12):
        recording(tmp_path / "negatives" / f"{seed:02}.wav", seconds=4, seed=seed)
    return tmp_path / "negatives"


@pytest.fixture
def positives(tmp_path):
    path = recording(tmp_path / "words.wav", seconds=6, seed=99)
    rows = [f"words.wav {0.5 * index + 0.5} {0.5 * index + 0.7} {('yes', 'no')[index % 2]}" for index in range(10)]
    return ["--positives", str(path), "--events", str(table(tmp_path / "words.tsv", *rows))]


def chosen(model, *arguments, capsys, rate="600"):
    command = [str(model), "--max-false-accepts-per-hour", rate, "--hop-ms", "20", *map(str, arguments)]
    assert calibrate.main(command) == 0
    return capsys.readouterr()


def test_the_point_that_is_stored_makes_the_events_that_were_counted(model, negatives, positives, capsys):
    said = chosen(model, "--stream", negatives, "--span-ms", "60", *positives, capsys=capsys)
    metadata = reader.read(model).metadata
    point, operating = metadata.listening_points["balanced"], metadata.operating_points["stream-balanced"]
    assert point.operating_point == "stream-balanced" and set(point.thresholds) == {"yes", "no"}
    assert set(point.thresholds.values()) < set(LEVELS) and (point.hop_ms, point.span_ms) == (20, 60)
    files = sorted(negatives.iterdir())
    events = sum(len(Stream(session.load(model)).push(wav.read(path))) for path in files)
    figures = point.figures
    assert figures["false_accepts"] == events <= 600 * 48 / 3600
    assert figures["hours"] == pytest.approx(48 / 3600, abs=1e-4)
    assert figures["false_accepts_per_hour"] == pytest.approx(events / (48 / 3600))
    assert figures["bound_per_hour"] > figures["false_accepts_per_hour"] and figures["confidence"] == 0.95
    assert figures["method"].startswith("chosen by the counted rate; bound: fixed-sequence testing")
    assert (figures["groups"], figures["words"]) == (12, 10)
    exits = [window.exit_index for path in files for window in Stream(session.load(model)).windows(wav.read(path))]
    assert operating.exit_shares == pytest.approx(np.bincount(exits, minlength=3) / len(exits))
    assert figures["exit_1_share"] == operating.exit_shares[0] and operating.sample_count == len(exits)
    assert operating.split == "stream" and operating.accuracy == figures["recall"]
    # The other points of the file stay.
    assert set(metadata.operating_points) == {"full", "balanced", "fast", "stream-balanced"}
    assert said.err == "" and said.out.endswith(f"\nwrote {model}\n")
    assert f"{events} false accepts in 0.01 hours" in said.out and "12 recordings, design effect" in said.out


def test_a_score_against_background_is_stored_and_makes_the_events_that_were_counted(
    model, negatives, positives, capsys
):
    arguments = ("--stream", negatives, "--span-ms", "60", *positives, "--score")
    said = chosen(model, *arguments, "against_background", capsys=capsys, rate="900")
    point = reader.read(model).metadata.listening_points["balanced"]
    assert point.score == "against_background" and "of the probability against background, span 60 ms" in said.out
    found = [Stream(session.load(model)).push(wav.read(path)) for path in sorted(negatives.iterdir())]
    assert point.figures["false_accepts"] == sum(map(len, found))
    # Of two the better one.
    alone = [chosen_recall(model, *arguments, each, capsys=capsys) for each in ("probability", "against_background")]
    both = chosen_recall(model, *arguments, "probability", "against_background", capsys=capsys)
    assert both == max(alone)


def chosen_recall(model, *arguments, capsys):
    chosen(model, *arguments, capsys=capsys, rate="900")
    return reader.read(model).metadata.listening_points["balanced"].figures["recall"]


def test_an_unknown_score_is_named_with_the_nearest(model, negatives, capsys):
    arguments = ["--stream", str(negatives), "--max-false-accepts-per-hour", "600", "--hop-ms", "20"]
    assert calibrate.main([str(model), *arguments, "--score", "probabilty"]) == 2
    assert "--score is 'probabilty', but must be one of against_background, probability" in capsys.readouterr().err


def test_a_confidence_makes_it_a_guarantee(model, negatives, positives, capsys):
    arguments = ("--stream", negatives, "--confidence", "0.9", *positives, "--listening-point", "safe")
    said = chosen(model, *arguments, capsys=capsys, rate="900")
    figures = reader.read(model).metadata.listening_points["safe"].figures
    assert figures["bound_per_hour"] <= 900 and figures["confidence"] == 0.9
    assert figures["method"].startswith("fixed-sequence testing") and "for new audio of the same kind" in said.out
    # Two spans share the confidence.
    chosen(model, *arguments, "--span-ms", "60", "500", capsys=capsys, rate="900")
    assert reader.read(model).metadata.listening_points["safe"].figures["bound_per_hour"] <= 900


def test_too_few_hours_are_refused_before_a_window_is_scored(model, negatives, positives, capsys, monkeypatch):
    monkeypatch.setattr("bnn_exit.commands.stream_words.score", lambda *_, **__: pytest.fail("scored"))
    arguments = ["--stream", str(negatives), "--max-false-accepts-per-hour", "0.5", "--confidence", "0.95", *positives]
    # Two spans or scores share the confidence, so they need more: ln(1 / 0.025) / 0.5.
    scores = ["--score", "probability", "against_background"]
    for spans, hours in ([], "6.0"), (["--span-ms", "60", "500"], "7.4"), (scores, "7.4"):
        assert calibrate.main([str(model), "--hop-ms", "20", *arguments, *spans]) == 1
        assert f"even without a false accept it takes {hours} hours" in capsys.readouterr().err


def test_speakers_are_groups_and_spoken_words_no_false_accepts(model, negatives, positives, tmp_path, capsys):
    head = "stream\tstart\tsamples\tspeaker\ttranscript"
    rows = [
        f"{seed:02}.wav {start * 16000} 32000 s{seed}-{start} {'yes.no.' * 20}"
        for seed in range(12)
        for start in (0, 2)
    ]
    text = table(tmp_path / "u.tsv", *rows, head=head)
    said = chosen(model, "--stream", negatives, "--transcripts", text, *positives, capsys=capsys, rate="1")
    assert said.err.startswith(
        "warning: the negatives hold 960 words that the model knows, by their transcripts (yes 480,"
    )
    assert "24 speakers" in said.out
    with_words = reader.read(model).metadata.listening_points["balanced"].thresholds["yes"]
    said = chosen(model, "--stream", negatives, "--speakers", text, *positives, capsys=capsys, rate="1")
    assert said.err == "" and "24 speakers" in said.out
    assert with_words < reader.read(model).metadata.listening_points["balanced"].thresholds["yes"]


def test_validation_clips_of_the_run_are_mixed_in(model, negatives, capsys, monkeypatch):
    generator = np.random.default_rng(0)
    waves = generator.uniform(-0.3, 0.3, (6, 720)).astype(np.float32)
    made = {
        name: Split(
            name, tuple(f"{i}.wav" for i in range(6)), np.arange(6, dtype=np.int32) % 3, None, waves.__getitem__
        )
        for name in ("train", "validation", "test")
    }
    features = reader.read(model).metadata.features
    task = Task(name="toy", labels=LABELS, **made, clip_samples=720, features=features)

    class Loader:
        def options(self):
            return {}

        def __call__(self, **arguments):
            return task

    monkeypatch.setitem(audio_tasks.TASKS, "toy", Loader())
    RunConfig(RunTask.of(task), ModelConfig(), AugmentConfig(), TrainConfig(seed=7)).save(model.parent)
    write_json(model.parent / "operating_points.json", {})
    said = chosen(model.parent, "--stream", negatives, "--json", capsys=capsys)
    values = json.loads(said.out)
    assert values["words"] == values["listening_point"]["figures"]["words"] > 0
    stored = json.loads((model.parent / "operating_points.json").read_text())
    assert stored["stream-balanced"]["thresholds"] == list(values["exit_thresholds"])
    assert "trained with" not in said.err
    # The first cut of the training split is of a recording that is given here.
    cut = dataclasses.replace(made["train"], ids=("negatives/03.wav@1.50s", *made["train"].ids[1:]))
    task = dataclasses.replace(task, train=cut, options={"negatives": str(negatives)})
    said = chosen(model.parent, "--stream", negatives, capsys=capsys)
    assert said.err == (
        f"warning: the network was trained with 1 of the 12 recordings, such as {negatives}/03.wav: on new audio it "
        "will make more false accepts, and no bound holds; give others\n"
    )


def test_a_model_alone_is_calibrated_on_negatives_alone(model, negatives, capsys):
    """As a file that was copied from elsewhere: its words are not at hand."""
    said = chosen(model, "--stream", negatives, "--json", capsys=capsys)
    assert said.err == (
        f"note: there are no words to find, so the loosest threshold that keeps the rate is taken: {model} is in no "
        "run, whose validation clips could be mixed: give --positives and --events, recordings with words and a table "
        "of them\n"
    )
    metadata = reader.read(model).metadata
    point = metadata.listening_points["balanced"]
    assert point.operating_point == "balanced" and set(metadata.operating_points) == {"full", "balanced", "fast"}
    assert point.figures["false_accepts_per_hour"] <= 600 and "recall" not in point.figures
    values = json.loads(said.out)
    assert values["operating_point"] is None and values["listening_point"] == point.to_dict()
    # A looser one would break the rate.
    step = LEVELS.index(point.thresholds["yes"]) + 1
    looser = dataclasses.replace(point, thresholds=dict.fromkeys(point.thresholds, LEVELS[step]))
    files = sorted(negatives.iterdir())
    events = sum(len(Stream(session.load(model), listening_point=looser).push(wav.read(path))) for path in files)
    assert events > 600 * 48 / 3600


def test_a_model_of_the_package_is_calibrated_in_a_copy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "arabic-speech-commands-small"
    recording("negatives.wav", seconds=3, seed=0, rate=16000)
    before = session.load(name).model_file.path.read_bytes()
    arguments = [name, "--stream", "negatives.wav", "--max-false-accepts-per-hour", "3600"]
    assert calibrate.main(arguments) == 0
    said = capsys.readouterr()
    assert said.out.endswith(f"\nwrote {name}.tflite\n")
    assert "note: there are no words to find, so the loosest threshold" in said.err and "--data-dir" in said.err
    assert "balanced" in reader.read(tmp_path / f"{name}.tflite").metadata.listening_points
    assert session.load(name).model_file.path.read_bytes() == before
    assert calibrate.main(arguments) == 2
    assert capsys.readouterr().err.endswith(
        f"error: {name}.tflite is here already, a copy of {name}: calibrate it, or move it away\n"
    )
    assert calibrate.main([f"{name}.tflite", *arguments[1:]]) == 0


def test_a_model_of_the_package_that_is_given_by_its_path_is_calibrated_in_a_copy_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recording("negatives.wav", seconds=3, seed=0, rate=16000)
    own = tmp_path / "installed"
    shutil.copytree(pretrained.FOLDER, own)
    monkeypatch.setattr(pretrained, "FOLDER", own)
    name = "arabic-speech-commands-small.tflite"
    before = (own / name).read_bytes()
    arguments = ["--stream", "negatives.wav", "--max-false-accepts-per-hour", "3600"]
    assert calibrate.main([f"installed/{name}", *arguments]) == 0
    assert capsys.readouterr().out.endswith(f"\nwrote {name}\n")
    assert (own / name).read_bytes() == before and reader.read(name).metadata.listening_points
    monkeypatch.chdir(own)
    shutil.copy(tmp_path / "negatives.wav", own)
    assert calibrate.main([name, *arguments]) == 2
    said = f"error: {name} is a model of the package, which stays as it is: go to another folder\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_model_without_background_is_told_how_to_get_one(tmp_path, negatives, positives, capsys):
    model = stream_cases.model(tmp_path / "m" / "model.tflite", point=None)
    said = chosen(model, "--stream", negatives, *positives, capsys=capsys)
    assert said.err == (
        "warning: no label of the model is background, so every sound is taken for one of its words: a model that "
        "knows other sounds is trained with --negatives DIR\n"
    )
    said = chosen(model, "--stream", negatives, *positives, "--background", "other", capsys=capsys)
    assert said.err == "" and set(reader.read(model).metadata.listening_points["balanced"].thresholds) == {"yes", "no"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--stream", "{n}"], 2, "error: --stream needs --max-false-accepts-per-hour, such as 0.5"),
        (["--speakers", "x"], 2, "error: --speakers goes with --stream alone"),
        (["--max-false-accepts-per-hour", "1"], 2, "error: --max-false-accepts-per-hour goes with --stream alone"),
        (["--stream", "{n}", "{r}", "--max-accuracy-drop", "0.1"], 2, "error: --max-accuracy-drop is of clips"),
        (["--stream", "{n}", "{r}", "--curve"], 2, "error: --curve is of clips, and does not go with --stream"),
        (["--stream", "{n}", "{r}", "--policy", "margin"], 2, "error: --policy is of clips"),
        (["--stream", "{n}", "{r}", "--workers", "2"], 2, "error: --workers is of clips"),
        (["--stream", "{n}", "{r}", "--events", "x"], 2, "error: --positives and --events go together"),
        (
            ["--stream", "{n}", "{r}", "--snr-db", "5"], 2,
            "error: --snr-db needs words, but {model} is in no run, whose validation clips could be mixed: give",
        ),
        (["--stream", "{n}", "{r}", "--max-delay-ms", "300"], 2, "error: --max-delay-ms needs words, but {model} is"),
        (["--stream", "{n}", "{r}", "{p}", "--listening-point", "a/b"], 2, "error: --listening-point is 'a/b', but"),
        (["--stream", "{n}", "{r}", "{p}", "--confidence", "2"], 2, "error: confidence is 2.0, but must be above 0"),
        (["--stream", "{n}", "{r}", "{p}", "--background", "unkown"], 2, "error: background is 'unkown', but"),
        (["--stream", "{n}", "{r}", "{p}", "--background", "yes,no,unknown"], 2, "error: background is all 3"),
        (["--stream", "{n}", "{r}", "{p}", "--snr-db", "5"], 2, "error: --snr-db is of words that are mixed in, and"),
        (
            ["--stream", "{n}", "{r}", "--positives", "{short}", "--events", "{e}"], 1,
            "error: {e} line 2: 'words.wav' is none of the recordings of --positives",
        ),
        (["--stream", "{n}", "{r}", "{p}", "--hop-ms", "15"], 2, "error: hop_ms is 15, but must be a multiple of the"),
        (["--stream", "{n}", "{r}", "{p}", "--confidence", "0.95"], 1, "error: at most 0.5 false accepts an hour, "),
        (["--stream", "{tmp}", "{r}", "{p}"], 1, "error: {n}/00.wav: no"),
        (["--stream", "{n}", "{n}/03.wav", "{r}", "{p}"], 1, "error: {n}/03.wav is given twice: give it once"),
        (["--stream", "{n}", "{w}", "{r}", "{p}"], 1, "error: {w} is given twice: give it once, or what is in it"),
        (["--stream", "{short}", "{r}", "{p}"], 1, "error: {short} lasts 0.02 s, less than a window of 0.045 s"),
        (["--stream", "{n}", "{r}", "{p}", "--max-delay-ms", "-59000"], 1, "error: "),
        (["--stream", "{n}", "{r}", "--speakers", "a", "--transcripts", "b"], 2, "error: --speakers and --transcripts"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_changes_nothing(
    model, negatives, positives, tmp_path, capsys, arguments, status, message
):
    if "{tmp}" in arguments:
        arguments = ["--stream", str(negatives / "none.wav"), "{r}", "{p}"]
        message = "error: {n}/none.wav: no such audio file; check the path"
    names = {"n": negatives, "w": positives[1], "e": positives[3], "model": model, "tmp": tmp_path}
    names["short"] = recording(tmp_path / "short.wav", seconds=0.02)
    given = []
    for each in arguments:
        more = {"{r}": ["--max-false-accepts-per-hour", "0.5"], "{p}": positives}
        given += more[each] if each in more else [each.format(**names)]
    before = model.read_bytes()
    assert calibrate.main([str(model), *given]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(message.format(**names)), lines
    assert model.read_bytes() == before and os.listdir(model.parent) == ["model.tflite"]
