"""How well does a model listen: words found, false accepts an hour with bounds, exits, cost and delay on recordings?

    python benchmarks/always_on.py measure NAME MODEL --negatives FILE... --words FILE... --events TSV
    python benchmarks/always_on.py draw

`measure` runs a model file, by its listening point, over recordings without its words and over recordings with words,
as `python -m audio_tasks mix` makes them, and adds the row NAME to results/always_on.json. The words are listened to
once more with every window at the last exit: the difference is the recall that early exits lose. `draw` makes
results/always_on.png, the DET curves of all rows: misses in the one set against false accepts in the other.

NAME is any name; `ship.py ROW` looks for the row ROW and, for other listening points of the file, for rows ROW-POINT.
The rows of RECALL are held to bars: the exit status is 1 if one is missed, though the row is written.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from result_file import called, report

from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands import evaluate
from bnn_exit.commands.evaluate_stream import measure_stream, open_model
from bnn_exit.evaluation.det_plot import det_plot
from bnn_exit.evaluation.stream_report import DetPoint, Rate, StreamReport
from bnn_exit.files import read_json, write_json
from bnn_exit.pairs import zip_strict

RESULT = Path(__file__).parent / "results" / "always_on.json"
PICTURE = RESULT.with_suffix(".png")

RECALL = {"listening-english": 0.90, "listening-arabic": 0.95}
"""Least share of words that is found, of the rows that are held to bars."""
RATE = {"listening-arabic": 0.5}
"""Most false accepts an hour."""
EXIT_1, OPS, LOST, DELAY_S = 0.85, 1.25, 0.01, 0.3
"""Least share of windows without words that leave at exit 1; most mean operations of one, times those of exit 1; most
recall that early exits lose; most seconds to the event after the end of a word, for 95 % of the hits."""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/always_on.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    measure = commands.add_parser("measure", prog="python benchmarks/always_on.py measure", description="", epilog="")
    measure.add_argument("name", metavar="NAME", help="of the row")
    measure.add_argument("model", metavar="MODEL", help="a run, a model file or a model of the package")
    measure.add_argument("--negatives", nargs="+", required=True, metavar="FILE", help="recordings without the words")
    measure.add_argument("--transcripts", metavar="TSV", help="what is said in the negatives")
    measure.add_argument("--words", nargs="+", required=True, metavar="FILE", help="recordings with words")
    measure.add_argument("--events", required=True, metavar="TSV", help="the words in them")
    measure.add_argument("--listening-point", metavar="NAME", help="default: the file's")
    measure.add_argument("--split", default="test", help="that the recordings are made of (default: test)")
    measure.add_argument("--threshold", metavar="X", help="one for all labels (default: the listening point's)")
    commands.add_parser("draw", prog="python benchmarks/always_on.py draw", description="draw the curves", epilog="")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if options.verb == "draw":
        draw(read_json(RESULT)["rows"])
        return 0
    row = measured(options, command=command)
    row["bars"] = bars(options.name, row)
    found = read_json(RESULT) if RESULT.is_file() else {"question": __doc__.splitlines()[0], "rows": {}}
    found["rows"][options.name] = row
    write_json(RESULT, found)
    print(line(options.name, row))
    return report(row["bars"])


def measured(options: argparse.Namespace, *, command: str) -> dict[str, Any]:
    session = open_model(options.model)

    def measure(*more: str) -> StreamReport:
        common = ["--listening-point", options.listening_point] if options.listening_point else []
        common += ["--threshold", options.threshold] if options.threshold else []
        return measure_stream(session, evaluate.parser().parse_args([options.model, *common, *more]))

    known = ["--transcripts", options.transcripts] if options.transcripts else []
    negatives = measure("--stream", *options.negatives, *known)
    words = measure("--stream", *options.words, "--events", options.events)
    full = measure("--stream", *options.words, "--events", options.events, "--operating-point", "full")
    recall, last = (each.labels["all"].hits / each.labels["all"].words for each in (words, full))
    data = session.model_file.data
    return {
        "command": command,
        **negatives.provenance,
        "file": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "split": options.split,
        "listening_point": negatives.point.to_dict(),
        "files": {"negatives": _names(options.negatives), "words": _names(options.words)},
        "hours": {"negatives": negatives.hours, "words": words.hours, "transcribed": negatives.hours_transcribed},
        "words": words.labels["all"].words,
        "recall": recall,
        "recall_last_exit": last,
        "recall_lost_by_exits": last - recall,
        "false_accepts": dataclasses.asdict(negatives.labels["all"].false_accepts),
        "spoken": negatives.labels["all"].spoken,
        "spoken_hits": negatives.labels["all"].spoken_hits,
        "delay_s": words.delay_s,
        "exit_shares": negatives.exit_shares,
        "relative_ops": negatives.relative_ops,
        "ops_per_s": negatives.ops_per_s,
        "share_of_core": negatives.share_of_core,
        "det": joined(negatives, words),
    }


def bars(name: str, row: dict[str, Any]) -> list[dict[str, Any]]:
    """What a row is held to; nothing for a row that is not in RECALL."""
    if name not in RECALL:
        return []
    delay = row["delay_s"].get("95")
    # A loss of 3 words of 300 is no more than 1 %, whatever the rounding of floats.
    lost = round(row["recall_lost_by_exits"], 9)
    found = [
        ("words found", f"{100 * row['recall']:.1f} %", f">= {100 * RECALL[name]:g} %", row["recall"] >= RECALL[name]),
        (
            "windows without words that leave at exit 1",
            f"{100 * row['exit_shares'][0]:.1f} %",
            f">= {100 * EXIT_1:g} %",
            row["exit_shares"][0] >= EXIT_1,
        ),
        ("their mean ops, times exit 1's", f"{row['relative_ops']:.3f}", f"<= {OPS:g}", row["relative_ops"] <= OPS),
        ("recall that exits lose", f"{100 * lost:.1f} points", f"<= {100 * LOST:g} point", lost <= LOST),
        (
            "delay of 95 % of the hits",
            "no hits" if delay is None else f"{1000 * delay:.0f} ms",
            f"<= {1000 * DELAY_S:g} ms",
            delay is not None and delay <= DELAY_S,
        ),
    ]
    if name in RATE:
        rate = row["false_accepts"]["per_hour"]
        found.insert(1, ("false accepts an hour", f"{rate:.2f}", f"<= {RATE[name]:g}", rate <= RATE[name]))
    return [dict(zip_strict(("what", "figure", "bar", "met"), each)) for each in found]


def joined(negatives: StreamReport, words: StreamReport) -> list[dict[str, Any]]:
    """The recall of one set of recordings with the false accepts of another, for each threshold."""
    return [
        {**dataclasses.asdict(false), "recall": found.recall, "delay_s": found.delay_s}
        for false, found in zip_strict(negatives.det, words.det)
    ]


def draw(rows: dict[str, Any]) -> None:
    curves = {
        name: [
            DetPoint(
                **{
                    **point,
                    "thresholds": tuple(point["thresholds"]),
                    "false_accepts": Rate(**point["false_accepts"]),
                }
            )
            for point in row["det"]
        ]
        for name, row in rows.items()
    }
    det_plot(PICTURE, curves, title="Words missed against false accepts")


def line(name: str, row: dict[str, Any]) -> str:
    false = row["false_accepts"]
    return (
        f"{name}: {100 * row['recall']:.1f} % of {row['words']} words found, {false['per_hour']:.2f} false accepts an "
        f"hour ({false['low']:.2f} to {false['high']:.2f}, {false['count']} in {false['hours']:.2f} h); "
        f"{100 * row['exit_shares'][0]:.1f} % of windows leave at exit 1, {row['relative_ops']:.3f} times its "
        f"operations; exits lose {100 * row['recall_lost_by_exits']:.1f} points"
    )


def _names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


if __name__ == "__main__":
    raise SystemExit(main())
