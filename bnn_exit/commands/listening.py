"""After a training: what is still to be done, and for a wake word the listening point of its file."""

from __future__ import annotations

import shlex
import sys

from audio_tasks.base import Task
from bnn_exit.commands import calibrate
from bnn_exit.commands.calibrate_stream import calibrate_stream, check_stream_options
from bnn_exit.commands.stream_words import recordings_of
from bnn_exit.display import show
from bnn_exit.errors import BnnExitError
from bnn_exit.runs.folder import RunFolder

FALSE_ACCEPTS_PER_HOUR = 0.5
"""Of the listening point that a training writes. `calibrate` writes others."""
_OF_STREAMS = "wake_word"


def add_listening_point(run: RunFolder, task: Task) -> None:
    """Choose a listening point for a wake word on the validation recordings of its negatives, and print it.

    Other tasks, and a wake word without negatives, get none. Where none keeps the rate, a note says so: the training
    itself has succeeded.
    """
    recordings = recordings_of(task, task.validation)
    if task.name != _OF_STREAMS or not recordings:
        return
    given = [str(run), "--max-false-accepts-per-hour", str(FALSE_ACCEPTS_PER_HOUR), "--stream", *recordings]
    options = calibrate.parser().parse_args(given)
    check_stream_options(options)
    show("")
    try:
        calibrate_stream(options)
    except BnnExitError as error:
        show(f"note: no listening point was written: {error}", file=sys.stderr)


def after_training(run: RunFolder, task: Task) -> str:
    """Lines for the user at the end of a training that made a model file."""
    evaluate = f"next: python -m bnn_exit.evaluate {shlex.quote(str(run))}"
    if task.name != _OF_STREAMS:
        return evaluate
    if task.options.get("negatives") is None:
        return (
            "note: it learned its phrase and what sounds like it, but not the speech and noise of a day. For a "
            "microphone that never stops, train it with --negatives DIR: hours of recordings without the phrase\n"
            f"{evaluate}"
        )
    return f"{evaluate}\n      python -m bnn_exit.listen {shlex.quote(str(run.model))}"
