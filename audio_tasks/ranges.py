"""The range of each channel of a task of values, and how many groups its splits have."""

from __future__ import annotations

import numpy as np

from audio_tasks.base import Task
from bnn_exit.display import shown
from bnn_exit.settings.values import ValuesConfig

MOST_WINDOWS = 2000
"""How many windows of a split are looked at."""


def ranges_of(task: Task) -> tuple[list[str], list[str]]:
    """A table with minimum, mean, standard deviation and maximum of each channel, the number of groups of each split,
    and a warning of channels that never change or that have other means in test than in training.
    """
    assert isinstance(task.features, ValuesConfig)
    names = [shown(name) for name in task.features.channels]
    width = max(map(len, (*names, "channel")))
    values = {name: _some(task, name) for name, split in task.splits.items() if len(split)}
    groups = [f"{len(set(split.speakers or ()))} in {name}" for name, split in task.splits.items()]
    lines = [f"groups: {', '.join(groups)}", ""]
    if "train" not in values:
        return lines, []
    train = values["train"]
    lines.append(f"{'channel'.ljust(width)}{'minimum':>12}{'mean':>12}{'deviation':>12}{'maximum':>12}")
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    for number, name in enumerate(names):
        figures = (train[:, number].min(), mean[number], deviation[number], train[:, number].max())
        lines.append(name.ljust(width) + "".join(f"{figure:>12.4g}" for figure in figures))
    warnings = []
    constant = [names[number] for number in np.flatnonzero(deviation <= 1e-6 * np.abs(mean))]
    if constant:
        warnings.append(f"constant in training, so networks ignore it: {', '.join(constant)}")
    if "test" in values:
        apart = np.abs(values["test"].mean(axis=0) - mean) > deviation
        drifted = [name for name, is_apart in zip(names, apart) if is_apart and name not in constant]
        if drifted:
            warnings.append(
                f"means in test and training are more than a standard deviation apart: {', '.join(drifted)}: look at "
                "units and at how sensors were worn"
            )
    return lines, warnings


def _some(task: Task, name: str) -> np.ndarray:
    """Samples `[samples, channels]` of windows that are spread over a split."""
    split = task.splits[name]
    chosen = np.unique(np.linspace(0, len(split) - 1, min(MOST_WINDOWS, len(split))).astype(int))
    return split.waveforms(chosen).reshape(-1, task.input_shape[-1]).astype(np.float64)
