"""What does a clip cost outside of the network: the log-mel front end and the call from Python?

    python benchmarks/native_calls.py MODEL

Front end: a second of noise with the settings of the file, without the check of the waveform (the bare function of
the library, by each instruction set) and with it. For each exit the network alone, and the front end of a clip with
the network right after it.
Calls: `NativeNetwork.run()` of a file with one addition of one value, and what `NativeBackend.infer` adds to
`NativeNetwork.run()`, by a file of a few dense layers for twelve values; the copy of a clip of MODEL's size comes on
top. One thread; processor time; medians and minima over the rounds. Writes results/native_calls.json and exits with 1
if a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from result_file import called, report

from bnn_exit import machine
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.policies import rule
from bnn_exit.runtime.native_backend import FrontEnd, NativeBackend, NativeNetwork, capabilities

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
import tiny_files  # noqa: E402

RESULT = HERE / "results" / "native_calls.json"
FRONT_END_BARS = {"avx512_vpopcnt": 25.0, "avx2": 40.0}
"""Instruction set -> microseconds. The front end has one kernel for both kinds of AVX-512."""
CALL_BAR = 3.0


def tiny_network() -> NativeNetwork:
    """One addition of one value."""
    file = tiny_files.File()
    graph = file.graph()
    value = graph.input((1,))
    graph.outputs(graph.operator("ADD", [value, value], [((1,), "float32")], "AddOptions"))
    return NativeNetwork(file.bytes())


def tiny_backend() -> NativeBackend:
    """Three exits on twelve values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(tiny_files.adaptive_file(exits=3))
        return NativeBackend(reader.read(path))


def exit_call(backend: NativeBackend, index: int, *, exits: int) -> Callable[[], object]:
    """A call that leaves at an exit."""
    clip = np.random.default_rng(1).normal(size=backend._clip.shape).astype(np.float32)
    thresholds = rule.forcing_thresholds(index, exits=exits)
    return lambda: backend.infer(clip, thresholds)


def path_calls(file: reader.ModelFile, backend: NativeBackend) -> dict[str, Callable[[], object]]:
    """The front end of a clip of noise, and for each exit front end and network."""
    exits, front_end = len(file.metadata.exits), FrontEnd(file.metadata.features)
    waveform = np.random.default_rng(0).normal(scale=0.1, size=file.metadata.clip_samples).astype(np.float32)

    def path(index: int) -> Callable[[], object]:
        thresholds = rule.forcing_thresholds(index, exits=exits)
        return lambda: backend.infer(front_end.log_mel(waveform), thresholds)

    calls = {f"front end + exit {k + 1}": path(k) for k in range(exits)}
    return {"front end of a clip, FrontEnd.log_mel": lambda: front_end.log_mel(waveform), **calls}


def front_end_calls(file: reader.ModelFile) -> dict[str, Callable[[], object]]:
    """The bare function on one second by each instruction set, and the method that callers use."""
    features = file.metadata.features
    waveform = np.random.default_rng(0).normal(scale=0.1, size=features.sample_rate_hz).astype(np.float32)
    out = np.empty((features.num_frames(waveform.size), features.num_mels), np.float32)

    def bare(front_end: FrontEnd) -> Callable[[], object]:
        arguments = front_end._handle, waveform.ctypes.data, waveform.size, out.ctypes.data
        compute = front_end._library.bnn_exit_log_mel
        # The arguments are addresses: what lies there is kept.
        return lambda keep=(front_end, waveform, out): compute(*arguments)

    own = FrontEnd(features)
    calls = {
        "front end, one second": bare(own),
        "front end, FrontEnd.log_mel": lambda: own.log_mel(waveform),
    }
    for isa in FRONT_END_BARS:
        if isa in capabilities()["isas"]:
            os.environ["BNN_EXIT_ISA"] = isa  # read when a front end is made
            calls[f"front end, one second, {isa}"] = bare(FrontEnd(features))
            del os.environ["BNN_EXIT_ISA"]
    return calls


def microseconds(calls: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, list[float]]:
    """[median, minimum] of each call, timed by turns in a row of as many as its number."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, count) in calls.items():
            call()
            start = time.process_time()
            for _ in range(count):
                call()
            times[name].append((time.process_time() - start) / count * 1e6)
    return {name: [round(statistics.median(found), 3), round(min(found), 3)] for name, found in times.items()}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path)
    arguments.add_argument("--rounds", type=int, default=200)
    options = arguments.parse_args()
    file = reader.read(options.model)
    backend, small = NativeBackend(file), tiny_backend()
    exits = range(len(file.metadata.exits))
    clip = np.zeros(backend._clip.shape, np.float32)
    copy = np.empty_like(clip)
    calls = {f"exit {k + 1}, NativeBackend.run": (exit_call(backend, k, exits=len(exits)), 5) for k in exits}
    calls |= {name: (call, 5) for name, call in (front_end_calls(file) | path_calls(file, backend)).items()}
    calls |= {
        "one addition, Network.run": (tiny_network().run, 1000),
        "small file, NativeBackend.run": (exit_call(small, 0, exits=3), 1000),
        "small file, Network.run": (small.network.run, 1000),
        "copy of a clip": (lambda: np.copyto(copy, clip), 1000),
        "a call of nothing": (lambda: None, 1000),
    }
    found = microseconds(calls, options.rounds)
    of_a_clip = found["front end of a clip, FrontEnd.log_mel"][0]
    shares = {f"exit {k + 1}": round(of_a_clip / found[f"front end + exit {k + 1}"][0], 3) for k in exits}
    added = round(found["small file, NativeBackend.run"][0] - found["small file, Network.run"][0], 3)
    front_ends = {isa: found.get(f"front end, one second, {isa}") for isa in FRONT_END_BARS}
    figures = (
        *(
            (f"front end, one second of audio, {isa}, us", times[0], FRONT_END_BARS[isa])
            for isa, times in front_ends.items()
            if times
        ),
        ("Network.run of one addition, us", found["one addition, Network.run"][0], CALL_BAR),
        ("what NativeBackend.run adds to Network.run, us", added, CALL_BAR),
    )
    bars = [
        {"what": what, "figure": figure, "bar": f"at most {bar}", "met": figure <= bar} for what, figure, bar in figures
    ]
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "isa": capabilities()["isa"],
        "features": file.metadata.features.to_dict(),
        "threads": 1,
        "rounds": options.rounds,
        "unit": "microseconds of processor time, [median, minimum]",
        "times": found,
        "front_end_share_of_the_whole": shares,
        "backend_run_adds_us": added,
        "bars": bars,
    }
    write_json(RESULT, result)
    print(f"wrote {RESULT}")
    return report(bars)


if __name__ == "__main__":
    sys.exit(main())
