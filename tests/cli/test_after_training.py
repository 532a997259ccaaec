"""What a training says at its end: how to measure it, and what a wake word lacks for a stream."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from bnn_exit.commands import listening
from bnn_exit.errors import DataError
from bnn_exit.runs.folder import RunFolder

EVALUATE = "next: python -m bnn_exit.evaluate 'runs/my word'"


@pytest.mark.parametrize(
    ("name", "options", "lines"),
    [
        ("synthetic", {}, [EVALUATE]),
        (
            "wake_word",
            {},
            [
                "note: it learned its phrase and what sounds like it, but not the speech and noise of a day. For a "
                "microphone that never stops, train it with --negatives DIR: hours of recordings without the phrase",
                EVALUATE,
            ],
        ),
        (
            "wake_word",
            {"negatives": "hours"},
            [EVALUATE, "      python -m bnn_exit.listen 'runs/my word/model.tflite'"],
        ),
    ],
)
def test_the_last_lines_of_a_training(name, options, lines):
    task = types.SimpleNamespace(name=name, options=options)
    assert listening.after_training(RunFolder(Path("runs/my word")), task).splitlines() == lines


def wake_word(**options):
    names = ("hey lamp/f1_0", "negatives/b/two.wav@0.00s", "negatives/one.wav@0.00s", "negatives/one.wav@2.50s")
    return types.SimpleNamespace(
        name="wake_word", options=options, validation=types.SimpleNamespace(ids=names if options else names[:1])
    )


def test_the_listening_point_is_chosen_on_recordings_that_training_did_not_see(monkeypatch):
    calls = []
    monkeypatch.setattr(listening, "calibrate_stream", calls.append)
    run = RunFolder(Path("runs/my word"))
    listening.add_listening_point(run, wake_word(negatives="/hours"))
    (options,) = calls
    assert options.run == "runs/my word" and options.max_false_accepts_per_hour == 0.5
    assert options.stream == ["/hours/b/two.wav", "/hours/one.wav"] and options.confidence is None
    listening.add_listening_point(run, wake_word())
    other = wake_word(negatives="/hours")
    other.name = "speech_commands"
    listening.add_listening_point(run, other)
    assert len(calls) == 1


def test_a_rate_that_cannot_be_kept_is_a_note(monkeypatch, capsys):
    def refuse(options):
        raise DataError("no threshold keeps the rate")

    monkeypatch.setattr(listening, "calibrate_stream", refuse)
    listening.add_listening_point(RunFolder(Path("runs/lamp")), wake_word(negatives="/hours"))
    assert capsys.readouterr().err == "note: no listening point was written: no threshold keeps the rate\n"
