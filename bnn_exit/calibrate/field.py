"""The answers of a run's model file to clips from the field, for `drift`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnn_exit.answers import Answers
from bnn_exit.artifact import MODEL
from bnn_exit.difficulty.progress import Progress
from bnn_exit.difficulty.score_clips import Heard, hear_all
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.policies import POLICIES
from bnn_exit.runtime import session as runtime


def field_answers(folder: Path, clips: Sequence[str], *, heard: Heard) -> Answers:
    """What every exit says about clips without labels.

    A clip that cannot be used is told on stderr and left out; one of another sample rate is resampled, which is told as
    well.

    Args:
        folder: of the run, whose model.tflite is asked.
        clips: audio files, folders, .txt files with one path a line, "-" for such lines on standard input; or a single
            .npz file that `Answers.save` wrote.
        heard: is counted up.

    Raises:
        ArgumentError: a file whose policy answers with more than each exit's own logits.
        DataError: none of the clips can be used, or a damaged .npz file.
    """
    if len(clips) == 1 and clips[0].endswith(".npz"):
        return Answers.load(clips[0])
    session = runtime.load(folder / MODEL)
    policy = session.metadata.policy
    if not POLICIES[policy].keeps_answers():
        raise ArgumentError(
            f"{folder / MODEL} has the policy {policy}, which changes what the exits say, so its answers "
            "cannot be compared with those of calibration: give an .npz file of the network's own"
        )
    progress, names, said = Progress(clips), [], []
    for row in hear_all(session, progress, heard=heard, tell=progress.tell):
        names.append(row.name)
        said.append(row.probabilities)
    if not said:
        raise DataError(f"none of the clips could be used ({heard.failed} failed): there is nothing to compare")
    for line in heard.lines():
        progress.tell(line)
    return Answers.of_probabilities(np.stack(said), names=tuple(names))
