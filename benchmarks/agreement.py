"""Does the native backend answer as Larq Compute Engine does, on every test clip?

    python benchmarks/agreement.py RUN [--data-dir DIR]

Both backends classify the test split of a run at the operating points `full` and `balanced`. Binary layers are exact on
both, but sums of float layers are rounded in another order, so now and then a value within rounding of zero takes the
other sign, and one clip differs by more than rounding. Such clips are counted and put to the test: with noise of one
part in a million on the log-mel, does either backend come nearer to the other's result than to its own? Then a sign
lies on the border, and neither backend is wrong. Writes results/agreement.json and exits with 1 if a
clip differs that does not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from result_file import called

import audio_tasks
from bnn_exit import machine
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.runtime import capabilities
from bnn_exit.runtime.backends import BACKENDS
from bnn_exit.settings.run import RunConfig

RESULT = Path(__file__).parent / "results" / "agreement.json"
POINTS = ("full", "balanced")
ROUNDING = 1e-4
"""Probabilities that differ by more than this have met another sign on the way."""
NOISE, TRIALS = 1e-6, 64


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--data-dir")
    options = arguments.parse_args()
    config = RunConfig.load(options.run)
    task = audio_tasks.load_again(config.task, data_dir=options.data_dir)
    file = reader.read(options.run / "model.tflite")
    native, lce = (BACKENDS[name](file) for name in ("native", "lce"))
    clips, labels = task.log_mel("test"), task.test.labels
    rows = []
    for point in POINTS:
        rows.append(compare(native, lce, clips, labels, np.float32(file.metadata.operating_points[point].thresholds)))
        rows[-1] = {"operating_point": point, **rows[-1]}
        print({name: value for name, value in rows[-1].items() if name != "clips"})
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": called(__file__, None),
            **machine.provenance(),
            "isa": capabilities()["isa"],
            "task": task.name,
            "split": "test",
            "sample_count": len(clips),
            "rounding": ROUNDING,
            "noise": NOISE,
            "trials": TRIALS,
            "rows": rows,
        },
    )
    return int(any(not clip["on_the_border"] for row in rows for clip in row["clips"]))


def compare(native, lce, clips, labels, thresholds):
    differing, correct, largest = [], {"native": 0, "lce": 0}, 0.0
    for index, clip in enumerate(clips):
        ours, theirs = (answer(backend, clip, thresholds) for backend in (native, lce))
        correct["native"] += ours[0] == labels[index]
        correct["lce"] += theirs[0] == labels[index]
        distance = float(np.abs(ours[2] - theirs[2]).max())
        if ours[:2] == theirs[:2] and distance <= ROUNDING:
            largest = max(largest, distance)
        else:
            differing.append(describe(index, native, lce, clip, thresholds, ours, theirs))
    return {
        "labels_differ": sum(clip["label"][0] != clip["label"][1] for clip in differing),
        "exits_differ": sum(clip["exit_index"][0] != clip["exit_index"][1] for clip in differing),
        "probabilities_apart": len(differing),
        "largest_distance_of_the_others": largest,
        "accuracy": {name: float(count / len(clips)) for name, count in correct.items()},
        "clips": differing,
    }


def answer(backend, clip, thresholds):
    probabilities, exit_index, _ = backend.infer(clip, thresholds)
    return int(probabilities.argmax()), exit_index, probabilities


def describe(index, native, lce, clip, thresholds, ours, theirs):
    """What a clip shows of being on the border: how often noise brings each backend to the other's result."""
    random = np.random.default_rng(index)
    distance = float(np.abs(ours[2] - theirs[2]).max())
    crossed = {"native": 0, "lce": 0}
    for _ in range(TRIALS):
        noisy = (clip * (1 + NOISE * random.standard_normal(clip.shape))).astype(np.float32)
        for name, backend, own, other in (("native", native, ours, theirs), ("lce", lce, theirs, ours)):
            _, exit_index, found = answer(backend, noisy, thresholds)
            to_other, to_own = (float(np.abs(found - result[2]).max()) for result in (other, own))
            crossed[name] += exit_index == other[1] and to_other < to_own
    margins = [float(np.diff(np.sort(found[2])[-2:])[0]) for found in (ours, theirs)]
    return {
        "clip": index,
        "label": [ours[0], theirs[0]],
        "exit_index": [ours[1], theirs[1]],
        "distance": distance,
        "margin": margins,
        "crosses_with_noise": crossed,
        "on_the_border": any(crossed.values()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
