"""Does a search of three hours find a better network than the sizes that were made by hand?

    python benchmarks/search.py search --data-dir DIR      (at most --hours 3; resumes)
    python benchmarks/search.py train --data-dir DIR       (40 minutes for each network; resumes)
    python benchmarks/search.py measure --data-dir DIR     (minutes, and results/search.json and .png)

`search` runs `bnn_exit.search` on Arabic Speech Commands. Its budget is what the hand-made size --like is predicted to
take on this machine, in mean time and in bytes. `train` trains the network that was found and every hand-made size by
the standard recipe, with one seed. `measure` runs all of them over the test split: accuracy and mean time of the whole
path, from samples to probabilities, at every operating point. Thresholds are those of the validation split, times of
the exits are measured, and means over clips follow from the exits where these leave. A point is better than another
if it is no worse in accuracy and time, and better in one of them.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_measure import measure as measured
from accuracy_rows import Row
from result_file import called

from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, BnnExitError, one_of
from bnn_exit.files import read_json, write_json

RESULT = Path(__file__).parent / "results" / "search.json"
RUNS = Path("runs/search")
TASK = "speech_commands"
HAND_MADE = {
    **{size: {"backbone": "quicknet", "size": size} for size in ("tiny", "small", "medium", "base", "deep", "large")},
    **{f"glance-{size}": {"backbone": "glance", "size": size} for size in ("small", "base", "large")},
}
"""Name -> backbone and size: those of QuickNet, and of the backbone of the recipe."""
FOUND = "found"


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/search.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    for verb, about in (("search", "search"), ("train", "train what was found, and sizes"), ("measure", "measure all")):
        command = commands.add_parser(verb, prog=f"python benchmarks/search.py {verb}", description=about, epilog="")
        command.add_argument("--data-dir", metavar="DIR", help="folder of the words")
        command.add_argument(
            "--runs", type=Path, default=RUNS, help=f"where the study and the run folders are ({RUNS})"
        )
        if verb == "search":
            command.add_argument(
                "--like", default="glance-base", metavar="SIZE", help="size whose cost is the budget (glance-base)"
            )
            command.add_argument("--hours", type=float, default=3.0, help="of the search (3)")
        else:
            command.add_argument("--sizes", nargs="+", default=list(HAND_MADE), metavar="SIZE", help="(all)")
        if verb == "measure":
            command.add_argument("--result", type=Path, default=RESULT, help="(benchmarks/results/search.json)")
        else:
            command.add_argument("--epochs", type=int, help="for trying this script: fewer than the recipes'")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    place = [] if options.data_dir is None else ["--data-dir", options.data_dir]
    study, epochs = options.runs / "study", getattr(options, "epochs", None)
    more = [] if epochs is None else ["--epochs", str(epochs)]
    if options.verb == "search":
        return search(study, like=options.like, hours=options.hours, place=place, more=more)
    for size in options.sizes:
        one_of("--sizes", size, HAND_MADE)
    if not (study / "recipe.json").is_file():
        raise ArgumentError(f"{study} has no recipe.json: python benchmarks/search.py search first")
    names = [FOUND, *options.sizes]
    if options.verb == "train":
        for name in names:
            made = HAND_MADE.get(name, {})
            own = [word for option, value in made.items() for word in (f"--{option}", value)]
            own = own or ["--recipe", str(study / "recipe.json")]
            train(options.runs / name, ["--task", TASK, *own, *more], place=place)
        return 0
    return measure(names, options.runs, study, data_dir=options.data_dir, command=command, path=options.result)


def search(study: Path, *, like: str, hours: float, place: list[str], more: list[str]) -> int:
    """Run the search, or the rest of one that was interrupted."""
    if (study / "study.json").is_file():
        spent = sum(record["seconds"] for record in hours_of(study)) / 3600
        left = hours - spent
        if left <= 0:
            print(f"the search has had its {hours:g} hours, in {study}")
            return 0
        words = ["--resume", str(study), "--hours", f"{left:.3f}", *place]
    else:
        mean_us, kb = cost_of(like, place)
        words = ["--task", TASK, *place, *more, "--max-mean-us", f"{mean_us:.1f}", "--max-kb", f"{kb:.1f}"]
        words += ["--hours", f"{hours:g}", "--out", str(study)]
    return run(["-m", "bnn_exit.search", *words])


def hours_of(study: Path) -> list[dict[str, Any]]:
    """What the trials that have ended took, in seconds: from the summed epochs of their histories."""
    histories = [read_json(path) for path in sorted((study / "trials").glob("*/history.json"))]
    return [{"seconds": sum(epoch["total_seconds"] for epoch in history)} for history in histories]


def cost_of(size: str, place: list[str]) -> tuple[float, float]:
    """Mean microseconds and kilobytes that a hand-made size is predicted to take on this machine."""
    import audio_tasks
    from bnn_exit import pretrained
    from bnn_exit.calibration.operator_rates import OperatorRates
    from bnn_exit.commands.bench import bench
    from bnn_exit.models.multi_exit import build
    from bnn_exit.search.cost import EARLY_SHARE, predicted
    from bnn_exit.settings import recipes

    one_of("--like", size, HAND_MADE)
    recipe = recipes.load("standard", task=TASK, tasks=audio_tasks.TASKS)
    task = audio_tasks.load(TASK, features=recipe.features, data_dir=place[1] if place else None)
    rates = OperatorRates.from_bench([bench(name, cold=False) for name in pretrained.models()])
    settings = {**recipe.model.to_dict(), **HAND_MADE[size]}
    network = build(**settings, num_classes=task.num_classes, input_shape=task.input_shape)
    cost = predicted(network, rates, recipe.features, clip_samples=task.clip_samples, early_share=EARLY_SHARE)
    return cost.mean_us, cost.kb


def train(folder: Path, words: list[str], *, place: list[str]) -> None:
    """Train a network, unless that has been done."""
    if (folder / "model.tflite").is_file():
        print(f"{folder.name}: trained already, in {folder}")
        return
    resumed = ["--resume", str(folder)] if (folder / "config.json").is_file() else [*words, "--out", str(folder)]
    run(["-m", "bnn_exit.train", *resumed, *place])


def run(words: list[str]) -> int:
    print(shlex.join(["python", *words]), flush=True)
    status = subprocess.run([sys.executable, *words]).returncode
    if status == 130:
        raise KeyboardInterrupt
    if status:
        raise BnnExitError(f"{words[1]} failed with status {status}: the same command resumes it")
    return 0


def measure(names: list[str], runs: Path, study: Path, *, data_dir: str | None, command: str, path: Path) -> int:
    """Measure every network on the test split and write the result with its plot."""
    rows = {}
    for name in names:
        if not (runs / name / "model.tflite").is_file():
            raise ArgumentError(f"{runs / name} holds no finished run: python benchmarks/search.py train first")
        row = Row(name=name, title=name, groups=(), data=TASK, options={})
        rows[name] = measured(row, runs / name, data_dir=data_dir) | {"command": command}
    trials = read_json(study / "study.json")
    curves = {name: points_of(row) for name, row in rows.items()}
    verdicts = {name: verdict(curves[FOUND], points) for name, points in curves.items() if name != FOUND}
    result = {
        "question": __doc__.splitlines()[0],
        **{name: value for name, value in next(iter(rows.values())).items() if name in _PROVENANCE},
        "command": command,
        "budget": trials["settings"]["budget"],
        "trials": {state: sum(each["state"] == state for each in trials["trials"]) for state in STATES},
        "search_hours": round(sum(record["seconds"] for record in hours_of(study)) / 3600, 2),
        "points": {name: [dict(point) for point in points] for name, points in curves.items()},
        "found_against": verdicts,
        "rows": rows,
    }
    write_json(path, result)
    draw(curves, path.with_suffix(".png"))
    for name, found in verdicts.items():
        print(f"{name:8s} found is {found['found_is']}; {found['text']}")
    print(f"wrote {path}")
    return 0


STATES = ("done", "stopped", "over budget", "invalid")
_PROVENANCE = (
    "machine",
    "versions",
    "date",
    "git_revision",
    "task",
    "split",
    "thresholds_from",
    "sample_counts",
    "licence",
)


def points_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Accuracy and mean microseconds of the whole path at each operating point, on the test split."""
    whole = [each["whole_us"]["native"] for each in row["exits"]]
    return [
        {"point": name, "accuracy": point["accuracy"], "mean_us": float(np.dot(point["exit_shares"], whole))}
        for name, point in row["operating_points"].items()
    ]


