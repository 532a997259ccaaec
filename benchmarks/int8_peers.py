"""Is our file faster than what a user would pick instead, at the same accuracy: an int8 DS-CNN in LiteRT?

    python benchmarks/int8_peers.py train S --data-dir DIR [--input mel10]      (S, M or L; needs the extra train)
    python benchmarks/int8_peers.py compare RUN [RUN...] --peers FOLDER [FOLDER...] --data-dir DIR

`train` trains a DS-CNN with the pipeline that trains our networks (same clips, our log-mel, augmentation, loss and
schedule), makes an int8 file of the weights that were best on the validation split, and writes both to a folder.

`compare` measures the files of our runs in the native runtime, at each forced exit and operating point, and the int8
files in LiteRT with XNNPACK (and in TensorFlow's own interpreter, where that is installed), on the test split. One
process, one thread, all in turn: each network alone, and the front end of its own features right before it, which is
our native one for all. It needs ai-edge-litert, matplotlib and the extra audio, best in
an environment without TensorFlow, whose NumPy is older than the one that ai-edge-litert asks for.
Writes results/int8_peers.json and results/int8_peers.png, and exits with 1 if the goal is missed: for each int8 network
a setting of ours that is at least as accurate and whose network takes less time on average. The same comparison with
the front ends is in `whole_path`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import peer_timing
from accuracy_measure import without_places
from result_file import report

import audio_tasks
from bnn_exit import machine
from bnn_exit.evaluation import plots
from bnn_exit.evaluation.times import time_us
from bnn_exit.files import read_json, replacing, write_bytes, write_json
from bnn_exit.model_file import reader
from bnn_exit.runtime import native_backend
from bnn_exit.settings.features import FeatureConfig

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train one size and make its int8 file")
    training.add_argument("size", choices=("S", "M", "L"))
    training.add_argument("--input", default="mel10", help="a name in ds_cnn.INPUTS")
    training.add_argument("--epochs", type=int, default=60, help="as the standard recipe")
    training.add_argument(
        "--learning-rate",
        type=float,
        default=0.003,
        help="peak of the cosine schedule (of 0.003 and 0.006 the better for S on validation)",
    )
    training.add_argument("--calibration-clips", type=int, default=500, help="training clips that choose int8 ranges")
    training.add_argument("--out", help="folder to make, or to go on in (default: runs/ds-cnn-SIZE-INPUT)")
    comparison = commands.add_parser("compare", help="measure our files and int8 files side by side")
    comparison.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders of ours")
    comparison.add_argument("--peers", nargs="+", type=Path, required=True, metavar="FOLDER", help="what `train` made")
    comparison.add_argument("--rounds", type=int, default=7)
    comparison.add_argument("--name", default="int8_peers", help="of the two files in results/")
    for command in (training, comparison):
        command.add_argument("--data-dir", required=True)
    options = parser.parse_args()
    return {"train": train, "compare": compare}[options.command](options)


def train(options: argparse.Namespace) -> int:
    import ds_cnn

    from bnn_exit._keras import set_seed, tf
    from bnn_exit.models import profile
    from bnn_exit.training import TrainConfig, fit

    tf.config.threading.set_intra_op_parallelism_threads(1)
    folder = Path(options.out or f"runs/ds-cnn-{options.size}-{options.input}")
    chosen = ds_cnn.INPUTS[options.input]
    task = audio_tasks.load("speech_commands", data_dir=options.data_dir, features=chosen.features)
    config = TrainConfig(epochs=options.epochs, learning_rate=options.learning_rate)
    set_seed(config.seed)
    model = ds_cnn.DsCnn(options.size, chosen, input_shape=task.input_shape, num_classes=task.num_classes)
    folder.mkdir(parents=True, exist_ok=True)
    history = fit(model, task, config=config, augment=chosen.augment(), folder=folder, resume=True)
    write_json(folder / "history.json", history)

    clips = np.random.default_rng(0).permutation(len(task.train))[: options.calibration_clips]
    samples = model.prepare.numpy(np.asarray(task.log_mel("train")[np.sort(clips)]))
    int8 = ds_cnn.convert_int8(model.network, samples)
    write_bytes(folder / "model.tflite", int8)
    with replacing(folder / "prepare.npz") as file:
        np.savez(file, **model.prepare.arrays())
    validation, labels = np.asarray(task.log_mel("validation")), task.validation.labels
    quantised = peer_timing.Int8(int8, tf.lite.Interpreter, model.prepare.numpy(validation))
    record = {
        "size": options.size,
        "input": options.input,
        "features": chosen.features.to_dict(),
        "coefficients": chosen.coefficients,
        "parameters": model.network.count_params(),
        "macs": profile.cost(model.network).float_macs,
        "training": config.to_dict(),
        "augment": chosen.augment().to_dict(),
        "calibration_clips": len(samples),
        "versions": machine.versions(),
        "validation_accuracy": {
            "float": float((model.logits(validation)[:, 0].argmax(-1) == labels).mean()),
            "int8": float((peer_timing.labels(quantised, len(labels)) == labels).mean()),
        },
    }
    write_json(folder / "peer.json", record)
    print(json.dumps({key: record[key] for key in ("parameters", "macs", "validation_accuracy")}))
    return 0


def compare(options: argparse.Namespace) -> int:
    interpreters = peer_timing.interpreters()
    if not interpreters:
        print("error: there is no interpreter for int8 files: pip install ai-edge-litert", file=sys.stderr)
        return 1
    tests = Tests(options.data_dir)
    runners: dict[tuple[str, str], peer_timing.Runner] = {}
    front_ends: dict[tuple[str, str], peer_timing.FrontEnd] = {}
    ours: dict[str, dict] = {}
    for folder in options.runs:
        file = reader.read(folder / "model.tflite")
        found = peer_timing.our_runners(file, tests.log_mel(file.metadata.features))
        runners |= {(folder.name, setting): runner for setting, runner in found.items()}
        front_end = peer_timing.our_front_end(file.metadata.features, tests.waveforms)
        front_ends |= {(folder.name, setting): front_end for setting in found}
        ours[folder.name] = {"bytes": len(file.data), "front_end": tests.front_end(file.metadata.features)}
        ours[folder.name] |= {"trained_by": without_places(read_json(folder / "environment.json")["command"])}
    int8: dict[str, dict] = {}
    for folder in options.peers:
        record, data = read_json(folder / "peer.json"), (folder / "model.tflite").read_bytes()
        features = FeatureConfig.from_dict(record["features"])
        with np.load(folder / "prepare.npz") as arrays:
            inputs = peer_timing.prepare(tests.log_mel(features), **arrays)
        found = {name: peer_timing.Int8(data, kind, inputs) for name, (kind, _) in interpreters.items()}
        runners |= {(folder.name, name): runner for name, runner in found.items()}
        front_end = peer_timing.our_front_end(features, tests.waveforms)
        front_ends |= {(folder.name, name): front_end for name in found}
        delegated = {name: runner.is_delegated() for name, runner in found.items()}
        int8[folder.name] = {"bytes": len(data), "front_end": tests.front_end(features)}
        int8[folder.name] |= {"all_in_xnnpack": delegated, "training": record}

    clips = len(tests.labels)
    measured = peer_timing.measure_runners(runners, clips=clips, rounds=options.rounds, front_ends=front_ends)
    for (network, setting), figures in measured.items():
        figures = {"accuracy": float((figures.pop("labels") == tests.labels).mean()), **figures}
        (ours if network in ours else int8)[network].setdefault("settings", {})[setting] = figures
    run_names, peer_names = ([f"runs/{folder.name}" for folder in folders] for folders in (options.runs, options.peers))
    command = ["python", "benchmarks/int8_peers.py", "compare", *run_names, "--peers", *peer_names]
    result = {
        "question": __doc__.splitlines()[0],
        "command": shlex.join([*command, "--data-dir", "DIR", "--rounds", str(options.rounds)]),
        **machine.provenance({name: version for name, (_, version) in interpreters.items()}),
        "isa": native_backend.capabilities()["isa"],
        "threads": 1,
        "split": "test",
        "sample_count": clips,
        "rounds": options.rounds,
        "unit": "microseconds for a clip (the median of its rounds); minimum, median, mean and p95 over clips",
        "times": {
            "network": "the runtime's own call",
            "call": "the same, with the clip handed over and the label read, through Python",
            "front_end": "our native front end with the features of this network, right before the network",
            "whole": "the front end and then the network on the same clip; for int8 files without what makes int8 of "
            "the log-mel",
        },
        "ours": ours,
        "int8": int8,
        "bars": bars(ours, int8),
        "whole_path": bars(ours, int8, by="whole"),
    }
    write_json(RESULTS / f"{options.name}.json", result)
    plot(RESULTS / f"{options.name}.png", ours, int8, title=f"{clips} test clips, one thread, 40 words")
    print(table(ours, int8))
    return report(result["bars"])


class Tests:
    """The test split, with features of whatever settings a network wants."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir, self._tasks = data_dir, {}
        test = self._task(FeatureConfig()).test
        self.labels = test.labels
        self.waveforms = np.stack([test.waveform(clip) for clip in range(len(test))])

    def _task(self, features: FeatureConfig) -> audio_tasks.Task:
        if features not in self._tasks:
            self._tasks[features] = audio_tasks.load("speech_commands", data_dir=self._data_dir, features=features)
        return self._tasks[features]

    def log_mel(self, features: FeatureConfig) -> np.ndarray:
        return np.asarray(self._task(features).log_mel("test"))

    def front_end(self, features: FeatureConfig, *, clips: int = 200) -> dict:
        """Settings of the front end, and what our native one takes for a clip with them."""
        native, seconds = native_backend.FrontEnd(features), []
        for waveform in self.waveforms[:clips]:
            times = []
            for _ in range(5):
                begin = time.perf_counter()
                native.log_mel(waveform)
                times.append(time.perf_counter() - begin)
            seconds.append(np.median(times))
        return {"features": features.to_dict(), "native": time_us(seconds)}


