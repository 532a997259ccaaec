"""Measures one row of `accuracy.py`: the accuracy, cost and time of a trained network, as JSON values."""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peer_timing
from accuracy_rows import Row

import audio_tasks
from bnn_exit import machine
from bnn_exit.cost import Cost
from bnn_exit.evaluation.split import measure_split
from bnn_exit.files import read_json
from bnn_exit.model_file.reader import ModelFile
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.native_backend import capabilities
from bnn_exit.settings.run import RunTask

TIMED_CLIPS, ROUNDS = 100, 5
TIME = (
    "microseconds of processor time for one clip, one thread, with every clip made to leave at this exit: time_us of "
    "the network alone, whole_us of our native front end (front_end_us) and the network right after it; median over "
    f"{TIMED_CLIPS} clips of the median of {ROUNDS} rounds, all exits and runtimes in turn; a forced exit takes the "
    "same time for any clip. LCE: its default kernels, the only ones that are right in files with branches; its "
    "authors do not call them optimised on x86-64"
)
LOCAL = ("data_dir", "cache_dir", "negatives")
"""Settings of a task that say nothing but where things were."""


def measure(row: Row, folder: Path, *, data_dir: str | None, negatives: str | None = None) -> dict[str, Any]:
    """The result of a row from its run folder, on the test split; thresholds are those of the validation split.

    Args:
        row: what was trained.
        folder: a finished run of `bnn_exit.train` or `distill.train_teacher`.
        data_dir: folder of the data; None for where it was during the training.
        negatives: folder of its long recordings, likewise.
    """
    config = read_json(folder / "config.json")
    task = audio_tasks.load_again(RunTask.from_dict(config["task"]), data_dir=data_dir, negatives=negatives)
    if (folder / "teacher.json").is_file():
        found = _teacher(read_json(folder / "teacher.json"), clips=len(task.test))
    elif (folder / row.file).is_file():
        found = _file(folder / row.file, task)
    else:
        found = _keras(folder, task)
    return {
        "row": row.name,
        "command": shlex.join(["python", "benchmarks/accuracy.py", "measure", row.name, "--data-dir", "DIR"]),
        **machine.provenance(),
        "task": task.name,
        "labels": task.num_classes,
        "licence": task.licence,
        "attribution": task.attribution,
        "split": "test",
        "thresholds_from": "validation",
        "sample_counts": {name: len(split) for name, split in task.splits.items()},
        "skipped_files": task.skipped,
        "seed": config["training"]["seed"],
        **found,
        "training": training(folder, config),
    }


def _file(path: Path, task: Any) -> dict[str, Any]:
    """A binary network through its exported file, in the native runtime."""
    session = runtime.load(path, backend="native")
    _, _, report = measure_split(session, task)
    clips = report.sample_count
    times = exit_times(session.model_file, task)
    exits = []
    for figures in report.exits:
        index = figures.exit_index
        exits.append(
            _exit(index, figures.accuracy, clips, session.metadata.exits)
            | {
                name: {backend: taken[index] for backend, taken in times[part].items()}
                for name, part in (("time_us", "network"), ("whole_us", "whole"))
            }
        )
    points = {}
    for name, figures in report.operating_points.items():
        shares, agreement = figures.exit_shares, figures.exit_agreement
        points[name] = {
            "thresholds": figures.thresholds,
            "accuracy": figures.accuracy,
            "correct": round(figures.accuracy * clips),
            "total": clips,
            "drop": figures.accuracy_drop,
            "exit_shares": shares,
            "exits_as_the_rule_says": agreement,
            "mean_cost": figures.mean_cost,
            "relative_cost": figures.relative_cost,
            "relative_time": {backend: relative_time(shares, taken) for backend, taken in times["network"].items()},
            "relative_whole_time": {backend: relative_time(shares, taken) for backend, taken in times["whole"].items()},
            "validation": session.operating_points[name].to_dict(),
        }
    data = session.model_file.data
    return {
        "measured_with": "the exported file in the native runtime",
        "isa": capabilities()["isa"],
        "threads": 1,
        "time": TIME,
        "load_average": round(os.getloadavg()[0], 1),
        "front_end_us": times["front_end"]["native"][-1],
        "file": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        "exits": exits,
        "operating_points": points,
    }


