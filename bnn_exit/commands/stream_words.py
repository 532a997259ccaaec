"""The recordings that `calibrate --stream` chooses a listening point on: negatives, and words."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import audio_tasks
from audio_tasks.base import Task
from audio_tasks.mix import EVENTS, mix
from audio_tasks.mix_command import found_files
from audio_tasks.placing import MixSettings
from audio_tasks.split import Split
from bnn_exit import pretrained
from bnn_exit.calibration.listening import Recordings
from bnn_exit.commands.evaluate_stream import read_truths
from bnn_exit.commands.measured_model import is_shipped, model_of, shipped_task
from bnn_exit.display import shown
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.progress import progress_bar
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime.session import Session
from bnn_exit.streams.counts import Truth
from bnn_exit.streams.distinct import check_distinct
from bnn_exit.streams.recorded import score
from bnn_exit.text import counted

SPLIT = "validation"
SEED = 0
"""Of the recordings that are made of validation clips."""
NEED_WORDS = ("max_delay_ms", "max_recall_loss", "snr_db")
"""Options that say nothing without words."""

Tell = Callable[[str], None]


def scored(
    session: Session, paths: Sequence[str], truths: Sequence[Truth], *, point: ListeningPoint, tell: Tell
) -> Recordings:
    """Recordings whose windows went through every exit."""
    bar = progress_bar(paths, desc="recordings", unit="file")
    return Recordings([score(session, path, hop_ms=point.hop_ms, warn=tell).windows for path in bar], truths)


def words_of(
    session: Session, options: argparse.Namespace, negatives: Sequence[str], *, point: ListeningPoint, tell: Tell
) -> Recordings | None:
    """Recordings with words: those of --positives, else validation clips mixed into the negatives.

    None for a model without its data, such as a file that was copied: false accepts alone choose the threshold then.

    Raises:
        ArgumentError: an option that needs words, and there are none.
    """
    if options.positives is not None:
        paths = [str(path) for path in found_files(options.positives)]
        check_distinct([*negatives, *paths])  # a word in a negative would be a false accept
        truths = read_truths(session, paths, events=options.events, transcripts=None, point=point, what="--positives")
        if not any(truth.words for truth in truths):
            raise ArgumentError(f"--events {options.events} has no word of the recordings of --positives")
        return scored(session, paths, truths, point=point, tell=tell)
    task = _task(options, tell=tell)
    if task is None:
        return None
    _warn_of_learned(task, negatives, tell=tell)
    with tempfile.TemporaryDirectory(prefix="bnn_exit_") as folder:
        made = mix(
            task.split(SPLIT),
            labels=task.labels,
            chosen=list(point.thresholds),
            backgrounds=negatives,
            out=folder,
            sample_rate_hz=session.metadata.sound.sample_rate_hz,
            settings=MixSettings(snr_db=tuple(options.snr_db or (10.0,)), seed=SEED),
        )
        paths = [str(each.path) for each in made]
        truths = read_truths(session, paths, events=str(Path(folder) / EVENTS), transcripts=None, point=point)
        return scored(session, paths, truths, point=point, tell=tell)


def recordings_of(task: Task, split: Split) -> list[str]:
    """The files of the negatives of a task that gave clips to this split, and so none to the others."""
    root = task.options.get("negatives")
    if root is None:
        return []
    cuts = {clip.rpartition("@")[0] for clip in split.ids if clip.startswith("negatives/")}
    return [str(Path(root) / name.partition("/")[2]) for name in sorted(cuts)]


def _warn_of_learned(task: Task, paths: Sequence[str], *, tell: Tell) -> None:
    learned = set(map(os.path.realpath, recordings_of(task, task.train)))
    found = [path for path in paths if os.path.realpath(path) in learned]
    if found:
        tell(
            f"warning: the network was trained with {len(found)} of the {counted(len(paths), 'recording')}, such as "
            f"{shown(found[0])}: on new audio it will make more false accepts, and no bound holds; give others"
        )


def _task(options: argparse.Namespace, *, tell: Tell) -> Task | None:
    """The data of the run, or of a model of the package; None if nobody knows where they are."""
    give = "give --positives and --events, recordings with words and a table of them"
    if is_shipped(options.run):
        entry = pretrained.models()[options.run]
        if options.data_dir is not None:
            return shipped_task(options.run, data_dir=options.data_dir, negatives=options.negatives)
        missing = f"--data-dir is missing, the data of {options.run} ({entry.attribution}); or {give}"
    else:
        folder = RunFolder(model_of(options.run).parent)
        if (folder.path / "config.json").is_file():
            return audio_tasks.load_again(folder.config.task, data_dir=options.data_dir, negatives=options.negatives)
        missing = f"{options.run} is in no run, whose validation clips could be mixed: {give}"
    for name in NEED_WORDS:
        if getattr(options, name) is not None:
            raise ArgumentError(f"--{name.replace('_', '-')} needs words, but {missing}")
    tell(f"note: there are no words to find, so the loosest threshold that keeps the rate is taken: {missing}")
    return None
