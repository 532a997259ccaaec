"""After a training: what is still to be done, and for a wake word the listening point of its file."""

from __future__ import annotations

import shlex

from audio_tasks.base import Task
from bnn_exit.runs.folder import RunFolder

_OF_STREAMS = "wake_word"


def after_training(run: RunFolder, task: Task) -> str:
    """Lines for the user at the end of a training that made a model file.

    The file of a wake word is for streams, so these say what it needs to listen to one.
    """
    evaluate = f"next: python -m bnn_exit.evaluate {shlex.quote(str(run))}"
    if task.name != _OF_STREAMS:
        return evaluate
    if task.options.get("negatives") is None:
        return (
            "note: it learned its phrase and what sounds like it, but not the speech and noise of a day. For a "
            "microphone that never stops, train it with --negatives DIR: hours of recordings without the phrase\n"
            f"{evaluate}"
        )
    return evaluate
