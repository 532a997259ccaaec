"""How fast is a whole binary network for spoken words in our library, beside Larq Compute Engine (LCE)?

    python benchmarks/network_speed.py RUN [--data-dir DIR] [--clips N]

One process, one thread, on log-mel features of test clips. The plain graphs, without exits: the backbone of a run
with its last head, and the residual network of `plain_networks.residual` (random weights, default features). The
adaptive file of the run: each exit forced, and the operating point `balanced`. For every clip each contestant runs once
untimed and then three times timed, one contestant after the other; the median of the three is the clip's time. Time is
that of the processor, not of the clock on the wall: where other programs wait for the processor they interrupt long
runs, not short ones. LCE runs in all its modes, and in its default mode for the adaptive file, where its faster one is
wrong. Beside the network alone, the front end of the clip and the network right after it are timed in the same way. Our
front end runs on the instruction set of the contestant, and before LCE on the best one. The time of a plain graph is
also given as a multiple of what its multiply-accumulates take at least, by the ports of the processor (processor.py)
and its clock, which is measured.
Writes results/network_speed.json and exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plain_networks
import processor
from result_file import called, report

import audio_tasks
from bnn_exit import machine
from bnn_exit.audio.logmel import log_mel
from bnn_exit.files import write_json
from bnn_exit.model_file import reader
from bnn_exit.models import profile
from bnn_exit.runtime import lce
from bnn_exit.runtime.native_backend import FrontEnd, NativeNetwork, capabilities
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.run import RunConfig

RESULT = Path(__file__).parent / "results" / "network_speed.json"
BARS = {"avx512_vpopcnt": 10.0, "avx2": 4.0}
BOUND_BAR = 1.6
"""The time of a plain graph, at most, as a multiple of what the processor's ports need for its multiply-accumulates."""
MODES = {
    "lce default": (False, False),
    "lce default, xnnpack": (False, True),
    "lce indirect": (True, False),
    "lce indirect, xnnpack": (True, True),
}
"""Of LCE: (use_indirect_bgemm, use_xnnpack)."""
TIMED = 3

Run = Callable[[np.ndarray], np.ndarray]
Times = dict[str, list[float]]
"""Microseconds of each clip: of the `network` alone, the `front_end` before it, and the `whole` of both."""


def native(data: bytes, isa: str, *, others: tuple[np.ndarray, ...] = (), output: int = 0) -> Run:
    """Our library with the kernels of one instruction set."""
    os.environ["BNN_EXIT_ISA"] = isa  # read when a file is loaded
    network = NativeNetwork(data)
    del os.environ["BNN_EXIT_ISA"]
    clip = next(array for array in network.inputs if array.ndim == 4)
    for other in others:
        next(array for array in network.inputs if array.shape == other.shape)[...] = other

    def run(features: np.ndarray) -> np.ndarray:
        clip[...] = features
        network.run()
        return network.outputs[output]

    return run


def larq(data: bytes, mode: str, *, others: tuple[np.ndarray, ...] = (), output: int = 0) -> Run:
    """LCE in one of its modes."""
    indirect, xnnpack = MODES[mode]
    interpreter = lce._load().LiteInterpreter(data, 1, False, indirect, xnnpack)
    return lambda features: interpreter.predict([features, *others])[output]


class Clips:
    """Some clips: waveforms, their log-mels as a network takes them, and our front end of each instruction set."""

    def __init__(self, waveforms: list[np.ndarray], features: FeatureConfig, isas: list[str]) -> None:
        self.waveforms = waveforms
        log_mels = np.stack([log_mel(waveform, features) for waveform in waveforms])[:, None, ..., None]
        self.log_mels = np.ascontiguousarray(log_mels, np.float32)
        self._front_ends = {}
        for isa in isas:
            os.environ["BNN_EXIT_ISA"] = isa  # read when a front end is made
            self._front_ends[isa] = FrontEnd(features)
            del os.environ["BNN_EXIT_ISA"]
        self._best = self._front_ends[isas[0]]

    def front_end(self, contestant: str) -> Run:
        """From a waveform to what the network of a contestant takes."""
        chosen = self._front_ends.get(contestant, self._best)
        return lambda waveform: chosen.log_mel(waveform)[None, ..., None]


def race(
    runs: dict[str, Run], clips: Clips, *, clock: Callable[[], float] = time.process_time
) -> tuple[dict[str, Times], dict[str, list[np.ndarray]]]:
    """Microseconds of each clip, and results, by contestant."""
    times: dict[str, Times] = {name: {"network": [], "front_end": [], "whole": []} for name in runs}
    results: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    front_ends = {name: clips.front_end(name) for name in runs}
    for waveform, clip in zip(clips.waveforms, clips.log_mels, strict=True):
        for name, run in runs.items():
            results[name].append(np.array(run(clip)))
            took: Times = {"network": [], "front_end": [], "whole": []}
            for _ in range(TIMED):
                start = clock()
                run(clip)
                took["network"].append((clock() - start) * 1e6)
            run(front_ends[name](waveform))
            for _ in range(TIMED):
                start = clock()
                features = front_ends[name](waveform)
                between = clock()
                run(features)
                took["whole"].append((clock() - start) * 1e6)
                took["front_end"].append((between - start) * 1e6)
            for part, values in took.items():
                times[name][part].append(statistics.median(values))
    return times, results


def figures(times: Times) -> dict:
    """Of the network alone, and below `front_end` and `whole` of these."""
    found = {
        part: {
            "median_us": round(statistics.median(values), 1),
            "mean_us": round(statistics.mean(values), 1),
            "p95_us": round(float(np.quantile(values, 0.95)), 1),
            "min_us": round(min(values), 1),
        }
        for part, values in times.items()
    }
    return {**found.pop("network"), **found}


