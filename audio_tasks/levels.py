"""The level of a task's clips, by class."""

from __future__ import annotations

import numpy as np

from audio_tasks.base import Task
from bnn_exit.audio.level import ACTIVE_DB, QUIET_DB, SPEECH_DB, level
from bnn_exit.display import shown

MOST_CLIPS = 200
"""How many clips of a class are looked at."""
SILENT = ("silence", "_silence_")
"""Classes that are quiet by intent."""


def levels_of(task: Task) -> tuple[list[str], list[str]]:
    """A table with the level of each class and of the whole, and a warning of what is far below the level of speech."""
    table = {label: _levels(task, index) for index, label in enumerate(task.labels)}
    table = {label: found for label, found in table.items() if len(found)}
    if not table:
        return [], []
    loud = {label: found for label, found in table.items() if label not in SILENT} or table
    rows = {**table, "all": np.concatenate(list(loud.values()))}
    names = {label: shown(label) for label in rows}
    width = max(len(name) for name in (*names.values(), "class"))
    lines = [
        f"levels in dBFS, medians: of all samples (RMS), of the frames at most {ACTIVE_DB:.0f} dB below the loudest "
        "(active), of the",
        f"largest sample (peak); quiet: clips with an active level below {QUIET_DB:.0f}",
        f"{'class'.ljust(width)}{'RMS':>12}{'active':>12}{'peak':>12}{'quiet':>12}",
    ]
    for label, found in rows.items():
        figures = "".join(f"{_shown(value):>12}" for value in np.median(found, axis=0))
        lines.append(f"{names[label].ljust(width)}{figures}{np.mean(found[:, 1] < QUIET_DB):>12.0%}")
    return lines, _warnings(loud)


def _levels(task: Task, label: int) -> np.ndarray:
    """RMS, active level and peak `[clips, 3]` of clips of a class, spread over all splits."""
    places = [
        (split, index) for split in task.splits.values() for index in np.flatnonzero(np.asarray(split.labels) == label)
    ]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(MOST_CLIPS, len(places))).astype(int)) if places else []
    return np.array([level(split.waveform(index)) for split, index in (places[each] for each in chosen)])


def _warnings(table: dict[str, np.ndarray]) -> list[str]:
    quiet = [label for label, found in table.items() if np.median(found[:, 1]) < QUIET_DB]
    if not quiet:
        return []
    if len(quiet) == len(table):
        what = "the clips are"
        figure = np.median(np.concatenate(list(table.values()))[:, 1])
    else:
        some = ", ".join(map(shown, quiet[:5])) + (", ..." if len(quiet) > 5 else "")
        what = f"the clips of {len(quiet)} of {len(table)} classes ({some}) are"
        figure = np.median(np.concatenate([table[label] for label in quiet])[:, 1])
    return [
        f"{what} quiet: their active level is {_shown(figure)} dBFS, that of speech about {SPEECH_DB:.0f}; a network "
        "that learns from them fails at another level, so raise the recording level, or the gain of the files"
    ]


def _shown(decibels: float) -> str:
    return f"{decibels:.1f}" if np.isfinite(decibels) else "silent"
