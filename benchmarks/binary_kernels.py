"""How fast is a binary convolution on each instruction set, beside Larq Compute Engine's?

    python benchmarks/binary_kernels.py

One thread, one process, all interleaved: every round times each layer in LCE (both of its modes) and in our kernels,
with bit-packed and with float output. LCE's layer is the difference between a graph with nine of them and one with a
single one, an eighth of it; ours goes through nine sets of weights in turn. Each time is taken right after an untimed
run of the same, because a network that classifies clip after clip finds its weights in the caches where the last clip
left them, and not what other contestants left. Time is that of the processor: where other programs wait for it they
interrupt long runs, not short ones. Medians and minima over the rounds; ratios are of medians, against LCE's faster
mode. LCE has no vector kernels for x86: this is a comparison with what it runs there. Also the share of what the
processor could do at most, by its clock, which is measured, and the time of the float layers that remain. Writes
results/binary_kernels.json and exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import processor
from processor import Bound, timing_library
from result_file import called, report

from bnn_exit import machine
from bnn_exit.files import write_json
from bnn_exit.runtime import lce

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
import tiny_files  # noqa: E402

LAYERS = [
    (25, 16, 64, 64, 3, 1),
    (12, 8, 128, 128, 3, 1),
    (6, 4, 256, 256, 3, 1),
    (24, 16, 64, 128, 3, 2),
    (28, 28, 256, 256, 3, 1),
]
"""Height, width, input channels, output channels, kernel size, stride."""
FLOAT_LAYERS = {
    "first layer 98x64x1 -> 16, 3x3, stride 2": (98, 64, 1, 16, 3, 2, 0),
    "3x3 depthwise 49x32x16, stride 2": (49, 32, 16, 16, 3, 2, 1),
    "3x3 depthwise 25x16x64": (25, 16, 64, 64, 3, 1, 1),
    "1x1 25x16, 64 -> 64": (25, 16, 64, 64, 1, 1, 0),
    "1x1 25x16, 16 -> 64": (25, 16, 16, 64, 1, 1, 0),
    "1x1 49x32, 16 -> 64": (49, 32, 16, 64, 1, 1, 0),
    "dense 256 -> 12": (1, 1, 256, 12, 1, 1, 0),
}
MODES = {"bitpacked": 0, "float": 1, "residual": 2}
SETS = 9
BARS = {"avx512_vpopcnt": 15.0, "avx2": 5.0, "scalar": 1.5}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    library = timing_library()
    isas = [name for i in range(library.bench_isa_count()) if (name := library.bench_isa(i).decode())]
    clock = library.bench_clock()
    layers = [measure(library, isas, layer, rounds=options.rounds) for layer in LAYERS]
    clock = max(clock, library.bench_clock())
    bounds = processor.bounds()
    for row in layers:
        add_shares(row, isas, clock, bounds)
    result = {
        "question": "time of one binary convolution on each instruction set and in LCE",
        "command": called(__file__, None),
        **machine.provenance(),
        "compiler": subprocess.run(["c++", "--version"], capture_output=True, text=True).stdout.splitlines()[0],
        "clock_ghz": round(clock, 3),
        "bounds_macs_per_cycle": {isa: {"bound": each.binary, "why": each.why} for isa, each in bounds.items()},
        "threads": 1,
        "rounds": options.rounds,
        "weight_sets": SETS,
        "unit": "microseconds, [median, minimum]",
        "layers": layers,
        "float_layers": {name: measure_float(library, isas, shape) for name, shape in FLOAT_LAYERS.items()},
        "bars": bars(layers, isas, clock, bounds),
    }
    path = HERE / "results" / "binary_kernels.json"
    write_json(path, result)
    print(f"wrote {path}")
    return report(result["bars"])


def add_shares(row: dict, isas: list[str], clock: float, bounds: dict[str, Bound]) -> None:
    """MACs a cycle of each kernel, by its median, and their share of the bound."""
    for isa in isas:
        for mode in MODES:
            rate = row["macs"] / row[isa][mode][0] / 1e3 / clock
            row[isa][f"{mode}_macs_per_cycle"] = round(rate, 1)
            if isa in bounds:
                share = round(rate / bounds[isa].binary, 3)
                row[isa][f"{mode}_share_of_bound"] = share
                if mode != "residual":  # what no kernel of this kind can pass on this processor
                    row[isa][f"{mode}_times_lce_at_bound"] = round(row[isa][f"{mode}_times_lce"] / share, 2)


def lce_graph(layer: tuple[int, ...], *, count: int, bitpacked: bool) -> bytes:
    """`count` convolutions of one bit-packed image; of each result one pixel is an output."""
    height, width, channels, filters, kernel, stride = layer
    random = np.random.default_rng(count)
    file = tiny_files.File()
    graph = file.graph()
    image = graph.input((1, height, width, channels))
    words = graph.operator("LceQuantize", [image], [((1, height, width, channels // 32), "int32")])
    size = (1, -(-height // stride), -(-width // stride))
    pixels = []
    for _ in range(count):
        weights = random.integers(-(2**31), 2**31, (filters, kernel, kernel, channels // 32), np.int32)
        constants = [graph.constant(weights, "int32")]
        if bitpacked:
            constants += [-1, -1, graph.constant(np.full(filters, kernel * kernel * channels // 2), "int32")]
        else:
            constants += [graph.constant(random.normal(size=filters)), graph.constant(random.normal(size=filters)), -1]
        last, dtype = (filters // 32, "int32") if bitpacked else (filters, "float32")
        settings = {"channels_in": channels, "dilation_height_factor": 1, "dilation_width_factor": 1, "padding": 0}
        settings |= {"stride_height": stride, "stride_width": stride, "fused_activation_function": 0, "pad_values": 1}
        output = graph.operator("LceBconv2d", [*words, *constants], [((*size, last), dtype)], **settings)
        begin, extent = graph.constant([0, 0, 0, 0], "int32"), graph.constant([1, 1, 1, last], "int32")
        pixels += graph.operator("SLICE", [*output, begin, extent], [((1, 1, 1, last), dtype)], "SliceOptions")
    graph.outputs(pixels)
    return file.bytes()


class LceLayer:
    """A layer in LCE, in one of its modes."""

    def __init__(self, layer: tuple[int, ...], *, bitpacked: bool, indirect: bool) -> None:
        self.image = np.random.default_rng(0).normal(size=(1, *layer[:3])).astype(np.float32)
        self.runs = [
            lce._load().LiteInterpreter(lce_graph(layer, count=n, bitpacked=bitpacked), 1, False, indirect, False)
            for n in (1, SETS)
        ]

    def time(self) -> list[float]:
        """Microseconds of the graph of one layer and of that of nine."""
        times = []
        for interpreter in self.runs:
            interpreter.predict([self.image])
            start = time.process_time()
            interpreter.predict([self.image])
            times.append((time.process_time() - start) * 1e6)
        return times

    @staticmethod
    def layer(times: list[list[float]], which: Callable[[Iterable[float]], float]) -> float:
        """Of each graph first, and then the difference: that of two runs would have the noise of both."""
        single, several = (which(column) for column in zip(*times, strict=True))
        return (several - single) / (SETS - 1)


class OurLayer:
    """A layer in our kernels, of one instruction set."""

    def __init__(self, library: ctypes.CDLL, isa: str, layer: tuple[int, ...], mode: int) -> None:
        self.library, self.handle = library, library.bench_open_binary(isa.encode(), *layer, mode, SETS)

    def time(self) -> float:
        self.library.bench_run(self.handle, SETS)
        return self.library.bench_run(self.handle, SETS) / 1e3

    @staticmethod
    def layer(times: list[float], which: Callable[[Iterable[float]], float]) -> float:
        return which(times)


def measure(library: ctypes.CDLL, isas: list[str], layer: tuple[int, ...], *, rounds: int) -> dict:
    height, width, channels, filters, kernel, stride = layer
    macs = -(-height // stride) * -(-width // stride) * channels * filters * kernel**2
    runs: dict[tuple[str, str], LceLayer | OurLayer] = {}
    for mode in ("bitpacked", "float"):
        for name, indirect in (("lce default", False), ("lce indirect", True)):
            runs[name, mode] = LceLayer(layer, bitpacked=mode == "bitpacked", indirect=indirect)
    for isa in isas:
        runs |= {(isa, mode): OurLayer(library, isa, layer, number) for mode, number in MODES.items()}
    times: dict[tuple[str, str], list] = {key: [] for key in runs}
    for turn in range(rounds + 2):
        for key, run in runs.items():
            took = run.time()
            if turn >= 2:  # the first rounds warm up
                times[key].append(took)
    median = {key: run.layer(times[key], statistics.median) for key, run in runs.items()}
    least = {key: run.layer(times[key], min) for key, run in runs.items()}
    row: dict = {
        "layer": dict(zip(("height", "width", "in", "out", "kernel", "stride"), layer, strict=True)),
        "macs": macs,
    }
    for name, mode in runs:
        entry = row.setdefault(name, {})
        entry[mode] = [round(median[name, mode], 2), round(least[name, mode], 2)]
        if not name.startswith("lce"):
            entry[f"{mode}_gmacs_per_s"] = round(macs / median[name, mode] / 1e3)
            if mode != "residual":
                best = min(median["lce default", mode], median["lce indirect", mode])
                entry[f"{mode}_times_lce"] = round(best / median[name, mode], 2)
    print("x".join(map(str, layer)), {name: row[name] for name in row if name not in ("layer", "macs")}, flush=True)
    return row


def measure_float(library: ctypes.CDLL, isas: list[str], shape: tuple[int, ...]) -> dict:
    handles = {isa: library.bench_open_float(isa.encode(), *shape) for isa in isas}
    times: dict[str, list[float]] = {isa: [] for isa in isas}
    for _ in range(30):
        for isa, handle in handles.items():
            times[isa].append(library.bench_run(handle, 5) / 1e3)
    return {isa: [round(statistics.median(values), 2), round(min(values), 2)] for isa, values in times.items()}


def bars(layers: list[dict], isas: list[str], clock: float, bounds: dict[str, Bound]) -> list[dict]:
    found = []

    def judge(isa: str, key: str, what: str, bar: float, *, unit: float = 1.0) -> None:
        worst = min(layers, key=lambda row: row[isa][key])
        figure = worst[isa][key] / unit
        entry = {"what": f"{isa}{what}", "figure": figure, "bar": bar, "met": figure >= bar}
        if f"{key}_at_bound" in worst[isa]:
            entry["at_bound"] = worst[isa][f"{key}_at_bound"]
        elif isa in bounds:
            entry["at_bound"] = round(bounds[isa].binary * clock / 1e3, 2)
        found.append(entry)

    for isa, bar in BARS.items():
        for mode in ("bitpacked", "float"):
            if isa in isas:
                judge(isa, f"{mode}_times_lce", f", {mode} output: smallest ratio to LCE's faster mode", bar)
    if "avx512_vpopcnt" in isas:
        judge("avx512_vpopcnt", "bitpacked_gmacs_per_s", ": TMAC/s of the slowest layer", 2.0, unit=1e3)
    return found


if __name__ == "__main__":
    sys.exit(main())