def verdict(found: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether the found network has the better trade than another one.

    It is better if each point of the other is matched or beaten by a point of its own, worse the other way round, and
    neither if both networks have points that the other one does not reach.
    """
    ahead = all(any(_beats(own, point) for own in found) for point in other)
    behind = all(any(_beats(point, own) for point in other) for own in found)
    best = max(other, key=lambda point: point["accuracy"])
    same = [own["mean_us"] for own in found if own["accuracy"] >= best["accuracy"]]
    in_time = [own["accuracy"] for own in found if own["mean_us"] <= best["mean_us"]]
    return {
        "found_is": "better" if ahead and not behind else "worse" if behind and not ahead else "neither",
        "time_at_its_best_accuracy": min(same) / best["mean_us"] if same else None,
        "accuracy_in_its_time": max(in_time) - best["accuracy"] if in_time else None,
        "text": f"at {100 * best['accuracy']:.2f} % it takes {best['mean_us']:.1f} us, found "
        + (f"{min(same):.1f} us" if same else "does not reach that"),
    }


def _beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """No worse in both."""
    return one["accuracy"] >= other["accuracy"] and one["mean_us"] <= other["mean_us"]


def draw(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, points in curves.items():
        points = sorted(points, key=lambda point: point["mean_us"])
        line = {"linewidth": 2.5, "color": "black"} if name == FOUND else {"linewidth": 1}
        axes.plot(
            [point["mean_us"] for point in points],
            [100 * point["accuracy"] for point in points],
            marker="o",
            label=name,
            **line,
        )
    axes.set_xlabel("mean time of the whole path, us")
    axes.set_ylabel("accuracy on the test split, %")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
