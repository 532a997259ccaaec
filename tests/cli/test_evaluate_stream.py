"""`python -m bnn_exit.evaluate MODEL --stream FILES`."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import stream_cases
from stream_cases import POINT, recording, table

from bnn_exit import Stream, pretrained
from bnn_exit.audio import wav
from bnn_exit.commands import evaluate, evaluate_stream
from bnn_exit.commands.measured_model import beside_model
from bnn_exit.model_file import rewrite
from bnn_exit.runtime import session
from bnn_exit.streams import poisson


@pytest.fixture
def model(tmp_path):
    return stream_cases.model(tmp_path / "run" / "model.tflite")


def events_of(model, path, **settings):
    return Stream(session.load(model), **settings).push(wav.read(path))


def measured(model, *arguments, capsys, name="stream_metrics.json"):
    assert evaluate.main([str(model), *map(str, arguments)]) == 0
    said = capsys.readouterr()
    return json.loads((model.parent / name).read_text()), said


def test_without_events_every_event_is_a_false_accept(model, tmp_path, capsys):
    files = [recording(tmp_path / "a.wav"), recording(tmp_path / "b.wav", seed=1, seconds=20)]
    report, said = measured(model, "--stream", *files, capsys=capsys)
    events = [event for path in files for event in events_of(model, path)]
    assert len(events) > 10 and len({event.label for event in events}) == 2
    false = report["labels"]["all"]["false_accepts"]
    hours = 30 / 3600
    assert false["count"] == len(events) and false["hours"] == pytest.approx(hours)
    assert false["per_hour"] == pytest.approx(len(events) / hours)
    assert (false["low"], false["high"]) == pytest.approx([b / hours for b in poisson.interval(len(events))])
    for label in ("yes", "no"):
        count = sum(event.label == label for event in events)
        assert report["labels"][label]["false_accepts"]["count"] == count
    assert list(report["labels"]) == ["yes", "no", "all"] and report["delay_s"] == {}
    assert report["files"] == list(map(str, files)) and report["listening_point"] == POINT.to_dict()
    assert said.err == "" and f"wrote {model.parent / 'stream_metrics.json'} and" in said.out
    assert (model.parent / "stream_det.png").read_bytes()[:4] == b"\x89PNG"


def test_labelled_events_give_misses_and_delays(model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav")
    events = events_of(model, path)
    first, last = events[2], events[-1]
    late = (events[4].time_s + events[5].time_s) / 2
    rows = [f"a.wav {first.time_s - 0.1:.3f} {first.time_s - 0.05:.3f} {first.label}"]
    rows += [
        f"a.wav {late:.4f} {late + 0.0001:.4f} yes",
        f"a.wav {last.time_s - 0.02:.3f} {last.time_s:.3f} {last.label}",
    ]
    report, said = measured(
        *(model, "--stream", path, "--events", table(tmp_path / "e.tsv", *rows), "--tolerance-s", "0.06"), capsys=capsys
    )
    figures = report["labels"]["all"]
    assert (figures["words"], figures["hits"]) == (3, 2)
    assert figures["false_accepts"]["count"] == len(events) - 2
    assert report["delay_s"]["50"] == pytest.approx(0.0, abs=1e-3)
    assert report["delay_s"]["95"] == report["delay_s"]["100"] == pytest.approx(0.05, abs=1e-3)
    assert f"all        3      2     33.3  {figures['false_accepts']['per_hour']:.2f} (" in said.out
    here = next(point for point in report["det"] if point["shift"] == 0)
    assert here["recall"] == pytest.approx(2 / 3)
    assert here["false_accepts"] == figures["false_accepts"]


def test_the_curve_falls_from_loose_to_strict(model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav")
    report, said = measured(model, "--stream", path, capsys=capsys)
    thresholds = [point["thresholds"][0] for point in report["det"]]
    assert thresholds == sorted(thresholds) and len(thresholds) == 41
    for point in report["det"][::5]:
        moved = dataclasses.replace(POINT, thresholds=dict.fromkeys(POINT.thresholds, point["thresholds"][0]))
        assert point["false_accepts"]["count"] == len(events_of(model, path, listening_point=moved))
    assert report["det"][-1]["false_accepts"]["count"] == 0
    assert said.out.count("<- listening point") == 1


def test_exits_and_cost_are_of_all_windows(model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav")
    report, _ = measured(model, "--stream", path, "--operating-point", "full", capsys=capsys)
    loaded = session.load(model)
    costs = [cost.ops for cost in loaded.metadata.exits]
    assert report["exit_shares"] == [0.0, 0.0, 1.0] and report["gated_share"] == 0
    assert report["ops_per_s"] == pytest.approx(costs[-1] * report["windows"] / 10)
    assert report["relative_ops"] == pytest.approx(costs[-1] / costs[0])
    mixed, _ = measured(model, "--stream", path, capsys=capsys)
    exits = [window.exit_index for window in Stream(loaded).windows(wav.read(path))]
    assert mixed["exit_shares"] == pytest.approx((np.bincount(exits, minlength=3) / len(exits)).tolist())
    assert mixed["windows"] == len(exits) and mixed["operating_point"] == "balanced"
    assert 0 <= mixed["share_of_core"] < 50


def test_words_of_transcripts_are_no_false_accepts(model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav")
    events = events_of(model, path)
    inside = [event for event in events if event.time_s <= 5]
    head, words = "stream\tstart\tsamples\ttranscript", ".".join(["yes", "no"] * 40)
    text = table(tmp_path / "u.tsv", f"a.wav 0 {5 * 16000} {words}", head=head)
    report, said = measured(model, "--stream", path, "--transcripts", text, "--tolerance-s", "0", capsys=capsys)
    figures = report["labels"]["all"]
    assert (figures["spoken"], figures["spoken_hits"]) == (80, len(inside))
    outside = len(events) - len(inside)
    assert figures["false_accepts"]["count"] == outside
    assert report["untranscribed"]["count"] + report["transcribed"]["count"] == outside
    assert report["hours_transcribed"] == pytest.approx(5 / 3600) == report["untranscribed"]["hours"]
    assert "of them with a transcript" in said.out and "in the other hours, whose words are not known" in said.out


@pytest.mark.parametrize(
    ("file", "result"),
    [
        ("model.tflite", "metrics.json"),
        ("model_fast.tflite", "metrics_fast.json"),
        ("model.exits.tflite", "metrics.exits.json"),
        ("hey_lamp.tflite", "metrics_hey_lamp.json"),
    ],
)
def test_results_are_called_as_their_model_is(file, result):
    assert beside_model(f"runs/{file}", "metrics.json") == Path("runs") / result


def test_a_word_may_end_after_its_recording_by_what_is_lost_in_rounding(model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav", seconds=0.9996)
    events = table(tmp_path / "e.tsv", "a.wav 0.5 1.000 yes")
    report, _ = measured(model, "--stream", path, "--events", events, capsys=capsys)
    assert report["labels"]["all"]["words"] == 1


def test_a_listening_point_of_ones_own_is_measured(model, tmp_path, capsys):
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"name": "mine", "operating_point": "full", "thresholds": {"yes": 0.3}}))
    report, _ = measured(model, "--stream", recording(tmp_path / "a.wav"), "--listening-point", own, capsys=capsys)
    point = report["listening_point"]
    assert (point["name"], point["operating_point"], point["thresholds"]) == ("mine", "full", {"yes": 0.3})


def test_a_file_without_a_listening_point_gets_a_simple_one(tmp_path, capsys):
    model = stream_cases.model(tmp_path / "model.tflite", point=None, labels=("yes", "no", "unknown"))
    path = recording(tmp_path / "a.wav")
    report, said = measured(model, "--stream", path, "--threshold", "0.38", capsys=capsys)
    assert said.err == (
        "note: the file has no listening point: every label has the threshold 0.38, background is unknown; python -m "
        f"bnn_exit.calibrate {model} --stream NEGATIVES --max-false-accepts-per-hour 0.5 makes one, of hours of sound "
        "without the words (NEGATIVES)\n"
    )
    assert report["listening_point"]["thresholds"] == {"yes": 0.38, "no": 0.38}
    report, _ = measured(model, "--stream", path, "--background", "yes", capsys=capsys)
    assert list(report["listening_point"]["thresholds"]) == ["no", "unknown"]


def test_out_takes_the_figures_elsewhere_and_json_prints_them(model, tmp_path, capsys):
    path = recording(tmp_path / "a.wav", seconds=1)
    assert evaluate.main([str(model), "--stream", str(path), "--out", str(tmp_path / "there"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "there" / "stream_metrics.json").read_text())
    assert sorted(os.listdir(tmp_path / "there")) == ["stream_det.png", "stream_metrics.json"]
    assert os.listdir(model.parent) == ["model.tflite"]
    assert said["command"] == f"python -m bnn_exit.evaluate {model} --stream {path} --out {tmp_path / 'there'} --json"


def test_the_figures_are_printed_where_nothing_can_draw(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    path = recording(tmp_path / "a.wav", seconds=1)
    assert evaluate.main([str(model), "--stream", str(path)]) != 0
    said = capsys.readouterr()
    assert said.out.startswith("1 recording, 0.000 hours; ") and "<- listening point" in said.out
    assert said.err.startswith("error: drawing plots needs the package matplotlib: pip install")
    assert sorted(os.listdir(model.parent)) == ["model.tflite", "stream_metrics.json"]


def test_a_folder_that_takes_no_files_is_told_first(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(evaluate_stream, "listen_to_all", lambda *_, **__: pytest.fail("recordings were listened to"))
    assert evaluate.main([str(model), "--stream", str(recording(tmp_path / "a.wav", seconds=1))]) == 1
    assert capsys.readouterr().err == f"error: {model.parent} cannot be written to: give a folder of yours with --out\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--events", "{tmp}/e.tsv"], 2, "error: --events goes with --stream alone"),
        (["--stream", "{a}", "--limit", "3"], 2, "error: --limit is of a split, and does not go with --stream"),
        (["--stream", "{a}", "--split", "train"], 2, "error: --split is of a split"),
        (["--stream", "{tmp}/none.wav"], 1, "error: {tmp}/none.wav: no such audio file; check the path"),
        (["--stream", "{short}"], 1, "error: {short} lasts 0.04 s, less than a window of 0.045 s: there is nothing"),
        (["--stream", "{a}", "{a}"], 1, "error: {a} is given twice: give it once, or what is in it counts twice"),
        (["--stream", "{a}", "{copy}"], 1, "error: {copy} is the same recording as {a}: give it once"),
        (["--stream", "{a}", "--events", "{yess}"], 1, "error: {yess} line 2: the model has no label 'yess'; did you"),
        (["--stream", "{a}", "--events", "{late}"], 1, "error: {late}: an event ends at 11 s, but {a} lasts 10.00 s"),
        (["--stream", "{a}", "--transcripts", "{beyond}"], 1, "error: {beyond}: an utterance ends at 11 s, but {a}"),
        (["--stream", "{a}", "--events", "{overlap}"], 1, "error: {overlap} line 3: the event 'no' from 1.5 s "),
        (["--stream", "{a}", "--events", "{other}"], 1, "error: {other} line 2: 'other' is background, of which"),
        (["--stream", "{a}", "--listening-point", "blanced"], 2, "error: listening point is 'blanced', but must"),
        (["--stream", "{a}", "--operating-point", "fat"], 2, "error: operating point is 'fat', but must be one of"),
        (["--stream", "{a}", "--threshold", "2"], 2, "error: threshold of 'yes' is 2.0, but must be"),
        (["--stream", "{a}", "--tolerance-s", "-1"], 2, "error: tolerance_s is -1.0, but must be a number of seconds"),
        (["--stream", "{a}", "--tolerance-s", "inf"], 2, "error: tolerance_s is inf, but must be a number of seconds"),
        (["--stream", "{a}", "--out", "{a}"], 1, "error: File exists '{a}'"),
        (["--stream", "{a}", "--background", "yes"], 2, "error: --background goes with a file without"),
        (["--stream", "{a}", "--transcripts", "{yess}"], 1, "error: {yess} line 1 has no column stream, start"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(model, tmp_path, capsys, monkeypatch, arguments, status, message):
    # None of them needs what may take hours.
    if "{short}" not in arguments and "--operating-point" not in arguments:
        monkeypatch.setattr(
            evaluate_stream, "listen_to_all", lambda *_, **__: pytest.fail("recordings were listened to")
        )
    names = {
        "tmp": tmp_path,
        "a": recording(tmp_path / "a.wav"),
        "copy": recording(tmp_path / "copy.wav"),
        "short": recording(tmp_path / "short.wav", seconds=0.04),
        "yess": table(tmp_path / "yess.tsv", "a.wav 1 2 yess"),
        "late": table(tmp_path / "late.tsv", "a.wav 1 2 yes", "a.wav 10 11 yes"),
        "beyond": table(tmp_path / "beyond.tsv", "a.wav 80000 96000 yes", head="stream\tstart\tsamples\ttranscript"),
        "overlap": table(tmp_path / "overlap.tsv", "a.wav 1 2 yes", "a.wav 1.5 2.5 no"),
        # `other` is background: no event of it can be found.
        "other": table(tmp_path / "other.tsv", "a.wav 1 2 other"),
    }
    assert evaluate.main([str(model), *(each.format(**names) for each in arguments)]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(message.format(**names)), lines
    assert os.listdir(model.parent) == ["model.tflite"]


def test_a_listening_point_of_another_model_is_refused(model, tmp_path, capsys):
    point = dataclasses.replace(POINT, thresholds={"lamp": 0.5})
    with pytest.raises(Exception, match="'lamp'"):
        rewrite.with_points(model, {}, listening_points={"balanced": point})
    with pytest.raises(ValueError, match="label of listening point 'balanced' is 'lamp', but must be one of no, "):
        Stream(session.load(model), listening_point=point)


def test_a_recording_of_zeros_is_measured_with_a_warning(model, tmp_path, capsys):
    wav.write(tmp_path / "zero.wav", np.zeros(16000, np.float32), sample_rate_hz=16000)
    _, said = measured(model, "--stream", tmp_path / "zero.wav", capsys=capsys)
    assert said.err == f"warning: {tmp_path / 'zero.wav'} holds only zeros: was the microphone on?\n"


def test_a_mistyped_model_of_the_package_is_told_with_the_nearest(capsys, tmp_path):
    assert evaluate.main(["arabic-words-listenin-small", "--stream", str(tmp_path / "a.wav")]) == 2
    assert "did you mean 'arabic-words-listening-medium'?" in capsys.readouterr().err


def test_nothing_is_written_beside_a_model_of_the_package(tmp_path, capsys, monkeypatch):
    own = tmp_path / "installed"
    shutil.copytree(pretrained.FOLDER, own)
    before = sorted(own.rglob("*"))
    monkeypatch.setattr(pretrained, "FOLDER", own)
    wav.write(tmp_path / "noise.wav", np.full(24000, 0.01, np.float32), sample_rate_hz=16000)
    place = own / "english-words-listening-medium.tflite"
    assert evaluate.main([str(place), "--stream", str(tmp_path / "noise.wav")]) == 0
    assert sorted(own.rglob("*")) == before
