"""Are small binary networks good on sensors, against float twins and a random forest, on people whom they never saw?

    python benchmarks/activity.py train phone|watch ... --data-dir DIR     (an hour; resumes, and skips what is there)
    python benchmarks/activity.py measure --data-dir DIR                   (minutes; needs scikit-learn)

Five activities from the accelerometer and gyroscope of a phone or a watch (GeoTec, Matey-Sanz et al. 2023): 23 people,
windows of 2 s at 50 Hz, one every half second, in five folds by person. Of each device and fold one binary network is
trained by the recipe `standard` for time series, and its full-precision twin by the same recipe with the learning rate
of full-precision weights. The forest is scikit-learn's, of 300 trees on eight usual statistics of each channel; it
learns from the validation windows too, which the networks choose their weights by. Accuracy is that of test windows,
the mean over folds. DIR is the folder of phone.npz and watch.npz.

A phone lies in a pocket any way round, a watch does not: windows of the phone are turned by any angle in training. That
was chosen on the validation windows of two folds.

Operating modes are counted on the test windows of each file: thresholds that no other ones beat in both ops and
accuracy, with thresholds chosen on validation windows. For this count there is a window every 0.1 s, as a stream has
them. Beside it is the count with thresholds from the test windows themselves, as papers count. Writes
results/activity.json; the exit status is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called, report

import audio_tasks
from bnn_exit import load, machine
from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands import train as train_command
from bnn_exit.errors import DataError, one_of
from bnn_exit.files import write_json
from bnn_exit.runs.folder import RunFolder

RESULT = Path(__file__).parent / "results" / "activity.json"
RUNS = Path("runs/activity")
DEVICES = ("phone", "watch")
FOLDS = 5
PRECISIONS = ("binary", "float")
FLOAT_LEARNING_RATE = 2e-3
OPTIONS = {"group": "subject", "recording": "recording", "time": "time_ms", "time_unit": "ms", "rate_hz": 50.0}
HOP_S = 0.5
STREAM_HOP_S = 0.1
ROTATION_DEG = {"phone": 180.0, "watch": 45.0}
TREES = 300
BARS = {"modes": 20, "ops_ratio": 3.0, "points_behind_twin": 1.0, "bytes": 50_000}


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/activity.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    for verb, about in (("train", "train networks"), ("measure", "measure all of them")):
        command = commands.add_parser(verb, prog=f"python benchmarks/activity.py {verb}", description=about, epilog="")
        if verb == "train":
            command.add_argument("devices", nargs="+", metavar="DEVICE", help=", ".join(DEVICES))
            command.add_argument("--folds", nargs="+", type=int, default=[*range(1, FOLDS + 1)], help="(all five)")
            command.add_argument("--epochs", type=int, help="of a training (the recipe's)")
        command.add_argument("--data-dir", required=True, metavar="DIR", help="folder of phone.npz and watch.npz")
        command.add_argument("--runs", type=Path, default=RUNS, help=f"where the run folders are ({RUNS})")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if options.verb == "measure":
        return measure(options, command)
    for device in options.devices:
        one_of("device", device, DEVICES)
    for fold in options.folds:
        for device in options.devices:
            for precision in PRECISIONS:
                train(options, device, fold, precision)
    return 0


def run_folder(runs: Path, device: str, fold: int, precision: str) -> RunFolder:
    return RunFolder(runs / f"{device}-fold{fold}-{precision}")


def finished(run: RunFolder) -> bool:
    return (run.path / "operating_points.json").is_file()


def train(options: argparse.Namespace, device: str, fold: int, precision: str) -> None:
    """Train one network by the command, or finish it; a finished one is left as it is."""
    run = run_folder(options.runs, device, fold, precision)
    if finished(run):
        print(f"{run}: trained already")
        return
    data = str(Path(options.data_dir) / f"{device}.npz")
    if (run.path / "config.json").is_file():
        arguments = ["--resume", str(run), "--data-dir", data]
    else:
        named = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        arguments = ["--task", "timeseries", "--data-dir", data, *named, "--hop-s", str(HOP_S)]
        arguments += ["--option", f"fold={fold}", "--precision", precision, "--out", str(run)]
        arguments += ["--recipe", str(recipe(options.runs, device))]
        if precision == "float":
            arguments += ["--learning-rate", str(FLOAT_LEARNING_RATE)]
        if options.epochs:
            arguments += ["--epochs", str(options.epochs)]
    if train_command.main(arguments) != 0:
        raise DataError(f"{run} could not be trained")


def recipe(runs: Path, device: str) -> Path:
    """A file with the standard recipe, but for the largest rotation."""
    path = runs / f"{device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    changes = {"augment_values": {"rotation_deg": ROTATION_DEG[device]}}
    write_json(path, {"like": "standard", "default": {}, "timeseries": changes})
    return path


def measure(options: argparse.Namespace, command: str) -> int:
    """Test every trained network and a forest on the same windows, and write the results."""
    devices: dict[str, Any] = {}
    for device in DEVICES:
        folds = [fold for fold in range(1, FOLDS + 1) if finished(run_folder(options.runs, device, fold, "binary"))]
        if folds:
            rows = [measure_fold(options, device, fold) for fold in folds]
            devices[device] = {"folds": rows, **summary(rows)}
    if not devices:
        raise DataError(f"{options.runs} holds no finished run: python benchmarks/activity.py train makes them")
    bars = bars_of(devices)
    write_json(
        RESULT,
        {
            "command": command,
            **machine.provenance({"scikit-learn": _forest_library().__version__}),
            "data": "GeoTec activities (Matey-Sanz et al. 2023), windows of 2 s at 50 Hz, one every 0.5 s",
            "split": "test, five folds over people",
            "devices": devices,
            "bars": bars,
        },
    )
    for device, found in devices.items():
        print(
            f"{device}, {len(found['folds'])} folds: binary {100 * found['binary']:.2f} % "
            f"(exits {' '.join(f'{100 * each:.2f}' for each in found['binary_exits'])}), "
            f"float {100 * found['float']:.2f} %, forest {100 * found['forest']:.2f} %"
        )
        for row in found["folds"]:
            print(
                f"  fold {row['fold']}: {row['modes']} modes, {row['ops_ratio']:.1f} times the ops; with thresholds "
                f"from test {row['modes_from_test']}, {row['ops_ratio_from_test']:.1f} times"
            )
    return report(bars)


def measure_fold(options: argparse.Namespace, device: str, fold: int) -> dict[str, Any]:
    from bnn_exit.calibration.modes import modes, modes_of_clips
    from bnn_exit.commands.validation_logits import validation_logits
    from bnn_exit.policies import Sizes, from_dict
    from bnn_exit.training.calibrate import exit_logits_of

    binary, twin = (run_folder(options.runs, device, fold, precision) for precision in PRECISIONS)
    task = audio_tasks.load_again(binary.config.task, data_dir=Path(options.data_dir) / f"{device}.npz")
    network = binary.network()
    tested = exit_logits_of(network, task, split="test")
    accuracy = (tested.logits.argmax(-1) == tested.labels[:, None]).mean(axis=0)
    _, costs = validation_logits(binary)
    policy = from_dict(binary.policy())
    costs = costs.with_policy(policy, Sizes.of(tested))
    stream = audio_tasks.load(task.name, features=task.features, **{**task.options, "hop_s": STREAM_HOP_S})
    held_out, streamed = (exit_logits_of(network, stream, split=name) for name in ("validation", "test"))
    found = modes(held_out, streamed, costs, policy=policy)
    right = policy.probabilities(streamed).argmax(axis=-1) == streamed.truth[:, None]
    published = modes_of_clips(policy.scores(streamed), right, costs)
    session = load(binary.model)
    balanced = [session.predict(window) for window in task.log_mel("test")]
    row = {
        "fold": fold,
        "people": sorted(set(task.test.speakers or ())),
        "windows": {name: len(split) for name, split in task.splits.items()},
        "binary_exits": accuracy.round(5).tolist(),
        "binary": float(accuracy[-1]),
        "balanced": float(np.mean([each.label_index for each in balanced] == task.test.labels)),
        "forest": forest_accuracy(task),
        "modes": len(found.points),
        "ops_ratio": found.ops_ratio,
        "modes_from_test": len(published.points),
        "ops_ratio_from_test": published.ops_ratio,
        "ops": [cost.ops for cost in session.metadata.exits],
        "bytes": binary.model.stat().st_size,
    }
    if finished(twin):
        row["float"] = float(twin.network().accuracy(task.log_mel("test"), task.test.labels)[-1])
    return row


def forest_accuracy(task: Any) -> float:
    """Of a random forest on statistics of each channel, trained on training and validation windows."""
    library = _forest_library()
    learn = [statistics_of(task.log_mel(name)) for name in ("train", "validation")]
    labels = np.concatenate([task.split(name).labels for name in ("train", "validation")])
    forest = library.RandomForestClassifier(TREES, random_state=0).fit(np.concatenate(learn), labels)
    return float((forest.predict(statistics_of(task.log_mel("test"))) == task.test.labels).mean())


def _forest_library() -> Any:
    try:
        import sklearn
        import sklearn.ensemble
    except ImportError as error:
        raise DataError("the random forest needs scikit-learn: pip install scikit-learn") from error
    sklearn.ensemble.__version__ = sklearn.__version__
    return sklearn.ensemble


def statistics_of(windows: np.ndarray) -> np.ndarray:
    """Mean, deviation, minimum, maximum, median, quartile range, energy and mean step of channels: [windows, 8 c]."""
    low, middle, high = np.percentile(windows, [25, 50, 75], axis=1)
    steps = np.abs(np.diff(windows, axis=1)).mean(axis=1)
    energy = np.square(windows).mean(axis=1)
    simple = [windows.mean(axis=1), windows.std(axis=1), windows.min(axis=1), windows.max(axis=1)]
    return np.concatenate([*simple, middle, high - low, energy, steps], axis=1)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over folds."""
    means = {name: float(np.mean([row[name] for row in rows])) for name in ("binary", "balanced", "forest")}
    twins = [row["float"] for row in rows if "float" in row]
    return {
        **means,
        "binary_exits": np.mean([row["binary_exits"] for row in rows], axis=0).round(5).tolist(),
        **({"float": float(np.mean(twins))} if len(twins) == len(rows) else {}),
    }


def bars_of(devices: dict[str, Any]) -> list[dict[str, Any]]:
    bars = []

    def bar(what: str, figure: float, limit: float, *, at_least: bool) -> None:
        met = figure >= limit if at_least else figure <= limit
        bars.append({"what": what, "figure": figure, "bar": limit, "met": bool(met)})

    for device, found in devices.items():
        rows = found["folds"]
        fewest, narrowest = min(row["modes"] for row in rows), min(row["ops_ratio"] for row in rows)
        bar(f"{device}: modes of one file, the fewest of the folds", fewest, BARS["modes"], at_least=True)
        bar(f"{device}: ratio of ops over its modes, the least", narrowest, BARS["ops_ratio"], at_least=True)
        if "float" in found:
            behind = 100 * (found["float"] - found["binary"])
            bar(f"{device}: points behind the float twin", behind, BARS["points_behind_twin"], at_least=False)
        largest = max(row["bytes"] for row in rows)
        bar(f"{device}: bytes of the file, the most", largest, BARS["bytes"], at_least=False)
    return bars


if __name__ == "__main__":
    sys.exit(main())