def plain(name: str, model: Any, isas: list[str], clips: Clips, bars: list[dict], *, clock_ghz: float) -> dict:
    data, cost, bounds = plain_networks.convert(model), profile.cost(model), processor.bounds()
    runs = {mode: larq(data, mode) for mode in MODES} | {isa: native(data, isa) for isa in isas}
    times, results = race(runs, clips)
    rows = {contestant: figures(taken) for contestant, taken in times.items()}
    best = min(rows[mode]["median_us"] for mode in MODES)
    expected = [int(np.argmax(logits)) for logits in results["lce default"]]
    for isa in isas:
        rows[isa]["times_lce_better_mode"] = round(best / rows[isa]["median_us"], 2)
        least = min(rows[mode]["min_us"] for mode in MODES)
        rows[isa]["times_lce_better_mode_by_minima"] = round(least / rows[isa]["min_us"], 2)
        rows[isa]["top_1_unlike_lce"] = sum(
            int(np.argmax(logits)) != label for logits, label in zip(results[isa], expected, strict=True)
        )
        if isa in BARS:
            judge(bars, f"{name}, {isa}: ratio to LCE's better mode", rows[isa]["times_lce_better_mode"], BARS[isa])
        if isa in bounds:
            bound = bounds[isa].microseconds(cost, clock_ghz=clock_ghz)
            rows[isa] |= {"bound_us": round(bound, 1), "times_bound": round(rows[isa]["median_us"] / bound, 2)}
    best_isa = isas[0]
    if best_isa in bounds:
        figure = rows[best_isa]["times_bound"]
        what = f"{name}, {best_isa}: time as a multiple of the bound of the processor's ports"
        bars.append({"what": what, "figure": figure, "bar": f"at most {BOUND_BAR}", "met": figure <= BOUND_BAR})
    plan = NativeNetwork(data).plan.splitlines()
    return {"bytes": len(data), **cost.to_dict(), "contestants": rows, "plan": plan}


def adaptive(path: Path, isas: list[str], clips: Clips) -> dict:
    """The file with exits: where each exit is forced, and at the operating point `balanced`, by the mean over clips."""
    file = reader.read(path)
    exits = len(file.metadata.exits)
    points = {
        f"exit {k + 1} of {exits} forced": np.array([2.0 if i == k else 0.0 for i in range(exits - 1)])
        for k in range(exits)
    }
    points["balanced"] = np.array(file.metadata.operating_points["balanced"].thresholds)
    table = {}
    for name, thresholds in points.items():
        others = (thresholds.astype(np.float32),)
        probabilities = file.outputs["probabilities"]
        runs = {"lce default": larq(file.data, "lce default", others=others, output=probabilities)}
        runs |= {isa: native(file.data, isa, others=others, output=probabilities) for isa in isas}
        times, _ = race(runs, clips)
        rows = {contestant: figures(taken) for contestant, taken in times.items()}
        for isa in isas:
            rows[isa]["times_lce_default"] = round(rows["lce default"]["mean_us"] / rows[isa]["mean_us"], 2)
        table[name] = rows
        show(name, rows, "mean_us")
    return table


def judge(bars: list[dict], what: str, figure: float, bar: float) -> None:
    bars.append({"what": what, "figure": figure, "bar": bar, "met": figure >= bar})


def show(name: str, rows: dict, which: str) -> None:
    print(f"{name}: " + ", ".join(f"{contestant} {row[which]}" for contestant, row in rows.items()) + " us", flush=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--data-dir")
    arguments.add_argument("--clips", type=int, default=200)
    options = arguments.parse_args()
    config = RunConfig.load(options.run)
    task = audio_tasks.load_again(config.task, data_dir=options.data_dir)
    chosen = np.linspace(0, len(task.test) - 1, min(options.clips, len(task.test))).astype(int)
    isas = capabilities()["isas"]
    waveforms = [task.test.waveform(int(i)) for i in chosen]
    clips, usual = Clips(waveforms, task.features, isas), Clips(waveforms, FeatureConfig(), isas)
    bars: list[dict] = []
    networks = {
        f"{config.model.backbone} {config.model.size}": (
            plain_networks.trained(options.run, input_shape=clips.log_mels.shape[2:]),
            clips,
        ),
        "residual, random weights": (plain_networks.residual(input_shape=usual.log_mels.shape[2:]), usual),
    }
    graphs = {}
    clock_ghz = processor.timing_library().bench_clock()
    for name, (model, own) in networks.items():
        graphs[name] = plain(name, model, isas, own, bars, clock_ghz=clock_ghz)
        show(name, graphs[name]["contestants"], "median_us")
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "clock_ghz": round(clock_ghz, 3),
        "bounds_macs_per_cycle": {isa: dataclasses.asdict(each) for isa, each in processor.bounds().items()},
        "threads": 1,
        "time": "processor time of the process",
        "load_average": round(os.getloadavg()[0], 1),
        "task": task.name,
        "split": "test, evenly spaced clips",
        "sample_count": len(clips.waveforms),
        "timed_runs_of_a_clip": TIMED,
        "plain_graphs": graphs,
        "adaptive_file": adaptive(options.run / "model.tflite", isas, clips),
        "bars": bars,
    }
    write_json(RESULT, result)
    print(f"wrote {RESULT}")
    return report(bars)


if __name__ == "__main__":
    sys.exit(main())
