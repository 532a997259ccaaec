"""Values of sensors, or spectra, as a task: recordings cut into windows, or windows that somebody cut."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_tasks.base import Task, check_task
from audio_tasks.cache import digest
from audio_tasks.check import print_report
from audio_tasks.samples import Names, Samples, read_samples
from audio_tasks.split import SPLITS, Split
from audio_tasks.splits import check_shares, split_folds, split_groups
from audio_tasks.windows import MIXED, Cut, Cutting, cut
from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded
from bnn_exit.pairs import zip_strict
from bnn_exit.settings.values import ValuesConfig
from bnn_exit.text import counted

FORMS = "an .npz file, a .csv file or a folder of .csv files"
_MIN_GROUPS = 3


def load(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: object = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    window_s: float | None = None,
    hop_s: float | None = None,
    rate_hz: float = 0.0,
    gap_s: float = 0.5,
    mixed: str = "keep",
    values: str = "values",
    label: str = "label",
    group: str = "",
    recording: str = "",
    time: str = "",
    time_unit: str = "s",
    validation_fraction: float = 0.15,
    test_fraction: float = 0.2,
    fold: int = 0,
    folds: int = 5,
    licence: str = "",
    attribution: str = "",
) -> Task:
    """Windows of sensors or spectra, split so that no group is in two splits.

    Args:
        data_dir: an .npz file, a .csv file or a folder of .csv files (see `audio_tasks.samples.read_samples`).
        features: ignored: the data has its own, the rate and the channels.
        cache_dir: ignored: windows are cut in seconds.
        seed: of the split of groups.
        window_s: length of a window in seconds; None: 2. Longer ones hold more to decide by, and answer later. Not
            for data that are windows already.
        hop_s: seconds from the start of a window to that of the next one; None: half of a window. Shorter makes more
            training windows, which overlap.
        rate_hz: samples a second of the windows; 0: that of the time stamps. Lower is cheaper. Needed without time
            stamps; of windows that are given it only tells how long they last (0: no time, as in a spectrum).
        gap_s: time stamps that are further apart make two recordings of one.
        mixed: what becomes of windows with more than one label, "keep" (the most frequent label) or "drop".
        values, label, group, recording, time: what arrays (or columns) are called; "" for what is not there. Without a
            group every recording is one, and every window that is given.
        time_unit: "s", "ms", "us" or "ns".
        validation_fraction, test_fraction: share of the windows, each above 0, together below 1.
        fold: 0 splits once; 1 to `folds` tests on that part of the groups, for a figure over all of them.
        folds: how many parts there are for `fold`.
        licence, attribution: of the data; they go into the model file.

    Raises:
        ArgumentError: no data_dir, or a value out of range.
        DataError: the data is missing, damaged, or too little for three splits.

    Example:
        >>> task = audio_tasks.load(
        ...     "timeseries", data_dir="phone.npz", group="subject", recording="recording", time="time_ms",
        ...     time_unit="ms", rate_hz=50,
        ... )
        >>> task.input_shape
        (100, 1, 6)
    """
    options = {name: value for name, value in locals().items() if name not in ("features", "cache_dir", "data_dir")}
    return check_task(read(data_dir=data_dir, **options))


def read(*, data_dir: str | os.PathLike[str] | None, **options: Any) -> Task:
    """As `load`, but a class or split without windows is no error, so that the report can name it."""
    if data_dir is None:
        raise ArgumentError(f"task timeseries needs --data-dir: {FORMS}")
    _check_options(**{name: options[name] for name in ("validation_fraction", "test_fraction", "fold", "folds")})
    place = expanded(data_dir)
    names = Names(**{field.name: options[field.name] for field in dataclasses.fields(Names)})
    found = read_samples(place, names)
    made, notes = _windows(found, options)
    windows = made.windows
    labels = tuple(sorted(set(windows.labels.tolist())))
    numbers = np.searchsorted(labels, windows.labels).astype(np.int32)
    groups = windows.groups.tolist()
    _check_groups(groups, options["folds"] if options["fold"] else _MIN_GROUPS)
    shares = {"validation": options["validation_fraction"], "seed": options["seed"]}
    if options["fold"]:
        of_window = split_folds(groups, numbers.tolist(), fold=options["fold"], folds=options["folds"], **shares)
    else:
        of_window = split_groups(groups, numbers.tolist(), test=options["test_fraction"], **shares)
    splits = {name: _split(name, np.flatnonzero(np.array(of_window) == name), made, numbers) for name in SPLITS}
    return Task(
        name="timeseries",
        labels=labels,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        clip_samples=windows.values.shape[1],
        features=ValuesConfig(sample_rate_hz=made.rate_hz, channels=found.channels),
        licence=options["licence"],
        attribution=options["attribution"],
        options={"data_dir": str(place.resolve()), **options},
        notes=notes,
        contents={key: digest([values.tobytes()]) for key, values in zip_strict(made.ids, windows.values)},
    )


def _windows(found: Samples, options: dict[str, Any]) -> tuple[Cut, tuple[str, ...]]:
    """The windows, and remarks on what was left out."""
    if found.windows is not None:
        for name in ("window_s", "hop_s"):
            if options[name] is not None:
                raise ArgumentError(f"{name} is {options[name]!r}, but the data are windows already: leave it out")
        return _given(found, options["rate_hz"])
    window_s = 2.0 if options["window_s"] is None else options["window_s"]
    hop_s = window_s / 2 if options["hop_s"] is None else options["hop_s"]
    how = Cutting(window_s, hop_s, options["rate_hz"], options["gap_s"], options["mixed"])
    made = cut(found.recordings, how)
    count = len(found.recordings)
    notes = [
        f"{counted(count, 'recording')} cut into {counted(len(made.ids), 'window')} of {window_s:g} s at "
        f"{made.rate_hz:g} Hz"
    ]
    if made.gaps:
        notes.append(
            f"{made.gaps} of {counted(count, 'recording')} have gaps of more than {how.gap_s:g} s, and were cut there"
        )
    notes += [f"left out: {number} {reason}" for reason, number in made.left_out.items()]
    return made, tuple(notes)


def _given(found: Samples, rate_hz: float) -> tuple[Cut, tuple[str, ...]]:
    windows = found.windows
    assert windows is not None
    whole = np.isfinite(windows.values).all(axis=(1, 2))
    if not whole.any():
        raise DataError("every window has a sample that is missing (NaN): none can be used")
    left = int((~whole).sum())
    ids = tuple(f"window_{number}" for number in np.flatnonzero(whole))
    kept = type(windows)(*(array[whole] for array in windows))
    notes = (f"left out: {left} with missing samples",) if left else ()
    return Cut(kept, ids, rate_hz or 1.0, {}, 0), notes


def _split(name: str, chosen: np.ndarray, made: Cut, labels: np.ndarray) -> Split:
    values = made.windows.values[chosen]
    return Split(
        name=name,
        ids=tuple(made.ids[index] for index in chosen),
        labels=labels[chosen],
        speakers=tuple(made.windows.groups[chosen].tolist()),
        _read=lambda index: values[index],
        fingerprint=digest([values.tobytes(), *(made.ids[index] for index in chosen)]),
    )


def _check_options(validation_fraction: float, test_fraction: float, fold: int, folds: int) -> None:
    check_shares(validation=validation_fraction, test=test_fraction)
    if not 2 <= folds <= 100:
        raise ArgumentError(f"folds is {folds!r}, but must be from 2 to 100")
    if not 0 <= fold <= folds:
        raise ArgumentError(f"fold is {fold!r}, but must be from 1 to {folds}, or 0 to split once")


def _check_groups(groups: Sequence[str], least: int) -> None:
    count = len(set(groups))
    if count < least:
        raise DataError(
            f"there are {count} groups, but {least} are needed so that none is in two splits: name what windows of one "
            "source have in common with --group, or leave it out to split by recording"
        )


EPILOG = """\
examples:
  python -m audio_tasks.timeseries phone.npz --check --group subject --recording recording --time time_ms --time-unit ms
  python -m audio_tasks.timeseries spectra.npz --check --group instrument

