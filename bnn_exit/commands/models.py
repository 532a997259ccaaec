"""List the trained models that come with the package: `python -m bnn_exit.models`."""

from __future__ import annotations

import argparse
import dataclasses

from bnn_exit import pretrained
from bnn_exit.command_line import Parser, run_command
from bnn_exit.display import json_line, show
from bnn_exit.pairs import zip_strict

EPILOG = """\
examples:
  python -m bnn_exit.models
  python -m bnn_exit.models --json
  python -m bnn_exit.predict --model NAME clip.wav

Accuracy is measured on test clips that were used neither for weights nor for thresholds: with every clip at the last
exit, and at the operating point `balanced`, whose average cost is a share of that of the last exit.

A second table has the models for streams, by listening point: words found, false accepts an hour with their 95 % bound,
windows without words that leave at exit 1, and the delay that 95 % of the events do not exceed.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.models",
        description="List the trained models that come with the package, with their figures, sizes and licences.",
        epilog=EPILOG,
    )
    arguments.add_argument("--json", action="store_true", help="print all figures as one JSON object")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    known = pretrained.models()
    if options.json:
        show(json_line({name: dataclasses.asdict(model) for name, model in known.items()}))
    else:
        show(text(known))
    return 0


def text(known: dict[str, pretrained.Pretrained]) -> str:
    """A table of the models, and the credits of their data."""
    if not known:
        return "no models come with this installation"
    rows = [["name", "KB", "classes", "test clips", "last exit %", "balanced %", "ops %", "licence of the data"]]
    for name, model in known.items():
        point = model.operating_points["balanced"]
        rows.append(
            [
                name,
                f"{model.bytes / 1000:.0f}",
                str(model.labels),
                str(model.sample_count),
                f"{100 * model.exits[-1]['accuracy']:.2f}",
                f"{100 * point['accuracy']:.2f}",
                f"{100 * point['relative_cost']['ops']:.1f}",
                model.licence,
            ]
        )
    lines = _lines(rows)
    streams = _streams(known)
    if streams:
        lines += ["", *_lines(streams)]
    return "\n".join([*lines, "", *(f"{name}: {model.attribution}" for name, model in known.items())])


def _streams(known: dict[str, pretrained.Pretrained]) -> list[list[str]]:
    rows = [["name", "point", "words", "found %", "false/h", "at most", "hours", "exit 1 %", "delay ms", "split"]]
    for name, model in known.items():
        for point, figures in model.listening.items():
            false, delay = figures["false_accepts"], figures["delay_s"]
            rows.append(
                [
                    name,
                    point,
                    str(figures["words"]),
                    f"{100 * figures['recall']:.1f}",
                    f"{false['per_hour']:.2f}",
                    f"{false['high']:.2f}",
                    f"{false['hours']:.2f}",
                    f"{100 * figures['exit_1_share']:.1f}",
                    "-" if delay is None else f"{1000 * delay:.0f}",
                    figures["split"],
                ]
            )
    return rows if len(rows) > 1 else []


def _lines(rows: list[list[str]]) -> list[str]:
    """A table: the first and the last column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *middle, last in rows:
        cells = (cell.rjust(width) for cell, width in zip_strict(middle, widths[1:-1]))
        lines.append("  ".join([first.ljust(widths[0]), *cells, last]))
    return lines
