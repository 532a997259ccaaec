"""Measure a run's model file on real clips: `python -m bnn_exit.evaluate RUN`."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import audio_tasks
from audio_tasks.base import SPLITS, Split, Task
from bnn_exit import evaluation, files, machine, measure
from bnn_exit.audio import logmel
from bnn_exit.command import Parser, positive_int
from bnn_exit.config import FeatureConfig
from bnn_exit.errors import ArtifactError, DataError, missing_package, one_of, run_command
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.backends import BACKENDS

FRONT_END_CLIPS = 100
"""Clips that the front end is timed on, apart from the model."""

EPILOG = """\
examples:
  python -m bnn_exit.evaluate runs/words
  python -m bnn_exit.evaluate runs/words --data-dir DIR --backend reference --limit 50
  python -m bnn_exit.evaluate runs/words --split validation --json

RUN is a folder that `python -m bnn_exit.train --out RUN` wrote. Every clip goes through RUN/model.tflite once for each
exit and once for each operating point; the figures go to RUN/metrics.json, the plots to RUN/plots/.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.evaluate",
        description="Accuracy, exits, cost and time of an exported model, for every exit and operating point.",
        epilog=EPILOG,
    )
    arguments.add_argument("run", metavar="RUN", help="folder of a training run")
    arguments.add_argument("--split", default="test", help=f"{', '.join(SPLITS)} (default: test)")
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    arguments.add_argument(
        "--backend",
        default="auto",
        help="native, lce, reference, or auto: the first of these that is installed (default)",
    )
    arguments.add_argument("--limit", type=positive_int, metavar="N", help="only N clips, spread over the split")
    arguments.add_argument("--json", action="store_true", help="print the figures as JSON, not as a table")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    one_of("--split", options.split, SPLITS)
    words = sys.argv[1:] if argv is None else argv
    report = evaluate(
        options.run,
        split=options.split,
        data_dir=options.data_dir,
        backend=options.backend,
        limit=options.limit,
        command=shlex.join(["python", "-m", "bnn_exit.evaluate", *words]),
    )
    if options.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        print(evaluation.table(report))
        print(f"\nwrote {Path(options.run) / 'metrics.json'} and {Path(options.run) / 'plots'}")
    return 0


