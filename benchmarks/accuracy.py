"""How accurate are the networks, at what size, cost and time: the best, a small one, four backbones, and every choice?

    python benchmarks/accuracy.py train ROW... --data-dir DIR      (hours; goes on where it was interrupted)
    python benchmarks/accuracy.py measure ROW... --data-dir DIR    (a minute each; ROW=FOLDER for a run elsewhere)
    python benchmarks/accuracy.py table                            (tables, bars, results/accuracy.json and .png)

ROW is a row or a group of `accuracy_rows.py`; `table` prints the commands of those that are not measured. DIR is the
folder of the data, or one that holds it as arabic_speech_commands, esc10, speech_commands_en or speech_commands_v0.02,
and negatives as librispeech; without it the data is where it was, or is downloaded. `train` runs `bnn_exit.train` into
runs/accuracy/ROW, and the row's teacher first. `measure` writes results/accuracy/ROW.json: accuracy on the test split
through the exported file, with thresholds from the validation split, cost, and the time of the network on one thread.
Of rows of the group `listening` it measures model_rejection.tflite, which `python -m bnn_exit.export RUN --policy
rejection` writes.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import accuracy_table
from accuracy_rows import MODEL, ROWS, Row, chosen

from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands import train as train_command
from bnn_exit.errors import ArgumentError, BnnExitError, one_of
from bnn_exit.files import read_json, write_json
from distill import train_teacher

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs/accuracy")


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/accuracy.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    for verb, about in (("train", "train rows"), ("measure", "measure rows that are trained")):
        command = commands.add_parser(verb, prog=f"python benchmarks/accuracy.py {verb}", description=about, epilog="")
        command.add_argument("rows", nargs="+", metavar="ROW", help="row or group; for measure also ROW=FOLDER")
        command.add_argument("--data-dir", metavar="DIR", help="the data, or a folder that holds it by name")
        command.add_argument("--runs", type=Path, default=RUNS, help=f"where the run folders are ({RUNS})")
    commands.add_parser("table", prog="python benchmarks/accuracy.py table", description="print tables", epilog="")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv)))


def _main(options: argparse.Namespace) -> int:
    if options.verb == "table":
        return table()
    if options.verb == "train":
        rows = chosen(options.rows)
        for row in rows:  # a mistake in the last must not show after the first has trained for hours
            check_words(row)
        for row in rows:
            train(row, options.runs, data_dir=options.data_dir)
        return 0
    for row, folder in folders(options.rows, options.runs):
        if folder == options.runs / row.name:
            check_options(row, folder)
        measure(row, folder, data_dir=options.data_dir)
    return 0


def train(row: Row, runs: Path, *, data_dir: str | None) -> None:
    """Train a row, and its teacher before it, unless that has been done."""
    if row.teacher is not None:
        train(ROWS[row.teacher], runs, data_dir=data_dir)
    folder = runs / row.name
    check_options(row, folder)
    if is_finished(folder):
        print(f"{row.name}: trained already, in {folder}")
        return
    place = data_folder(row, data_dir)
    negatives = negatives_folder(row, data_dir)
    command = row.command(
        folder, data_dir=place, teacher=runs / row.teacher if row.teacher else None, negatives=negatives
    )
    if (folder / "config.json").is_file():
        places = {"--data-dir": place, "--negatives": negatives}
        moved = [word for name, value in places.items() if value for word in (name, value)]
        command = [*command[:2], "--resume", str(folder), *moved]
    elif row.negatives and negatives is None:
        raise ArgumentError(
            f"row {row.name} is trained with negatives: give --data-dir DIR with DIR/{row.negatives}, long recordings "
            "in the folders train, validation and test"
        )
    print(f"{row.name}: {shlex.join(['python', *command])}", flush=True)
    status = subprocess.run([sys.executable, *command]).returncode
    if status == 130:
        raise KeyboardInterrupt
    if status or not is_finished(folder):
        raise BnnExitError(f"the training of {row.name} failed with status {status}: the same command resumes it")


def measure(row: Row, folder: Path, *, data_dir: str | None) -> None:
    """Measure a row and write its result."""
    # It needs the training half's packages; `table` and --help do without.
    import accuracy_measure

    if not is_finished(folder):
        raise ArgumentError(f"{folder} holds no finished run of {row.name}: python benchmarks/accuracy.py train first")
    if row.file != MODEL and not (folder / row.file).is_file():
        policy = row.file.removeprefix("model_").removesuffix(".tflite")
        raise ArgumentError(f"{folder} has no {row.file}: python -m bnn_exit.export {folder} --policy {policy}")
    result = accuracy_measure.measure(
        row, folder, data_dir=data_folder(row, data_dir), negatives=negatives_folder(row, data_dir)
    )
    path = RESULTS / "accuracy" / f"{row.name}.json"
    write_json(path, result)
    print("\n".join([*accuracy_table.HEAD, accuracy_table.line(row, result), f"wrote {path}"]), flush=True)


def check_words(row: Row) -> None:
    """ArgumentError if the command that trains a row does not take its options."""
    command = train_teacher if row.is_teacher else train_command
    try:
        command.parser().parse_args(row.words())
    except ArgumentError as error:
        raise ArgumentError(f"row {row.name}: {error}") from error


def check_options(row: Row, folder: Path) -> None:
    """ArgumentError if a run was trained with other options than the row has now."""
    path = folder / "environment.json"
    if path.is_file() and not row.was_trained_by(command := read_json(path)["command"]):
        raise ArgumentError(
            f"{folder} was trained by {command!r}, but the row says {shlex.join(row.words())!r}: remove the folder, "
            f"or measure it as {row.name}={folder}"
        )


def table() -> int:
    """Print the tables and bars, and write the summary and the plot; the exit status is 1 if a bar is missed."""
    results = {row: read_json(path) for row in ROWS if (path := RESULTS / "accuracy" / f"{row}.json").is_file()}
    summary = {"question": __doc__.splitlines()[0], "command": "python benchmarks/accuracy.py table"}
    summary |= accuracy_table.summary(results)
    write_json(RESULTS / "accuracy.json", summary)
    accuracy_table.plot(RESULTS / "accuracy.png", results)
    print(accuracy_table.markdown(results))
    print(f"\nwrote {RESULTS / 'accuracy.json'} and {RESULTS / 'accuracy.png'}", file=sys.stderr)
    return 1 if any(bar["met"] is False for bar in summary["bars"]) else 0


def folders(names: list[str], runs: Path) -> list[tuple[Row, Path]]:
    """The rows of the words of a command, ROW, GROUP or ROW=FOLDER, with their run folders."""
    found = []
    for name in names:
        row, given, folder = name.partition("=")
        if given:
            found.append((ROWS[one_of("row", row, ROWS)], Path(folder)))
        else:
            found += [(each, runs / each.name) for each in chosen([row])]
    return found


def data_folder(row: Row, data_dir: str | None) -> str | None:
    """The folder of the row's data: `data_dir` itself, or the one of that name in it."""
    if data_dir is None:
        return None
    inside = Path(data_dir) / row.data
    return str(inside) if inside.is_dir() else data_dir


def negatives_folder(row: Row, data_dir: str | None) -> str | None:
    """The folder of the row's negatives in `data_dir`; None without any, or where they are elsewhere."""
    inside = Path(data_dir or "") / row.negatives
    return str(inside) if data_dir and row.negatives and inside.is_dir() else None


def is_finished(folder: Path) -> bool:
    """Whether a training has run to its end: it wrote its file last, or its figures if it makes no file."""
    if (folder / MODEL).is_file() or (folder / "teacher.json").is_file():
        return True
    try:
        is_float = read_json(folder / "config.json")["model"]["precision"] == "float"
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return is_float and (folder / "operating_points.json").is_file()


if __name__ == "__main__":
    raise SystemExit(main())