def bars(ours: dict[str, dict], int8: dict[str, dict], *, by: str = "network") -> list[dict]:
    """For each int8 network the fastest of our settings that is at least as accurate, against it, by a mean time."""
    settings = [(f"{run} {name}", s) for run, entry in ours.items() for name, s in entry["settings"].items()]
    found = []
    for peer, entry in int8.items():
        interpreter, best = fastest(entry, by)
        able = [(s[by]["mean"], name) for name, s in settings if s["accuracy"] >= best["accuracy"]]
        of = " of front end and network" if by == "whole" else ""
        what = f"{peer} ({100 * best['accuracy']:.2f} %) in {interpreter}: "
        what += f"mean time{of} of ours at equal or better accuracy"
        own, name = min(able, default=(None, "none of ours is as accurate"))
        theirs = best[by]["mean"]
        figure = f"{own:.1f} us, {name}, {own / theirs:.2f} of the time" if own is not None else name
        met = own is not None and own < theirs
        found.append({"what": what, "figure": figure, "bar": f"< {theirs:.1f} us", "met": met})
    return found


def fastest(entry: dict, by: str = "network") -> tuple[str, dict]:
    """The interpreter that runs an int8 file in the least mean time, and its figures."""
    return min(entry["settings"].items(), key=lambda item: item[1][by]["mean"])


