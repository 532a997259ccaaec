"""What does a clip take from its samples to its label, beside an earlier revision of the library with its own network?

    git worktree add ../earlier REVISION
    cmake -S ../earlier/bnn_exit/runtime/native -B build/earlier -G Ninja && ninja -C build/earlier
    python benchmarks/whole_path.py MODEL [MODEL ...] --before MODEL --earlier build/earlier/libbnn_exit_native.so
        --revision REVISION --data-dir DIR [--clips N]

One process, one thread, on test clips of the Arabic words, each file at its operating point `balanced`. A call of the
front end writes its log-mel into the input of the network, and a call of the network follows: nothing of Python lies
between. The earlier library runs the model of --before, this one runs it too, and the others. On every clip all take
turns; each runs once untimed and then three times timed, of which the median is the clip's time, of the processor.
Accuracy is that of the same calls. Writes results/whole_path.json; exits with 1 unless the first model takes at most
45 us or a third of what the earlier library takes, on average.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from earlier_library import libraries
from result_file import called, report

import audio_tasks
from bnn_exit import machine, pretrained
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.model_file.reader import ModelFile
from bnn_exit.runtime.native_backend import FrontEnd, NativeNetwork, capabilities

RESULT = Path(__file__).parent / "results" / "whole_path.json"
POINT = "balanced"
MOST_US, MOST_SHARE = 45.0, 1 / 3
TIMED = 3


def path(file: ModelFile) -> Callable[[np.ndarray], int]:
    """From samples to a label, in the library that is selected."""
    front_end, network = FrontEnd(file.metadata.features), NativeNetwork(file.data)
    log_mel, thresholds = (network.inputs[file.inputs[name]] for name in ("log_mel", "thresholds"))
    thresholds[...] = file.metadata.operating_points[POINT].thresholds
    probabilities = network.outputs[file.outputs["probabilities"]]
    compute, handle, to = front_end._library.bnn_exit_log_mel, front_end._handle, log_mel.ctypes.data

    def run(samples: np.ndarray, keep: Any = front_end) -> int:
        compute(handle, samples.ctypes.data, samples.size, to)
        network.run()
        return int(np.argmax(probabilities))

    return run


def race(
    runs: dict[str, Callable[[np.ndarray], int]],
    clips: list[np.ndarray],
    labels: np.ndarray,
    *,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, dict[str, float]]:
    """Mean and median time of a clip in microseconds, and accuracy, of each contestant."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    right = dict.fromkeys(runs, 0)
    for clip, label in zip(clips, labels, strict=True):
        for name, run in runs.items():
            right[name] += run(clip) == label
            took = []
            for _ in range(TIMED):
                start = clock()
                run(clip)
                took.append((clock() - start) * 1e6)
            times[name].append(statistics.median(took))
    return {
        name: {
            "mean_us": round(statistics.mean(values), 1),
            "median_us": round(statistics.median(values), 1),
            "accuracy": right[name] / len(clips),
        }
        for name, values in times.items()
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("models", nargs="+", metavar="MODEL")
    arguments.add_argument("--before", required=True, metavar="MODEL")
    arguments.add_argument("--earlier", type=Path, required=True, metavar="LIBRARY")
    arguments.add_argument("--revision", required=True, help="that the earlier library was built of")
    arguments.add_argument("--data-dir", required=True)
    arguments.add_argument("--clips", type=int, help="default: all of the test split")
    options = arguments.parse_args()
    select = libraries(options.earlier)
    before = reader.read(pretrained.resolve(options.before))
    task = audio_tasks.load(before.metadata.task, data_dir=options.data_dir, features=before.metadata.features)
    select["earlier"]()
    earlier = f"{options.before} in the library of {options.revision}"
    runs = {earlier: path(before)}
    select["now"]()
    files = {Path(name).stem: reader.read(pretrained.resolve(name)) for name in [*options.models, options.before]}
    runs |= {name: path(file) for name, file in files.items()}
    chosen = np.linspace(0, len(task.test) - 1, min(options.clips or len(task.test), len(task.test))).astype(int)
    clips = [np.ascontiguousarray(task.test.waveform(int(index)), np.float32) for index in chosen]
    rows = race(runs, clips, task.test.labels[chosen])
    for name, row in rows.items():
        print(f"{name}: mean {row['mean_us']} us, {100 * row['accuracy']:.2f} %", flush=True)
    first = Path(options.models[0]).stem
    figure, share = rows[first]["mean_us"], rows[first]["mean_us"] / rows[earlier]["mean_us"]
    bars = [
        {
            "what": f"{first}: mean time from samples to label, us, and its share of {earlier}",
            "figure": f"{figure} us, {share:.3f}",
            "bar": f"at most {MOST_US} us, or a share of at most {MOST_SHARE:.3f}",
            "met": figure <= MOST_US or share <= MOST_SHARE,
        }
    ]
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "isa": capabilities()["isas"][0],
        "threads": 1,
        "time": "processor time of the process",
        "operating_point": POINT,
        "task": task.name,
        "split": "test, evenly spaced clips",
        "sample_count": len(clips),
        "timed_runs_of_a_clip": TIMED,
        "rows": rows,
        "bars": bars,
    }
    write_json(RESULT, result)
    print(f"wrote {RESULT}")
    return report(bars)


if __name__ == "__main__":
    sys.exit(main())
