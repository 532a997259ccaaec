"""The report on a task's data: content and faults."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audio_tasks.base import Task, check_task
from audio_tasks.cache import kind_of
from audio_tasks.levels import levels_of
from audio_tasks.ranges import ranges_of
from bnn_exit.display import show, shown
from bnn_exit.errors import DataError
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.values import ValuesConfig

_SHOWN = 5


class CheckResult(NamedTuple):
    """Lines to print, with one line for each fault that makes figures unreliable.

    Warnings are about data that is valid but may give low accuracy.
    """

    lines: list[str]
    faults: list[str]
    warnings: list[str]


def print_report(task: Task) -> int:
    """Print the report on `task`; 0 if nothing is wrong, 1 otherwise."""
    report = check(task)
    show("\n".join(map(shown, report.lines)))
    for fault in report.faults:
        show(shown(f"WRONG: {fault}"))
    for warning in report.warnings:
        show(shown(f"WARNING: {warning}"))
    warned = f", but mind {_count(len(report.warnings), 'warning')}" if report.warnings else ""
    show(
        f"the data is fit for use{warned}"
        if not report.faults
        else f"not fit for use yet: {_count(len(report.faults), 'fault')}"
    )
    return 1 if report.faults else 0


def check(task: Task) -> CheckResult:
    """The content of the data: clips of each class and split, sample rates, lengths, levels, duplicates, leaks,
    unusable files.
    """
    faults = []
    of_values = isinstance(task.features, ValuesConfig)
    levels, warnings = ranges_of(task) if of_values else levels_of(task)
    try:
        check_task(task)
    except DataError as error:
        faults.append(str(error))
    lines = [
        f"task {task.name}: {len(task.labels)} classes, {sum(map(len, task.splits.values()))} "
        f"{'windows' if of_values else 'clips'} "
        f"of {task.clip_samples / task.features.sample_rate_hz:g} s at {task.features.sample_rate_hz:g} Hz",
        *(f"note: {note}" for note in task.notes),
        "",
        *_count_table(task),
        "",
        *_rates(task),
        *_lengths(task),
        *_duplicates(task),
        "",
        *levels,
    ]
    faults += _leaks(task)
    for reason, count in task.skipped.items():
        examples = [key for key, why in task.problems.items() if kind_of(why) == reason]
        faults.append(f"unusable: {_count(count, 'file')}: {reason}{_such_as(examples)}")
    return CheckResult(lines, faults, warnings)


def _count_table(task: Task) -> list[str]:
    counts = np.stack([np.bincount(split.labels, minlength=task.num_classes) for split in task.splits.values()], axis=1)
    names = [*map(shown, task.labels), "all"]
    width = max(map(len, (*names, "class")))
    heading = "".join(f"{name:>12}" for name in (*task.splits, "all"))
    rows = [("class".ljust(width), heading)]
    for label, row in zip_strict(names, np.vstack([counts, counts.sum(axis=0)])):
        rows.append((label.ljust(width), "".join(f"{number:>12}" for number in (*row, row.sum()))))
    return [name + figures for name, figures in rows]


def _rates(task: Task) -> list[str]:
    rates = Counter(_sample_rate(task.files[key]) for key in task.lengths)
    if not rates:
        return []
    text = ", ".join(
        f"{f'{rate} Hz' if rate else 'unknown'} ({_count(count, 'file')})" for rate, count in rates.most_common()
    )
    return [f"sample rates: {text}"]


def _sample_rate(path: Path) -> int | None:
    """The rate in a file's header, in Hz; None if unknown."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head[:4] == b"RIFF":
        position = head.find(b"fmt ")
        return struct.unpack_from("<I", head, position + 12)[0] if 0 <= position <= len(head) - 16 else None
    try:
        import soundfile

        return int(soundfile.info(path).samplerate)
    except (ImportError, OSError, RuntimeError):
        return None


def _lengths(task: Task) -> list[str]:
    if not task.lengths:
        return []
    samples = np.array(list(task.lengths.values()))
    low, middle, high, top = np.percentile(samples, [0, 50, 95, 100]) / task.features.sample_rate_hz
    # Within a hundredth, a file counts as exactly one clip long: encoders round to their own blocks.
    longer = int((samples > 1.01 * task.clip_samples).sum())
    shorter = int((samples < 0.99 * task.clip_samples).sum())
    return [
        f"lengths: {low:.2f} s to {top:.2f} s, half below {middle:.2f} s, 95 % below {high:.2f} s",
        f"longer than a clip, so their ends are cut off: {_count(longer, 'file')}; "
        f"shorter, so they get silence on both sides: {_count(shorter, 'file')}",
    ]


def _duplicates(task: Task) -> list[str]:
    groups = [keys for keys in _by_content(task).values() if len(keys) > 1]
    if not groups:
        return ["duplicates of another file: none"]
    spare = sum(len(keys) - 1 for keys in groups)
    return [f"duplicates of another file: {_count(spare, 'file')}{_such_as(' = '.join(keys) for keys in groups)}"]


def _by_content(task: Task) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    used = {key for split in task.splits.values() for key in split.ids}
    for key, content in task.contents.items():
        if key in used:
            groups[content].append(key)
    return groups


def _leaks(task: Task) -> list[str]:
    """Faults that make test figures too high or labels wrong."""
    faults = []
    place = {key: name for name, split in task.splits.items() for key in split.ids}
    label = {key: int(y) for split in task.splits.values() for key, y in zip_strict(split.ids, split.labels)}
    groups = _by_content(task).values()
    across = [keys for keys in groups if len({place[key] for key in keys}) > 1]
    if across:
        faults.append(
            f"the same clip in two splits: {_count(len(across), 'clip')}{_such_as(' = '.join(keys) for keys in across)}"
        )
    torn = [keys for keys in groups if len({label[key] for key in keys}) > 1]
    if torn:
        faults.append(
            f"the same clip in two classes: {_count(len(torn), 'clip')}{_such_as(' = '.join(keys) for keys in torn)}"
        )
    where: dict[str, set[str]] = defaultdict(set)
    for name, split in task.splits.items():
        for speaker in split.speakers or ():
            where[speaker].add(name)
    shared = sorted(speaker for speaker, names in where.items() if len(names) > 1)
    if shared:
        what = "group" if isinstance(task.features, ValuesConfig) else "speaker or source recording"
        faults.append(f"the same {what} in two splits: {len(shared)}{_such_as(shared)}")
    return faults


def _such_as(examples: Iterable[str]) -> str:
    found = list(examples)
    if not found:
        return ""
    return f" ({', '.join(found[:_SHOWN])}{', ...' if len(found) > _SHOWN else ''})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
