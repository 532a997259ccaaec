"""Time a model file on this machine: `python -m bnn_exit.bench model.tflite [clip.wav ...]`."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bnn_exit import machine
from bnn_exit.audio import wav
from bnn_exit.calibration import operator_work
from bnn_exit.calibration.device_profile import SKIPPED
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.commands.bench_table import text
from bnn_exit.display import json_line, show
from bnn_exit.errors import INSTALL, ArgumentError
from bnn_exit.evaluation.caches import FRONT_END, Seconds, displacer, path_times, whole
from bnn_exit.evaluation.split import spread
from bnn_exit.evaluation.times import Figures, clock_of, clock_step_s, difference_us, figures_us
from bnn_exit.policies import rule
from bnn_exit.runtime import capabilities
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.backends import BACKENDS, installed
from bnn_exit.runtime.clips import read_clip

DEFAULT_REPEATS = 200
"""Calls of each setting in all, shared among the clips."""
COLD_CALLS = 50
"""The most calls with cold caches: emptying them takes longer than a call."""
COARSE_STEP_US = 1.0

EPILOG = """\
examples:
  python -m bnn_exit.bench model.tflite
  python -m bnn_exit.bench model.tflite clips/*.wav --threads 2
  python -m bnn_exit.bench model.tflite --backends native,lce,reference --json
  BNN_EXIT_ISA=scalar python -m bnn_exit.bench model.tflite --markdown

Times are in microseconds, for one clip: processor time with one thread, so that other programs do not count, and wall
time with several. An exit is the network alone, with every clip forced to leave there. "front end + ..." is the whole
path, from samples to probabilities, measured clip by clip. "predict" is Session.predict, with its checks, from Python.
A stage, with its head, is the difference between an exit and the one before it. "-" stands where noise, or the step of
the clock, is larger than the figure.

Times are of WARM caches, as those of bnn_exit.evaluate: a backend runs clip after clip, each once untimed just before.
The column COLD is of caches that were emptied before each call, by a walk over more memory than they hold: a clip now
and then, on a machine that did something else. In the JSON, `times` are warm and `cold_times` cold.

Without clips, noise is used: exits and stages take the same time for any sound. Operating points need real clips.
Backends take turns. LCE runs its default kernels: its faster ones are wrong in files with branches.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.bench",
        description="Time of the front end, each stage, each exit and the whole path, beside other backends.",
        epilog=EPILOG,
    )
    arguments.add_argument("model", help="the model file, such as RUN/model.tflite, or a name of bnn_exit.models")
    arguments.add_argument("clips", nargs="*", metavar="clip", help="audio files: wav; flac and ogg with soundfile")
    arguments.add_argument(
        "--backends",
        metavar="B1,B2,...",
        help=f"which to time, of {', '.join(BACKENDS)}; ratios are to the first (default: native and lce if installed)",
    )
    arguments.add_argument("--threads", type=positive_int, default=1, help="threads for one clip (default: 1)")
    arguments.add_argument(
        "--repeats",
        type=positive_int,
        default=DEFAULT_REPEATS,
        metavar="N",
        help=f"timed calls of each setting, at least one a clip; more is steadier (default: {DEFAULT_REPEATS})",
    )
    form = arguments.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as one JSON object")
    form.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    report = bench(
        options.model,
        options.clips,
        backends=None if options.backends is None else options.backends.split(","),
        threads=options.threads,
        repeats=options.repeats,
    )
    report["command"] = shlex.join(["python", "-m", "bnn_exit.bench", *words])
    if options.json:
        show(json_line(report))
        return 0
    show(text(report, markdown=options.markdown))
    for warning in report["warnings"]:
        show(f"warning: {warning}", file=sys.stderr)
    return 0


def bench(
    model: str,
    clips: Sequence[str] = (),
    *,
    backends: Sequence[str] | None = None,
    threads: int = 1,
    repeats: int = DEFAULT_REPEATS,
    cold: bool = True,
) -> dict[str, Any]:
    """Time a model file on backends that take turns; the figures as JSON values.

    Args:
        model: the file, or the name of a model that comes with the package.
        clips: audio files; none means noise, and no operating points.
        backends: names in `runtime.backends.BACKENDS`; None means the compiled ones that are installed.
        threads: for one clip.
        repeats: timed calls of each setting in all; rounded up to the same number for every clip.
        cold: also with cold caches, which takes most of the time; without, `cold_times` is empty.

    Raises:
        ArgumentError: an unknown model, or an unknown or repeated backend.
        ModelFileError: a file that a backend cannot run.
        DataError: a clip that cannot be read.
    """
    compiled = [name for name in installed() if name != "reference"]
    names = (compiled or ["reference"]) if backends is None else list(backends)
    if len(set(names)) != len(names):
        raise ArgumentError(f"--backends is {','.join(names)!r}, but must name each backend once")
    sessions = {name: runtime.load(model, backend=name, threads=threads) for name in names}
    first = sessions[names[0]]
    waveforms = _waveforms(clips, first)
    rounds = -(-repeats // len(waveforms))

    points = {name: point.thresholds for name, point in first.operating_points.items()} if clips else {}
    skips = first.metadata.skips
    settings = {f"exit {k + 1}": rule.forcing_thresholds(k, exits=first.exits, skips=skips) for k in range(first.exits)}
    if skips:
        settings[SKIPPED] = rule.skipping_thresholds(exits=first.exits)
    rows = _rows_of(points, taken=settings)
    settings |= {
        rows[name]: rule.check_thresholds(thresholds, exits=first.exits, skips=skips)
        for name, thresholds in points.items()
    }
    usual = next((name for name in ("balanced", *points) if name in points), "full")
    limits = points.get(usual, (0.0,) * first.metadata.num_thresholds)
    calls = {f"predict, {usual}": lambda session, waveform: session.predict(waveform, thresholds=limits)}

    timers = {name: clock_of(name, threads=threads) for name in sessions}
    steps_s = {name: clock_step_s(timer) for name, timer in timers.items()}
    clocks = [machine.clock()]
    warm = path_times(sessions, waveforms, settings, rounds=rounds, clocks=timers, calls=calls)
    cold_seconds, cold_calls, displaced_bytes = {}, 0, 0
    if cold:
        displace, displaced_bytes = displacer()
        few = [waveforms[place] for place in spread(len(waveforms), COLD_CALLS)]
        times = min(rounds, max(1, COLD_CALLS // len(few)))
        cold_calls = times * len(few)
        cold_seconds = path_times(sessions, few, settings, rounds=times, clocks=timers, calls=calls, displace=displace)
    clocks.append(machine.clock())

    def figures(found: Mapping[str, Seconds]) -> dict[str, dict[str, Figures]]:
        return {name: _figures(table, exits=first.exits, step_s=steps_s[name]) for name, table in found.items()}

    return {
        "model": first.model_file.path.name,
        "model_bytes": len(first.model_file.data),
        "exits": first.exits,
        "work": operator_work.of_file(first.model_file.model, exits=first.exits),
        "features": first.metadata.features.to_dict(),
        "clip_samples": first.metadata.clip_samples,
        "clips": len(waveforms),
        "sound": "files" if clips else "noise",
        "calls": rounds * len(waveforms),
        "cold_calls": cold_calls,
        "threads": threads,
        "unit": "microseconds for one clip",
        "clock": {name: timer.__name__ for name, timer in timers.items()},
        "clock_step_us": {name: None if math.isinf(step) else 1e6 * step for name, step in steps_s.items()},
        "measured": True,
        "caches": {
            "times": "warm: clip after clip on one backend, each once untimed before, as bnn_exit.evaluate does it",
            "cold_times": f"cold: a walk over {displaced_bytes} bytes before every call, which displaces what the "
            "caches of this core and the shared ones hold",
        },
        "times": figures(warm),
        "cold_times": figures(cold_seconds),
        "exit_shares": {name: _shares(first, waveforms, thresholds) for name, thresholds in points.items()},
        "isa": capabilities()["isa"] if "native" in names else None,
        "warnings": _warnings(names, clocks[1], step_us=1e6 * max(steps_s.values())),
        "clock_before_and_after": clocks,
        **machine.provenance(),
    }


def _rows_of(points: Iterable[str], *, taken: Iterable[str]) -> dict[str, str]:
    """Operating point -> its row. A point may be called as a row of another kind is."""
    used, rows = {FRONT_END, *taken}, {}
    for name in points:
        row = name
        while row in used or row.startswith(("stage ", "predict, ", whole(""))):
            row = f"point {row}"
        rows[name] = row
        used.add(row)
    return rows


def _waveforms(clips: Sequence[str], session: runtime.Session) -> list[np.ndarray]:
    metadata = session.metadata
    samples = metadata.clip_samples
    if not clips:
        shape = (samples, len(metadata.channels)) if metadata.takes_values else samples
        return [np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)]
    read = [read_clip(metadata, path).values for path in clips]
    return read if metadata.takes_values else [wav.fit_length(waveform, samples) for waveform in read]


def _figures(seconds: Seconds, *, exits: int, step_s: float = 0.0) -> dict[str, Figures]:
    """Minimum, median, mean, p95 and spread of each row, stages included; None where it cannot be measured."""
    figures = {row: figures_us(values, step_s=step_s) for row, values in seconds.items()}
    for k in range(1, exits + 1):
        row, before = f"exit {k}", f"exit {k - 1}"
        # Differences of two calls on the same clip, one right after the other.
        figures[f"stage {k}"] = figures[row] if k == 1 else difference_us(seconds[row], seconds[before], step_s=step_s)
    sums = [whole(row) for row in seconds if whole(row) in seconds]
    others = [row for row in seconds if row not in (FRONT_END, *sums)]
    calls = [row for row in others if row.startswith("predict, ")]
    stages = [f"stage {k}" for k in range(1, exits + 1)]
    order = [FRONT_END, *stages, *(row for row in others if row not in calls), *sums, *calls]
    return {row: figures[row] for row in order if row in figures}


def _shares(session: runtime.Session, waveforms: Sequence[np.ndarray], thresholds: Sequence[float]) -> list[float]:
    """Share of the clips that leave at each exit."""
    left = [session.predict(waveform, thresholds=thresholds).exit_index for waveform in waveforms]
    return [left.count(k) / len(left) for k in range(session.exits)]


def _warnings(backends: Sequence[str], clock: dict[str, Any], *, step_us: float = 0.0) -> list[str]:
    found = []
    can = capabilities()
    if "native" not in backends:
        missing = "" if can["library"] else f", which is not installed: with a C++ compiler {INSTALL} builds it"
        found.append(f"these are not the times of the native runtime{missing}")
    elif not can["optimised"]:
        better = f"; this machine has {can['isas'][0]}" if can["isas"][0] != can["isa"] else ""
        found.append(f"the native runtime uses its {can['isa']} kernels, which are not optimised ones{better}")
    if machine.describe()["userland_bits"] == 32:
        found.append("the userland is 32-bit, which has no optimised kernels: install a 64-bit system")
    if clock["governor"] in ("powersave", "ondemand", "conservative"):
        found.append(f"the processor's clock varies (governor {clock['governor']}): compare ratios, not times")
    if step_us > COARSE_STEP_US:
        found.append(f"the clock of this system has steps of {step_us:.3g} us: shorter times cannot be measured")
    return found
