"""What do two threads gain, for one large layer and for a whole file at each exit?

    python benchmarks/threads.py runs/words/model.tflite

One process, the two networks in turn on an otherwise idle machine: the load is written beside the figures, for a thread
that waits for a core gains nothing. Writes results/threads.json.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from result_file import called

from bnn_exit import machine
from bnn_exit.evaluation.times import time_us
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.policies import rule
from bnn_exit.runtime import capabilities
from bnn_exit.runtime.native_backend import NativeNetwork

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
import tiny_files  # noqa: E402
from binary_cases import convolution  # noqa: E402

ROUNDS, CALLS = 60, 8
THREADS = (1, 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    options = parser.parse_args()
    data, values, _ = convolution(tiny_files, channels=256, filters=256, size=(56, 56))
    rows = {"binary 3x3, 56x56, 256 -> 256 channels": measure(data, [values])}
    file = reader.read(options.model)
    exits = len(file.metadata.exits)
    features = file.metadata.features
    clip = np.random.default_rng(0).normal(size=(features.num_frames(file.metadata.clip_samples), features.num_mels))
    for k in range(exits):
        inputs = file.arguments(clip, rule.forcing_thresholds(k, exits=exits))
        rows[f"{Path(options.model).name}, leaving at exit {k + 1}"] = measure(file.data, inputs)
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "isa": capabilities()["isa"],
        "load_average_after": os.getloadavg()[0],
        "calls": ROUNDS * CALLS,
        "unit": "microseconds",
        "times": rows,
    }
    path = HERE / "results" / "threads.json"
    write_json(path, result)
    for name, row in rows.items():
        print(f"{name}: {row['1']['median']:.0f} us, 2 threads {row['2']['median']:.0f} us, {row['gain']:.2f} times")
    print(f"wrote {path}")
    return 0


def measure(data: bytes, inputs: list[np.ndarray]) -> dict:
    networks = {threads: NativeNetwork(data, threads=threads) for threads in THREADS}
    for network in networks.values():
        for own, given in zip(network.inputs, inputs, strict=True):
            own[...] = np.reshape(given, own.shape)
    seconds: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(ROUNDS):
        for threads, network in networks.items():
            network.run()  # wakes the threads and fills the caches
            for _ in range(CALLS):
                begin = time.perf_counter()
                network.run()
                seconds[threads].append(time.perf_counter() - begin)
    row: dict = {str(threads): time_us(values) for threads, values in seconds.items()}
    return {**row, "gain": round(row["1"]["median"] / row["2"]["median"], 3)}


if __name__ == "__main__":
    raise SystemExit(main())