def evaluate(
    run: str,
    *,
    split: str = "test",
    data_dir: str | None = None,
    backend: str = "auto",
    limit: int | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Measure RUN/model.tflite on a split, write RUN/metrics.json and RUN/plots/, and return the figures.

    Args:
        run: folder of a training run, with config.json and model.tflite.
        split: "train", "validation" or "test".
        data_dir: takes the place of the data folder in the configuration.
        backend: "auto" or a name in `runtime.backends.BACKENDS`.
        limit: measure only this many clips, evenly spread over the split.
        command: how this was called, for the record.

    Raises:
        DataError: a file of the run is missing, the run is not binary, or the data has other labels than the model.
        ArtifactError: the model file is damaged, or does not leave where it must.
    """
    folder = Path(run)
    config = _config(folder)
    precision = config.get("model", {}).get("precision", "binary")
    if precision != "binary":
        raise DataError(
            f"{folder} is a run of precision {precision!r}, which has no model.tflite to measure: give a binary run; "
            "accuracy on validation is in history.json and operating_points.json"
        )
    session = runtime.load(_file(folder, "model.tflite"), backend=backend, threads=1)
    task = _task(config, data_dir=data_dir)
    _check_fit(session, task)

    chosen = task.split(split)
    if not len(chosen):
        raise DataError(f"the {split} split of {task.name} is empty: choose another with --split")
    indices = _spread(len(chosen), limit)
    inputs = _Clips(task, split, indices, waveform=session.metadata.input == "waveform")
    labels = np.asarray(chosen.labels, np.int64)[indices]
    points = {name: point.thresholds for name, point in session.operating_points.items()}
    measurement = measure.measure(
        BACKENDS[session.backend](session.artifact, threads=1),
        inputs,
        points or {"full": (0.0,) * (session.exits - 1)},
        exits=session.exits,
        progress=_progress,
    )
    costs = session.metadata.exits
    report = {
        "task": task.name,
        "labels": list(session.labels),
        "split": split,
        "sample_count": len(indices),
        "split_count": len(chosen),
        "skipped_files": task.skipped,
        "seed": config.get("training", {}).get("seed"),
        "measured": True,
        "backend": session.backend,
        "threads": 1,
        "time_of": "one call of the backend on one clip, without reading the file and without the front end",
        "front_end_us": None if session.metadata.input == "waveform" else _front_end_us(task, chosen, indices),
        **evaluation.figures(measurement, labels, names=session.labels, costs=costs),
        "machine": machine.describe(),
        "versions": machine.versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
    }
    files.write_json(folder / "metrics.json", report)
    shown = "balanced" if "balanced" in measurement.points else list(measurement.points)[-1]
    evaluation.draw(folder / "plots", report, evaluation.sweep(measurement, labels, costs=costs), shown=shown)
    return report


class _Clips(Sequence[Any]):
    """The clips of a split in the form that the model takes, read one at a time."""

    def __init__(self, task: Task, split: str, indices: np.ndarray, *, waveform: bool) -> None:
        self._indices = indices
        self._split = task.split(split)
        self._features = None if waveform else task.log_mel(split)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: Any) -> Any:
        index = int(self._indices[place])
        return self._split.waveform(index) if self._features is None else np.asarray(self._features[index])


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        made = {"config.json": f"--task TASK --out {folder}", "model.tflite": f"--resume {folder}"}[name]
        raise DataError(f"{folder} has no {name}: python -m bnn_exit.train {made} makes it")
    return path


def _config(folder: Path) -> dict[str, Any]:
    path = _file(folder, "config.json")
    try:
        config = files.read_json(path)
        name, _ = config["task"]["name"], config["features"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not the configuration of a run ({type(error).__name__}: {error}): make a new run with "
            "python -m bnn_exit.train"
        ) from error
    one_of("task", name, audio_tasks.TASKS)
    return config


def _task(config: dict[str, Any], *, data_dir: str | None) -> Task:
    options = dict(config["task"].get("options") or {})
    if data_dir is not None:
        options["data_dir"] = data_dir
    return audio_tasks.load(config["task"]["name"], features=FeatureConfig.from_dict(config["features"]), **options)


def _check_fit(session: runtime.Session, task: Task) -> None:
    """The thresholds, costs and labels in the file must be those of this task and these features."""
    if tuple(task.labels) != tuple(session.labels):
        raise DataError(
            f"the data has the {len(task.labels)} labels {_some(task.labels)}, but the model was trained on the "
            f"{len(session.labels)} labels {_some(session.labels)}: give the data of the training with --data-dir"
        )
    if session.metadata.features != task.features or session.metadata.clip_samples != task.clip_samples:
        raise ArtifactError("model.tflite was exported with other feature settings than config.json: export it again")


def _some(labels: Iterable[str]) -> str:
    listed = list(labels)
    return ", ".join(listed[:4]) + (", ..." if len(listed) > 4 else "")


def _spread(count: int, limit: int | None) -> np.ndarray:
    """Clips of a split are often sorted by label, so a part of them must be taken from everywhere."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.int64)


def _front_end_us(task: Task, split: Split, indices: np.ndarray) -> dict[str, float]:
    seconds = []
    for place in _spread(len(indices), FRONT_END_CLIPS):
        waveform = split.waveform(int(indices[place]))
        begin = time.perf_counter()
        logmel.log_mel(waveform, task.features)
        seconds.append(time.perf_counter() - begin)
    return measure.time_us(seconds)


def _progress(clips: Iterable[int]) -> Iterable[int]:
    try:
        import tqdm
    except ImportError:
        raise missing_package("tqdm", purpose="the progress bar of an evaluation", extra="train") from None
    return tqdm.tqdm(clips, desc="clips", unit="clip", disable=None)


if __name__ == "__main__":
    raise SystemExit(main())
