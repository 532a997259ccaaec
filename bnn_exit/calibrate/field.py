"""The answers of a run's model file to clips from the field, for `drift`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnn_exit.answers import Answers
from bnn_exit.difficulty import sources
from bnn_exit.difficulty.score_clips import error_line, hear
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.policies import POLICIES
from bnn_exit.runtime import session as runtime


def field_answers(folder: Path, clips: Sequence[str]) -> Answers:
    """What every exit says about clips without labels.

    A clip that cannot be used is told on stderr and left out.

    Args:
        folder: of the run, whose model.tflite is asked.
        clips: audio files, folders, .txt files with one path a line, "-" for such lines on standard input; or a single
            .npz file that `Answers.save` wrote.

    Raises:
        ArgumentError: a file whose policy answers with more than each exit's own logits.
        DataError: none of the clips can be used, or a damaged .npz file.
    """
    if len(clips) == 1 and clips[0].endswith(".npz"):
        return Answers.load(clips[0])
    from tqdm import tqdm

    session = runtime.load(folder / "model.tflite")
    policy = session.metadata.policy
    if not POLICIES[policy].keeps_answers():
        raise ArgumentError(
            f"{folder / 'model.tflite'} has the policy {policy}, which changes what the exits say, so its answers "
            "cannot be compared with those of calibration: give an .npz file of the network's own"
        )
    names, said, failed = [], [], 0
    for clip in tqdm(sources.clips(clips), desc="clips", unit="clip", file=sys.stderr, disable=None):
        try:
            if isinstance(clip, BnnExitError):
                raise clip
            heard = hear(session, clip)
        except BnnExitError as error:
            failed += 1
            tqdm.write(f"error: {error_line(error, clip)}", file=sys.stderr)
            continue
        names.append(heard.name)
        said.append(heard.probabilities)
    if not said:
        raise DataError(f"none of the clips could be used ({failed} failed): there is nothing to compare")
    return Answers.of_probabilities(np.stack(said), names=tuple(names))
