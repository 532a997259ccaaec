"""The logits of a run's model file for clips from the field, for `drift`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnn_exit.difficulty.progress import Progress
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import POLICIES
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.scoring import ClipCounts, score_clips


def field_exit_logits(model: Path, clips: Sequence[str], *, counts: ClipCounts, workers: int = 1) -> ExitLogits:
    """Logits of every exit for clips without labels.

    A clip that cannot be used is reported on stderr and left out; one of another sample rate is resampled, which is
    reported as well.

    Args:
        model: the model file.
        clips: audio files, folders, .txt files with one path a line, "-" for such lines on standard input; or a single
            .npz file that `ExitLogits.save` wrote.
        counts: updated for each clip.
        workers: processes that run the clips.

    Raises:
        ArgumentError: a file whose policy changes the probabilities of the exits.
        DataError: none of the clips can be used, or a damaged .npz file.
    """
    if len(clips) == 1 and clips[0].endswith(".npz"):
        return ExitLogits.load(clips[0])
    session = runtime.load(model)
    policy = session.metadata.policy
    if not POLICIES[policy].keeps_probabilities():
        raise ArgumentError(
            f"{model} has the policy {policy}, which changes the probabilities of the exits, so they cannot be "
            "compared with those of calibration: give an .npz file of the network's own logits"
        )
    progress, names, probabilities, gate = Progress(clips), [], [], []
    for clip in score_clips(session, progress, counts=counts, report=progress.log, workers=workers):
        names.append(clip.name)
        probabilities.append(clip.probabilities)
        gate.append(clip.scores[-1])
    if not probabilities:
        raise DataError(f"none of the clips could be used ({counts.failed} failed): there is nothing to compare")
    for line in counts.lines():
        progress.log(line)
    gate_scores = np.asarray(gate, np.float32) if session.metadata.skips else None
    return ExitLogits.from_probabilities(np.stack(probabilities), names=tuple(names), gate_scores=gate_scores)