def exit_times(file: ModelFile, task: Any) -> dict[str, dict[str, list[float]]]:
    """`network`, `front_end` and `whole` -> runtime -> microseconds of leaving at each exit; see TIME."""
    log_mel = np.asarray(task.log_mel("test"))
    chosen = np.linspace(0, len(log_mel) - 1, min(TIMED_CLIPS, len(log_mel))).astype(int)
    runners = peer_timing.exit_runners(file, log_mel[chosen])
    waveforms = np.stack([task.test.waveform(int(clip)) for clip in chosen])
    front_end = peer_timing.our_front_end(file.metadata.features, waveforms)
    # Processor time, so that a training beside this does not count.
    found = peer_timing.measure_runners(
        runners,
        clips=len(chosen),
        rounds=ROUNDS,
        front_ends=dict.fromkeys(runners, front_end),
        clock=time.process_time,
    )
    times: dict[str, dict[str, list[float]]] = {"network": {}, "front_end": {}, "whole": {}}
    for (backend, _), figures in found.items():
        for part, of_part in times.items():
            of_part.setdefault(backend, []).append(round(figures[part]["median"], 2))
    return times


def relative_time(shares: Sequence[float], times: Sequence[float]) -> float:
    """Mean time of clips that leave in these shares, as a share of the time of the last exit."""
    return float(np.dot(shares, times) / times[-1])


def _keras(folder: Path, task: Any) -> dict[str, Any]:
    """A network that has no file, such as a full-precision twin: its accuracy in Keras, and no times."""
    from bnn_exit.runs.folder import RunFolder

    network = RunFolder(folder).network()
    right = network.logits(np.asarray(task.log_mel("test"))).argmax(axis=-1) == np.asarray(task.test.labels)[:, None]
    costs, clips = network.costs(), len(task.test)
    exits = [_exit(index, float(mean), clips, costs) for index, mean in enumerate(right.mean(axis=0))]
    return {"measured_with": "Keras", "exits": exits}


def _teacher(figures: dict[str, Any], *, clips: int) -> dict[str, Any]:
    """A teacher, by what its training wrote down in teacher.json."""
    cost = Cost.from_dict(figures["cost"])
    return {
        "measured_with": "Keras, at the end of the training",
        "exits": [_exit(0, figures["accuracy"]["test"], clips, [cost])],
        "validation_accuracy": figures["accuracy"]["validation"],
    }


def _exit(index: int, accuracy: float, clips: int, costs: Sequence[Cost]) -> dict[str, Any]:
    cost = costs[index]
    return {
        "exit_index": index,
        "accuracy": accuracy,
        "correct": round(accuracy * clips),
        "total": clips,
        "binary_macs": cost.binary_macs,
        "float_macs": cost.float_macs,
        "ops": cost.ops,
        "relative_ops": cost.ops / costs[-1].ops,
    }


def training(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """How the network was trained: settings, command and environment, and a summary of the history."""
    environment = read_json(folder / "environment.json") if (folder / "environment.json").is_file() else {}
    if "command" in environment:
        environment["command"] = without_places(environment["command"])
    task = dict(config["task"])
    options = {name: value for name, value in task.get("options", {}).items() if name not in LOCAL}
    kept = {name: task[name] for name in ("name", "clip_samples", "features")}
    settings = {name: value for name, value in config.items() if name not in ("format", "features", "task")}
    if (settings.get("distillation") or {}).get("teachers"):
        teachers = [Path(path).name for path in settings["distillation"]["teachers"]]
        settings["distillation"] = {**settings["distillation"], "teachers": teachers}
    steps = [*sorted((folder / "steps").glob("*/history.json")), folder / "history.json"]
    return {
        "environment": environment,
        "settings": {"task": {**kept, "options": options}, **settings},
        "steps": [history_summary(read_json(path)) for path in steps if path.is_file()],
    }


def history_summary(history: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one step of a training: epochs, minutes, and its best epoch, the first with the highest mean accuracy."""
    found = {
        "epochs": len(history),
        "minutes": round(sum(record["total_seconds"] for record in history) / 60, 1),
        "processor_minutes": round(sum(record["processor_seconds"] for record in history) / 60, 1),
        "last_loss": history[-1]["loss"],
    }
    judged = [record for record in history if record.get("validation_accuracy")]
    if judged:  # a step that learns an embedding has no answers yet
        best = max(judged, key=lambda record: np.mean(record["validation_accuracy"]))
        found |= {"best_epoch": best["epoch"], "best_validation_accuracy": best["validation_accuracy"]}
    return found


def without_places(command: str) -> str:
    """A command with DIR for the folder of the data and names for other absolute paths, to be read anywhere."""
    words = shlex.split(command)
    for index, word in enumerate(words[:-1]):
        value = words[index + 1]
        if word in ("--data-dir", "--cache-dir"):
            words[index + 1] = "DIR"
        elif Path(value).is_absolute():
            words[index + 1] = Path(value).name
    return shlex.join(words)
