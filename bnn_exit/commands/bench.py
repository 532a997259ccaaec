"""Time a model file on this machine: `python -m bnn_exit.bench model.tflite [clip.wav ...]`."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bnn_exit import machine
from bnn_exit.audio import wav
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.display import json_line, show
from bnn_exit.errors import INSTALL, ArgumentError
from bnn_exit.evaluation.passes import WARM_UP_CALLS
from bnn_exit.evaluation.times import difference_us, spread_us, time_us
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule
from bnn_exit.runtime import capabilities
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.backends import BACKENDS, installed

STATISTICS = ("minimum", "median", "p95")
DEFAULT_REPEATS = 200
"""Calls of each setting in all, shared among the clips."""
NOT_MEASURABLE = "-"

EPILOG = """\
examples:
  python -m bnn_exit.bench model.tflite
  python -m bnn_exit.bench model.tflite clips/*.wav --threads 2
  python -m bnn_exit.bench model.tflite --backends native,lce,reference --json
  BNN_EXIT_ISA=scalar python -m bnn_exit.bench model.tflite --markdown

Times are in microseconds, for one clip: processor time with one thread, so that other programs do not count, and wall
time with several. An exit is timed with every clip forced to leave there. A stage, with its head, is the difference
between an exit and the one before it, and "-" where that is less than the noise of this machine. Without clips, noise
is used: exits and stages take the same time for any sound. Operating points need real clips.
Backends alternate within one run. LCE runs its default kernels: its faster ones are wrong in files with branches.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.bench",
        description="Time of the front end, each stage, each exit and whole clips, beside other backends.",
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
) -> dict[str, Any]:
    """Time a model file on alternating backends; the figures as JSON values.

    Args:
        model: the file, or the name of a model that comes with the package.
        clips: audio files; none means noise, and no operating points.
        backends: names in `runtime.backends.BACKENDS`; None means the compiled ones that are installed.
        threads: for one clip.
        repeats: timed calls of each setting in all; rounded up to the same number for every clip.

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
    rows: dict[str, Callable[[runtime.Session, Any, Any], object]] = {}
    if first.metadata.input == "log_mel":
        rows["front end"] = lambda session, waveform, inputs: session.log_mel(waveform)
    for k in range(first.exits):
        rows[f"exit {k + 1}"] = _caller(rule.forcing_thresholds(k, exits=first.exits))
    for name, thresholds in points.items():
        rows[name] = _caller(rule.check_thresholds(thresholds, exits=first.exits))
    # From samples to a prediction, checks included; on noise no clip leaves early.
    whole = next((name for name in ("balanced", *points) if name in points), "full")
    limits = points.get(whole, (0.0,) * (first.exits - 1))
    rows[f"whole clip, {whole}"] = lambda session, waveform, inputs: session.predict(waveform, thresholds=limits)
    timers = {name: _timer(name, threads=threads) for name in sessions}
    clocks = [machine.clock()]
    seconds = _take_turns(sessions, waveforms, rows, rounds=rounds, timers=timers)
    clocks.append(machine.clock())
    return {
        "model": first.model_file.path.name,
        "model_bytes": len(first.model_file.data),
        "exits": first.exits,
        "clips": len(waveforms),
        "sound": "files" if clips else "noise",
        "calls": rounds * len(waveforms),
        "threads": threads,
        "unit": "microseconds for one clip",
        "clock": {name: timer.__name__ for name, timer in timers.items()},
        "measured": True,
        "times": {name: _figures(table, exits=first.exits) for name, table in seconds.items()},
        "exit_shares": {name: _shares(first, waveforms, thresholds) for name, thresholds in points.items()},
        "isa": capabilities()["isa"] if "native" in names else None,
        "warnings": _warnings(names, clocks[1]),
        "clock_before_and_after": clocks,
        **machine.provenance(),
    }


def _waveforms(clips: Sequence[str], session: runtime.Session) -> list[np.ndarray]:
    features, samples = session.metadata.features, session.metadata.clip_samples
    if not clips:
        return [np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)]
    read = [wav.read(path, sample_rate_hz=features.sample_rate_hz, max_samples=samples) for path in clips]
    return [wav.fit_length(waveform, samples) for waveform in read]


def _caller(thresholds: np.ndarray) -> Callable[[runtime.Session, Any, Any], object]:
    return lambda session, waveform, inputs: session.infer(inputs, thresholds)


def _timer(backend: str, *, threads: int) -> Callable[[], float]:
    """The clock, in seconds: processor time for one thread, wall time for several.

    NumPy may compute on threads of its own, so those of the reference count too.
    """
    if threads > 1:
        return time.perf_counter
    return time.process_time if backend == "reference" else time.thread_time


def _take_turns(
    sessions: dict[str, runtime.Session],
    waveforms: Sequence[np.ndarray],
    rows: dict[str, Callable[[runtime.Session, Any, Any], object]],
    *,
    rounds: int,
    timers: Mapping[str, Callable[[], float]],
) -> dict[str, dict[str, np.ndarray]]:
    """Seconds of every call: backend -> row -> [rounds * clips]. A slow moment of the machine affects all alike."""
    seconds: dict[str, dict[str, list[float]]] = {name: {row: [] for row in rows} for name in sessions}
    inputs = [next(iter(sessions.values())).inputs(waveform) for waveform in waveforms]
    for round_ in range(-1, rounds):
        for waveform, data in zip_strict(waveforms, inputs):
            for row, call in rows.items():
                for name, session in sessions.items():
                    now = timers[name]
                    for _ in range(WARM_UP_CALLS if round_ < 0 else 1):
                        begin = now()
                        call(session, waveform, data)
                        spent = now() - begin
                    if round_ >= 0:
                        seconds[name][row].append(spent)
            if round_ < 0:
                break  # one clip is enough to warm up
    return {name: {row: np.array(values) for row, values in table.items()} for name, table in seconds.items()}


def _figures(seconds: dict[str, np.ndarray], *, exits: int) -> dict[str, dict[str, float | None]]:
    """Minimum, median, mean, p95 and spread of each row, stages included; None where it cannot be measured."""
    figures: dict[str, dict[str, float | None]] = {}
    for row, values in seconds.items():
        spread = spread_us(values)
        figures[row] = {**time_us(values), "spread": spread if math.isfinite(spread) else None}
    for k in range(1, exits + 1):
        row, before = f"exit {k}", f"exit {k - 1}"
        # Differences of two calls on the same clip, one right after the other.
        figures[f"stage {k}"] = figures[row] if k == 1 else difference_us(seconds[row], seconds[before])
    order = ["front end", *(f"stage {k}" for k in range(1, exits + 1)), *(row for row in seconds if row != "front end")]
    return {row: figures[row] for row in order if row in figures}


def _shares(session: runtime.Session, waveforms: Sequence[np.ndarray], thresholds: Sequence[float]) -> list[float]:
    """Share of the clips that leave at each exit."""
    left = [session.predict(waveform, thresholds=thresholds).exit_index for waveform in waveforms]
    return [left.count(k) / len(left) for k in range(session.exits)]


def _warnings(backends: Sequence[str], clock: dict[str, Any]) -> list[str]:
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
    return found


def text(report: dict[str, Any], *, markdown: bool = False) -> str:
    """The figures of `report` as lines for a terminal, or in Markdown."""
    times = report["times"]
    names = list(times)
    head = ["us"]
    for name in names:
        head += [f"{name} {statistic}" for statistic in STATISTICS]
        if name != names[0]:
            head.append(f"times {names[0]}")
    body = []
    for row in times[names[0]]:
        cells = [row]
        for name in names:
            cells += [_cell(times[name][row][statistic]) for statistic in STATISTICS]
            if name != names[0]:
                own, first = times[name][row]["median"], times[names[0]][row]["median"]
                cells.append(_cell(own / first if own and first else None))
        body.append(cells)
    clock = report["clock_before_and_after"][1]
    mhz = "clock unknown" if clock["mhz"] is None else f"{clock['mhz']:.0f} MHz"
    governor = "" if clock["governor"] is None else f" ({clock['governor']})"
    host = report["machine"]
    lines = [
        f"{report['model']}: {report['model_bytes'] / 1000:.0f} KB, {report['exits']} exits; {report['calls']} calls "
        f"on {report['clips']} {'clips' if report['sound'] == 'files' else 'clip of noise'}",
        f"{host['cpu']}, {host['architecture']}, {host['userland_bits']}-bit userland, {mhz}{governor}, "
        f"{report['threads']} thread{'s' if report['threads'] > 1 else ''}"
        + (f", native kernels: {report['isa']}" if report["isa"] else ""),
        "",
    ]
    if markdown:
        lines += ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] + ["---:"] * (len(head) - 1), *body)]
    else:
        widths = [max(len(cells[column]) for cells in (head, *body)) for column in range(len(head))]
        for cells in (head, *body):
            rest = (cell.rjust(width) for cell, width in zip_strict(cells[1:], widths[1:]))
            lines.append("  ".join([cells[0].ljust(widths[0]), *rest]).rstrip())
    if any(NOT_MEASURABLE in cells for cells in body):
        lines += ["", f"{NOT_MEASURABLE}: not measurable here, less than the noise; more --repeats help"]
    if report["exit_shares"]:
        lines.append("")
        for name, shares in report["exit_shares"].items():
            lines.append(f"{name}: " + ", ".join(f"{100 * s:.0f} % at exit {k + 1}" for k, s in enumerate(shares)))
    return "\n".join(lines)


def _cell(figure: float | None) -> str:
    return NOT_MEASURABLE if figure is None else f"{figure:.1f}"
