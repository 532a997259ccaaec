"""Put a measured network into the package: its file, and what `accuracy.py measure` found about it.

    python benchmarks/ship.py words-small arabic-speech-commands-small
    python benchmarks/ship.py esc10-fold1 esc10-small --run FOLDER
    python benchmarks/ship.py listening-english-medium english-words-listening-medium --run FOLDER

Takes the file of the run (default: runs/accuracy/ROW) that results/accuracy/ROW.json is about, and writes
bnn_exit/pretrained/NAME.tflite and its entry in index.json. No figure is typed by hand. The licence and the attribution
of the data are those of the measurement; they are written into the file too. NOTICE must have them.

Of a file with listening points results/always_on.json must have a row for each: ROW, or ROW-POINT (`always_on.py
measure`). Choose the points first, as they are in the file: the order is export, calibrate, both measurements, this.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from accuracy import RESULTS, RUNS
from accuracy_rows import ROWS, Row
from always_on import RESULT as LISTENING

from bnn_exit import pretrained
from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.files import read_json, write_bytes, write_json
from bnn_exit.model_file import reader
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.reader import ModelFile

STREAM = ("split", "words", "recall", "recall_last_exit", "false_accepts", "relative_ops")
POINT = ("accuracy", "correct", "drop", "exit_shares", "relative_cost")
TIMES = ("time_us", "whole_us")
"""Of an exit: times of one machine, which is not the user's."""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/ship.py", description=text[0], epilog=text[2])
    arguments.add_argument("row", metavar="ROW", help="a row of accuracy_rows.py that is measured")
    arguments.add_argument("name", metavar="NAME", help="what users call it, in small letters, such as esc10-small")
    arguments.add_argument("--run", type=Path, metavar="FOLDER", help=f"its run folder (default: {RUNS}/ROW)")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv)))


def _main(options: argparse.Namespace) -> int:
    row = ROWS[one_of("row", options.row, ROWS)]
    if not pretrained.NAME.fullmatch(options.name):
        raise ArgumentError(f"name is {options.name!r}, but must be small letters and digits, joined by hyphens")
    measured = RESULTS / "accuracy" / f"{row.name}.json"
    if not measured.is_file():
        raise DataError(f"{row.name} is not measured: python benchmarks/accuracy.py measure {row.name} --data-dir DIR")
    result = read_json(measured)
    file = measured_file(options.run or RUNS / row.name, result)
    listening = listening_figures(file, row)
    data = ship_file(file, result)
    path = pretrained.FOLDER / f"{options.name}.tflite"
    write_bytes(path, data)
    models = {name: dataclasses.asdict(model) for name, model in pretrained.models().items()}
    models[options.name] = entry(data, result, row=row, listening=listening)
    index = {"format": pretrained.FORMAT_VERSION, "models": dict(sorted(models.items()))}
    write_json(pretrained.FOLDER / pretrained.INDEX, index)
    print(f"wrote {path} ({len(data) / 1000:.0f} KB) and its entry in {pretrained.INDEX}")
    return 0


def measured_file(run: Path, result: dict[str, Any]) -> ModelFile:
    """The file of a run that was measured; DataError if it is none of them."""
    paths = sorted(run.glob("*.tflite"))
    for path in paths:
        if hashlib.sha256(path.read_bytes()).hexdigest() == result["file"]["sha256"]:
            return reader.read(path)
    if len(paths) == 1:
        raise DataError(f"{paths[0]} is not the file that was measured: measure {result['row']} again")
    raise DataError(f"no .tflite file of {run} is the one that was measured: measure {result['row']} again")


def listening_figures(file: ModelFile, row: Row) -> dict[str, dict[str, Any]]:
    """What was measured on streams, by listening point of the file.

    Raises:
        DataError: a point was not measured, or with another file or other settings.
    """
    points = file.metadata.listening_points
    rows = read_json(LISTENING)["rows"] if points and LISTENING.is_file() else {}
    own = {name: values for name, values in rows.items() if name == row.name or name.startswith(f"{row.name}-")}
    return {name: _figures_of(point, own, file, row) for name, point in points.items()}


def _figures_of(point: ListeningPoint, rows: dict[str, Any], file: ModelFile, row: Row) -> dict[str, Any]:
    digest = hashlib.sha256(file.data).hexdigest()
    how = f"python benchmarks/always_on.py measure {row.name} {file.path} --listening-point {point.name} ..."
    named = {name: values for name, values in rows.items() if values["listening_point"]["name"] == point.name}
    if not named:
        raise DataError(f"the listening point {point.name} of {file.path} is not measured: {how}")
    for name, values in named.items():
        if values["file"]["sha256"] == digest and values["listening_point"] == point.to_dict():
            return {
                "row": name,
                **{key: values[key] for key in STREAM},
                "exit_1_share": values["exit_shares"][0],
                "delay_s": values["delay_s"].get("95"),
                "chosen": dict(point.figures),
            }
    raise DataError(f"{', '.join(named)} is of another file or other settings than {point.name} of {file.path}: {how}")


def ship_file(file: ModelFile, result: dict[str, Any]) -> bytes:
    """The file, with the licence and the attribution that the measurement found.

    Raises:
        DataError: nobody knows whom to credit for its data.
    """
    rights = {name: result[name] for name in ("licence", "attribution")}
    if rights["licence"] == "not stated" or rights["attribution"].startswith("data of the user"):
        raise DataError(
            f"{file.path} cannot be shipped: its data has the licence {rights['licence']!r} and no known author"
        )
    metadata = dataclasses.replace(file.metadata, **rights)
    if metadata == file.metadata:
        return file.data
    from bnn_exit.conversion import flatbuffer_edit

    return flatbuffer_edit.with_metadata(file.data, reader.METADATA_NAME, metadata.to_json())


def entry(data: bytes, result: dict[str, Any], *, row: Row, listening: dict[str, Any]) -> dict[str, Any]:
    """What index.json says about a file: a `pretrained.Pretrained` as JSON values."""
    task, environment = result["training"]["settings"]["task"], result["training"]["environment"]
    exits = [{name: value for name, value in figures.items() if name not in TIMES} for figures in result["exits"]]
    points = {name: {key: point[key] for key in POINT} for name, point in result["operating_points"].items()}
    made = pretrained.Pretrained(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        task=task["name"],
        options=task["options"],
        data=row.data,
        labels=result["labels"],
        clip_samples=task["clip_samples"],
        features=task["features"],
        licence=result["licence"],
        attribution=result["attribution"],
        split=result["split"],
        sample_count=result["sample_counts"][result["split"]],
        exits=exits,
        operating_points=points,
        training={
            "command": environment.get("command"),
            "git_revision": environment.get("git_revision"),
            "seed": result["seed"],
        },
        result=f"benchmarks/results/accuracy/{result['row']}.json",
        negatives=row.negatives,
        listening=listening,
    )
    return dataclasses.asdict(made)


if __name__ == "__main__":
    raise SystemExit(main())