Data: an .npz file with arrays `values` [samples, channels] and, for each sample, `label` and what the options name; or
windows that are cut already, `values` [windows, samples, channels] with a label each; or .csv files whose header names
their columns, of which those that no option names are the channels.

Exit status: 0 if the data is fit for use, 1 if something is wrong with it (each fault is named),
2 for a wrong argument.
"""

_OPTIONS: dict[str, tuple[Any, str]] = {
    "window_s": (float, "length of a window in seconds; default 2"),
    "hop_s": (float, "from one window to the next; default half a window"),
    "rate_hz": (float, "samples a second; default those of the time stamps"),
    "gap_s": (float, "time stamps that are further apart make two recordings of one; default 0.5"),
    "mixed": (str, f"windows with more than one label: {' or '.join(MIXED)} (with the most frequent, the default)"),
    "values": (str, "array of the samples or windows; default values"),
    "label": (str, "array or column of labels; default label"),
    "group": (str, "whom or what a sample is of: no group is in two splits"),
    "recording": (str, "which recording a sample is of"),
    "time": (str, "time stamps"),
    "time_unit": (str, "s (default), ms, us or ns"),
    "validation_fraction": (float, "default 0.15"),
    "test_fraction": (float, "default 0.2"),
    "fold": (int, "test on this part of the groups, from 1; default 0 splits once"),
    "folds": (int, "parts for --fold; default 5"),
    "seed": (int, "of the split; default 0"),
}


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = Parser(
        prog="python -m audio_tasks.timeseries",
        description="Check values of sensors or spectra before training on them (python -m bnn_exit.train --task "
        "timeseries).",
        epilog=EPILOG,
    )
    parser.add_argument("data_dir", metavar="DATA", help=FORMS)
    parser.add_argument("--check", action="store_true", help="print the report (the only action)")
    for name, (kind, about) in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=about, metavar=name.split("_")[-1].upper())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command: cut the data into windows and print what is in it."""

    def run() -> int:
        given = vars(arguments().parse_args(argv))
        usual = {name: each.default for name, each in inspect.signature(load).parameters.items()}
        options = {name: usual[name] for name in usual if name not in ("data_dir", "features", "cache_dir")}
        options |= {name: value for name, value in given.items() if name in options and value is not None}
        return print_report(read(data_dir=Path(given["data_dir"]), **options))

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
