"""What a training says at its end: how to measure it, and what a wake word lacks for a stream."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from bnn_exit.commands import listening
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
        ("wake_word", {"negatives": "hours"}, [EVALUATE]),
    ],
)
def test_the_last_lines_of_a_training(name, options, lines):
    task = types.SimpleNamespace(name=name, options=options)
    assert listening.after_training(RunFolder(Path("runs/my word")), task).splitlines() == lines
