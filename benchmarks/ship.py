"""Put a measured network into the package: its file, and what `accuracy.py measure` found about it.

    python benchmarks/ship.py words-small arabic-speech-commands-small
    python benchmarks/ship.py esc10-fold1 esc10-small --run FOLDER

Takes RUN/model.tflite (default: runs/accuracy/ROW) and results/accuracy/ROW.json, which must be about that file, and
writes bnn_exit/pretrained/NAME.tflite and its entry in index.json. No figure is typed by hand. The licence and the
attribution of the data are those of the measurement; they are written into the file too. NOTICE must have them.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from accuracy import RESULTS, RUNS
from accuracy_rows import ROWS

from bnn_exit import pretrained
from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.files import read_json, write_bytes, write_json
from bnn_exit.model_file import reader

POINT = ("accuracy", "correct", "drop", "exit_shares", "relative_cost")


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
    data = ship_file((options.run or RUNS / row.name) / "model.tflite", result)
    path = pretrained.FOLDER / f"{options.name}.tflite"
    write_bytes(path, data)
    models = {name: dataclasses.asdict(model) for name, model in pretrained.models().items()}
    models[options.name] = entry(data, result, data_folder=row.data)
    index = {"format": pretrained.FORMAT_VERSION, "models": dict(sorted(models.items()))}
    write_json(pretrained.FOLDER / pretrained.INDEX, index)
    print(f"wrote {path} ({len(data) / 1000:.0f} KB) and its entry in {pretrained.INDEX}")
    return 0


def ship_file(path: Path, result: dict[str, Any]) -> bytes:
    """The file, with the licence and the attribution that the measurement found.

    Raises:
        DataError: it is not the file that was measured, or nobody knows whom to credit for its data.
    """
    file = reader.read(path)
    if hashlib.sha256(file.data).hexdigest() != result["file"]["sha256"]:
        raise DataError(f"{path} is not the file that was measured: measure {result['row']} again")
    rights = {name: result[name] for name in ("licence", "attribution")}
    if rights["licence"] == "not stated" or rights["attribution"].startswith("data of the user"):
        raise DataError(f"{path} cannot be shipped: its data has the licence {rights['licence']!r} and no known author")
    metadata = dataclasses.replace(file.metadata, **rights)
    if metadata == file.metadata:
        return file.data
    from bnn_exit.conversion import flatbuffer_edit

    return flatbuffer_edit.with_metadata(file.data, reader.METADATA_NAME, metadata.to_json())


def entry(data: bytes, result: dict[str, Any], *, data_folder: str) -> dict[str, Any]:
    """What index.json says about a file: a `pretrained.Pretrained` as JSON values."""
    task, environment = result["training"]["settings"]["task"], result["training"]["environment"]
    exits = [{name: value for name, value in figures.items() if name != "time_us"} for figures in result["exits"]]
    points = {name: {key: point[key] for key in POINT} for name, point in result["operating_points"].items()}
    made = pretrained.Pretrained(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        task=task["name"],
        options=task["options"],
        data=data_folder,
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
    )
    return dataclasses.asdict(made)


if __name__ == "__main__":
    raise SystemExit(main())
