"""Is the native library as fast as that of an earlier revision, and does it answer the same?

    git worktree add ../earlier REVISION
    cmake -S ../earlier/bnn_exit/runtime/native -B build/earlier -G Ninja && ninja -C build/earlier
    python benchmarks/earlier_library.py build/earlier/libbnn_exit_native.so --revision REVISION [MODEL ...]

One process and one thread hold both libraries. On every instruction set of this machine it times the models that come
with the package, and others that are given, with each exit forced, then plain networks of `plain_networks.residual`
where the training half is installed, the log-mel front end and a call of a file with one addition. The two libraries
take turns, and which begins alternates; a process gives the median over the rounds of the ratio of a pair, so what
slows the machine down for a while slows both. Where code and values lie in memory differs between processes and is
worth some percent, so a row is the median over some processes, one after the other. Outputs of the same inputs are
compared to the last bit. Writes results/earlier_library.json and exits with 1 if a row's ratio is above 1.02 (slower),
or an output differs.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from result_file import called

from bnn_exit import machine, pretrained
from bnn_exit.errors import MissingPackageError
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.policies import rule
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.native_backend import FrontEnd, NativeNetwork
from bnn_exit.settings.features import FeatureConfig

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
import tiny_files  # noqa: E402

RESULT = HERE / "results" / "earlier_library.json"
BAR = 1.02
ROUND_S = 0.004
"""About what one side of a pair takes: long beside the clock, short beside what disturbs it."""

Contestant = Callable[[], object]
Files = dict[str, tuple[bytes, list[np.ndarray]]]
"""Name -> a file and its inputs."""


def libraries(earlier: Path) -> dict[str, Callable[[], object]]:
    """Functions that make this installation's library, or the earlier one, the one that new networks use."""
    own = native_backend.find_library()

    def select(path: Path | None) -> Callable[[], object]:
        def use() -> object:
            native_backend.find_library = lambda: path
            native_backend._library.cache_clear()
            return native_backend._library()

        return use

    return {"earlier": select(earlier), "now": select(own)}


def network(data: bytes, inputs: list[np.ndarray], isa: str) -> NativeNetwork:
    """A file that is loaded for one instruction set, with its inputs set."""
    os.environ["BNN_EXIT_ISA"] = isa
    made = NativeNetwork(data)
    del os.environ["BNN_EXIT_ISA"]
    for own, given in zip(made.inputs, inputs, strict=True):
        own[...] = given
    made.run()
    return made


def ratio(earlier: Contestant, now: Contestant, rounds: int) -> dict[str, float]:
    """Microseconds of a call of each, and the median of the ratio now / earlier."""
    start = time.perf_counter()
    earlier()
    calls = max(1, round(ROUND_S / max(time.perf_counter() - start, 1e-7)))

    def timed(call: Contestant) -> float:
        start = time.process_time()
        for _ in range(calls):
            call()
        return (time.process_time() - start) / calls * 1e6

    pairs = []
    for index in range(rounds):
        if index % 2:
            after = timed(now)
            pairs.append((timed(earlier), after))
        else:
            pairs.append((timed(earlier), timed(now)))
    return {
        "earlier_us": statistics.median(before for before, _ in pairs),
        "now_us": statistics.median(after for _, after in pairs),
        "ratio": statistics.median(after / before for before, after in pairs),
    }


def files(models: list[str]) -> Files:
    """What is timed."""
    random = np.random.default_rng(0)
    found = {}
    for name in models:
        file = reader.read(name)
        shape = file.model.subgraphs[0].tensors[file.model.subgraphs[0].inputs[file.inputs[file.metadata.input]]].shape
        exits = len(file.metadata.exits)
        clip = random.normal(size=shape)
        for k in range(exits):
            found[f"{Path(name).stem}, exit {k + 1}"] = (
                file.data,
                file.arguments(clip, rule.forcing_thresholds(k, exits=exits)),
            )
    try:
        import plain_networks
    except MissingPackageError:
        print("TensorFlow is not installed: the plain networks are left out", flush=True)
    else:
        data = plain_networks.convert(plain_networks.residual())
        found["residual network without exits"] = (data, [random.normal(size=(1, 98, 64, 1)).astype(np.float32)])
    file = tiny_files.File()
    graph = file.graph()
    value = graph.input((1,))
    graph.outputs(graph.operator("ADD", [value, value], [((1,), "float32")], "AddOptions"))
    found["one addition"] = (file.bytes(), [np.ones(1, np.float32)])
    return found


