"""Data sets as tasks: labelled clips in three splits, with their features. `load` loads one."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from typing import Any

from audio_tasks.base import Task, check_task
from audio_tasks.negatives import DEFAULT_SHARE, with_negatives
from audio_tasks.split import SPLITS, Split
from bnn_exit.display import show, shown
from bnn_exit.errors import ArgumentError, nearest, one_of
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.values import Features
from bnn_exit.task import TaskOption

__all__ = ["SPLITS", "TASKS", "Loader", "Split", "Task", "check_task", "flags", "load", "load_again", "of_sound"]

_COMMON = ("data_dir", "features", "cache_dir", "seed")


@dataclasses.dataclass(frozen=True)
class Loader:
    """A task's load function by name. Its module is imported at the first use: a task may need optional packages.

    Attributes:
        module, function: where it is.
        flags: options of the task that have a flag of their own in the commands.
        sound: whether its clips are sound, of which log-mels are made; else values of sensors or spectra.
    """

    module: str
    function: str = "load"
    flags: Mapping[str, TaskOption] = dataclasses.field(default_factory=dict)
    sound: bool = True

    def resolve(self) -> Any:
        """The function."""
        return getattr(importlib.import_module(self.module), self.function)

    def options(self) -> dict[str, Any]:
        """The options that this task has beside those that every task has, with their defaults."""
        parameters = inspect.signature(self.resolve()).parameters
        return {name: parameter.default for name, parameter in parameters.items() if name not in _COMMON}

    def __call__(self, **arguments: Any) -> Task:
        """Load the task."""
        return self.resolve()(**arguments)


_WORDS = {"words": TaskOption("12|all", "12 for ten words, unknown and silence")}
_FOLD = {"fold": TaskOption("1..5", "the fold to test on", int)}
_WAKE = {
    "phrase": TaskOption("TEXT", "what to listen for; repeat it for several phrases", repeated=True),
    "positives": TaskOption("DIR", "folder of recordings of the phrase by people, to learn from as well"),
}

_SERIES = {
    "window_s": TaskOption(
        "SECONDS", "length of a window (default: 2): longer is more accurate, and answers later", float
    ),
    "hop_s": TaskOption("SECONDS", "from one window to the next (default: half a window)", float),
    "rate_hz": TaskOption("HZ", "samples a second (default: those of the time stamps): lower is cheaper", float),
    "group": TaskOption("NAME", "array or column that tells whom a sample is of: no group is in two splits"),
    "recording": TaskOption("NAME", "array or column that tells which recording a sample is of"),
    "time": TaskOption("NAME", "array or column of time stamps"),
    "time_unit": TaskOption("s|ms|us|ns", "of the time stamps (default: s)"),
    "mixed": TaskOption("keep|drop", "windows with more than one label (default: keep, with the most frequent)"),
}

TASKS: dict[str, Loader] = {
    "speech_commands": Loader("audio_tasks.speech_commands", flags=_WORDS),
    "esc50": Loader("audio_tasks.esc50", flags=_FOLD),
    "esc10": Loader("audio_tasks.esc50", "load_esc10", flags=_FOLD),
    "folder": Loader("audio_tasks.folder"),
    "synthetic": Loader("audio_tasks.synthetic"),
    "wake_word": Loader("audio_tasks.wake_word", flags=_WAKE),
    "timeseries": Loader("audio_tasks.timeseries", flags=_SERIES, sound=False),
}


def of_sound(name: str) -> bool:
    """Whether the clips of the task called `name` are sound, not values of sensors."""
    return getattr(TASKS[name], "sound", True)


def flags() -> dict[str, TaskOption]:
    """Options of tasks that have a flag of their own in the commands; the help text names the tasks."""
    found: dict[str, TaskOption] = {}
    names: dict[str, list[str]] = {}
    for task, loader in TASKS.items():
        for name, option in getattr(loader, "flags", {}).items():
            found[name] = option
            names.setdefault(name, []).append(task)
    return {name: option._replace(about=f"{', '.join(names[name])}: {option.about}") for name, option in found.items()}


def check_negatives(name: str, negatives: str | os.PathLike[str] | None) -> None:
    """Raise ArgumentError if the task called `name` cannot have these negatives, None or a folder."""
    if not of_sound(name) and negatives is not None:
        raise ArgumentError(f"negatives are recordings of sound, but the task {name} has none: leave them out")


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: Features | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    negatives: str | os.PathLike[str] | None = None,
    negatives_share: float | None = None,
    **options: Any,
) -> Task:
    """Load the task called `name`. Notes (skipped files, missing lists) go to stderr.

    Args:
        name: one of TASKS.
        data_dir: folder or archive with the data; its content depends on the task.
        features: log-mel settings; the defaults of FeatureConfig if None. Ignored by tasks without sound.
        cache_dir: folder for downloads, decoded clips and features; BNN_EXIT_CACHE or ~/.cache/bnn_exit if None.
        seed: of every random choice of a task.
        negatives: folder of long recordings without the classes, for the class `unknown` (see
            `audio_tasks.negatives.with_negatives`).
        negatives_share: of the clips of each split that are cuts of them; 0.3 if None.
        **options: the task's own: `words` (speech_commands), `fold` (esc50, esc10), see each loader.

    Raises:
        ArgumentError: unknown task or option, or a value out of range.
        DataError: the data is missing, damaged or in another layout.
    """
    loader = TASKS[one_of("task", name, TASKS)]
    known = loader.options()
    for option in options:
        if option not in known:
            has = ", ".join(sorted(known)) or "none"
            raise ArgumentError(f"task {name} has no option {option!r}; its options: {has}{nearest(option, known)}")
    if negatives is None and negatives_share is not None:
        raise ArgumentError(f"negatives_share is {negatives_share!r}, but there are no negatives: give their folder")
    check_negatives(name, negatives)
    task = loader(data_dir=data_dir, features=features or FeatureConfig(), cache_dir=cache_dir, seed=seed, **options)
    if negatives is not None:
        share = DEFAULT_SHARE if negatives_share is None else negatives_share
        task = with_negatives(task, negatives, share=share, seed=seed, cache_dir=cache_dir)
    for note in task.notes:
        show(shown(f"note: {note}"), file=sys.stderr)
    if task.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in task.skipped.items())
        show(f"note: {sum(task.skipped.values())} files skipped: {reasons}", file=sys.stderr)
    return task


def load_again(
    task: Any,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    negatives: str | os.PathLike[str] | None = None,
) -> Task:
    """Load a task that was loaded before.

    Args:
        task: a Task, or the part of one that a run stores: its `name`, `options`, `features` and `labels`.
        data_dir: where the data is now; None if it is where it was.
        cache_dir: as of `load`.
        negatives: where its long recordings are now, if it has any; None if they are where they were.

    Raises:
        ArgumentError: the data has other labels now, or negatives for a task without.
        DataError: as of `load`.
    """
    if negatives is not None and "negatives" not in task.options:
        raise ArgumentError("negatives are given, but the task was loaded without any: leave them out")
    moved = {"data_dir": data_dir, "negatives": negatives}
    options = {**task.options, **{name: place for name, place in moved.items() if place is not None}}
    found = load(task.name, features=task.features, cache_dir=cache_dir, **options)
    if found.labels != task.labels:
        different = ", ".join(sorted(set(found.labels) ^ set(task.labels))[:3]) or "their order"
        raise ArgumentError(
            f"the data has other labels than before (look at {different}): give its folder with --data-dir, or start "
            "a new run"
        )
    return found


def option(text: str) -> tuple[str, str | int | float]:
    """Name and value of a task's option as commands take it, NAME=VALUE; ArgumentError for another form."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentError(f"option {text!r} must have the form NAME=VALUE")
    for convert in (int, float):
        try:
            return name, convert(value)
        except ValueError:
            continue
    return name, value