def table(ours: dict[str, dict], int8: dict[str, dict]) -> str:
    lines = [
        f"{'mean us':56s} {'front':>8s} {'network':>8s} {'both':>8s} {'network':>8s}",
        f"{'network':40s} {'kB':>6s} {'accuracy':>8s} {'end':>8s} {'':>8s} {'':>8s} {'call':>8s}",
    ]
    for name, entry in (ours | int8).items():
        for setting, s in entry["settings"].items():
            times = " ".join(f"{s[part]['mean']:8.1f}" for part in ("front_end", "network", "whole", "call"))
            size = f"{entry['bytes'] / 1e3:6.0f}"
            lines.append(f"{f'{name} {setting}':40s} {size} {100 * s['accuracy']:8.2f} {times}")
    return "\n".join(lines)


PANELS = {"network": "of the network alone", "whole": "of front end + network"}


def plot(path: Path, ours: dict[str, dict], int8: dict[str, dict], *, title: str) -> None:
    """Accuracy against mean time of the network, and of front end and network; the file's size is beside its name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.2), dpi=150, layout="constrained")
    figure.suptitle(title)
    figure.supylabel("accuracy (%)")
    for axes, (by, what) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True):
        panel(axes, ours, int8, by=by)
        axes.set_xlabel(f"mean time {what} for a clip (µs)")
        axes.set_xlim(0, 1.1 * axes.get_xlim()[1])
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file)


def panel(axes: Any, ours: dict[str, dict], int8: dict[str, dict], *, by: str) -> None:
    """Draw accuracy against a mean time of every setting."""

    def point(s: dict) -> tuple[float, float]:
        return s[by]["mean"], 100 * s["accuracy"]

    for index, (run, entry) in enumerate(ours.items()):
        colour, marker = plots.COLOURS[index % len(plots.COLOURS)], plots.MARKERS[index % len(plots.MARKERS)]
        forced = [point(s) for name, s in entry["settings"].items() if name.startswith("exit")]
        label = f"{run}, {entry['bytes'] / 1e3:.0f} kB"
        axes.plot(
            *zip(*forced, strict=True), marker="|", color=colour, ls=":", label=f"{label}: every clip at one exit"
        )
        chosen = {name: point(s) for name, s in entry["settings"].items() if not name.startswith("exit")}
        if chosen:
            places = sorted(chosen.values())
            axes.plot(*zip(*places, strict=True), f"{marker}-", color=colour, label=f"{label}: operating points")
        for name, place in chosen.items():
            axes.annotate(name, place, textcoords="offset points", xytext=(6, -9), fontsize=8)
    best = {peer: fastest(entry, by)[1] for peer, entry in int8.items()}
    axes.plot(*zip(*map(point, best.values()), strict=True), "s", color="black", label="int8, XNNPACK")
    for peer, s in best.items():
        text = f"{peer}\n{int8[peer]['bytes'] / 1e3:.0f} kB"
        axes.annotate(text, point(s), textcoords="offset points", xytext=(0, -26), ha="center", fontsize=8)


if __name__ == "__main__":
    raise SystemExit(main())