def front_end(features: FeatureConfig) -> tuple[Contestant, np.ndarray]:
    """A call of the bare front end on one second of noise, and where it writes."""
    made = FrontEnd(features)
    waveform = np.random.default_rng(0).normal(scale=0.1, size=features.sample_rate_hz).astype(np.float32)
    out = np.zeros((features.num_frames(waveform.size), features.num_mels), np.float32)
    arguments = made._handle, waveform.ctypes.data, waveform.size, out.ctypes.data
    function: ctypes._FuncPointer = made._library.bnn_exit_log_mel
    return (lambda keep=(made, waveform): function(*arguments)), out


def measure(library: Path, raced: Files, rounds: int) -> tuple[dict[str, dict[str, float]], list[str]]:
    """What one process finds: `ratio` of each row, and the rows whose outputs differ."""
    use = libraries(library)
    rows: dict[str, dict[str, float]] = {}
    differing: list[str] = []
    for name, (data, inputs) in raced.items():
        for isa in native_backend.capabilities()["isas"]:
            pair = {}
            for side, select in use.items():
                select()
                pair[side] = network(data, inputs, isa)
            row = f"{name}, {isa}"
            rows[row] = ratio(pair["earlier"].run, pair["now"].run, rounds)
            outputs = zip(pair["earlier"].outputs, pair["now"].outputs, strict=True)
            if not all(np.array_equal(a, b, equal_nan=True) for a, b in outputs):
                differing.append(row)
    calls = {}
    for side, select in use.items():
        select()
        calls[side] = front_end(FeatureConfig())
    rows["front end, one second"] = ratio(calls["earlier"][0], calls["now"][0], rounds)
    if not np.array_equal(calls["earlier"][1], calls["now"][1]):
        differing.append("front end, one second")
    return rows, differing


def median_row(found: list[dict[str, float]]) -> dict[str, object]:
    """One row of all processes."""
    row = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {
        "earlier_us": round(row["earlier_us"], 2),
        "now_us": round(row["now_us"], 2),
        "ratio": round(row["ratio"], 4),
        "ratio_of_each_process": [round(one["ratio"], 4) for one in found],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="libbnn_exit_native.so of the earlier revision")
    known = sorted(pretrained.models())
    parser.add_argument("models", nargs="*", default=known, help="model files or names (default: the package's)")
    parser.add_argument("--revision", required=True, help="git revision of the earlier library")
    parser.add_argument("--rounds", type=int, default=51, help="pairs of each row in each process (default: 51)")
    parser.add_argument("--processes", type=int, default=15, help="one after the other (default: 15)")
    options = parser.parse_args()
    raced = files(options.models)
    found = []
    for index in range(options.processes):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(measure, (options.library, raced, options.rounds)))
        worst = max(found[-1][0].items(), key=lambda row: row[1]["ratio"])
        print(f"process {index + 1} of {options.processes}: at most {worst[1]['ratio']:.4f} ({worst[0]})", flush=True)
    rows = {name: median_row([of_one[name] for of_one, _ in found]) for name in found[0][0]}
    differing = sorted({name for _, of_one in found for name in of_one})
    slower = {name: row["ratio"] for name, row in rows.items() if row["ratio"] > BAR}
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "earlier_revision": options.revision,
        "threads": 1,
        "rounds": options.rounds,
        "processes": options.processes,
        "time": "processor time of the process, pairs in turns",
        "load_average_after": round(os.getloadavg()[0], 1),
        "bar": f"the median over the processes of now / earlier is at most {BAR} in every row",
        "rows": rows,
        "slower": slower,
        "outputs_that_differ": differing,
    }
    write_json(RESULT, result)
    for name, row in rows.items():
        print(f"{name}: {row['ratio']}")
    for name, figure in slower.items():
        print(f"MISSED {name}: {figure} (bar: at most {BAR})")
    for name in differing:
        print(f"MISSED {name}: outputs differ")
    print(f"wrote {RESULT}")
    return 1 if slower or differing else 0


if __name__ == "__main__":
    sys.exit(main())
