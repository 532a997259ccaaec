"""Several networks and several runtimes, timed in turn on the same clips in one process and one thread."""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from bnn_exit.evaluation.times import time_us
from bnn_exit.model_file import reader
from bnn_exit.policies import rule
from bnn_exit.runtime import lce, native_backend
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.settings.features import FeatureConfig

INTERPRETERS = {"LiteRT": ("ai_edge_litert.interpreter", "ai-edge-litert"), "TFLite": ("bnn_exit._keras", "tensorflow")}
"""Name -> where its Interpreter is, the package that it comes in. Both use XNNPACK unless told otherwise."""
WARM_UP_CLIPS = 3


class Runner(Protocol):
    """A network that takes one clip after another."""

    def put(self, clip: int) -> None:
        """Hand over a clip."""

    def invoke(self) -> None:
        """Run the network."""

    def label(self) -> int:
        """The answer."""


class Ours:
    """An adaptive file in the native runtime with one set of thresholds."""

    def __init__(
        self, network: NativeNetwork, file: reader.ModelFile, log_mel: np.ndarray, thresholds: np.ndarray
    ) -> None:
        self.log_mel, self.thresholds, self.invoke = log_mel, thresholds, network.run
        self.clip, self.limits = (network.inputs[file.inputs[name]] for name in ("log_mel", "thresholds"))
        self.outputs = {name: network.outputs[position] for name, position in file.outputs.items()}

    def put(self, clip: int) -> None:
        self.clip[0, ..., 0] = self.log_mel[clip]
        self.limits[:] = self.thresholds

    def label(self) -> int:
        return int(self.outputs["probabilities"].argmax())


class FrontEnd:
    """A front end that makes the log-mel of one clip after another, by the settings of a network."""

    def __init__(self, log_mel: Callable[[np.ndarray], object], waveforms: np.ndarray) -> None:
        self.log_mel, self.waveforms = log_mel, waveforms
        self.samples = np.empty_like(waveforms[0])

    def put(self, clip: int) -> None:
        """Hand over the samples, as a recorder does: they are in the caches then."""
        self.samples[:] = self.waveforms[clip]

    def invoke(self) -> None:
        self.log_mel(self.samples)


class Larq:
    """An adaptive file in Larq Compute Engine with one set of thresholds."""

    def __init__(self, backend: lce.LceBackend, log_mel: np.ndarray, thresholds: np.ndarray) -> None:
        self.backend, self.log_mel, self.thresholds = backend, log_mel, thresholds

    def put(self, clip: int) -> None:
        self.inputs = self.log_mel[clip]

    def invoke(self) -> None:
        self.probabilities, _, _ = self.backend.infer(self.inputs, self.thresholds)

    def label(self) -> int:
        return int(self.probabilities.argmax())


class Int8:
    """An int8 file in LiteRT or TFLite."""

    def __init__(self, data: bytes, interpreter: Any, inputs: np.ndarray) -> None:
        self.interpreter = interpreter(model_content=data, num_threads=1)
        self.interpreter.allocate_tensors()
        source, result = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        if {source["dtype"], result["dtype"]} != {np.int8}:
            raise ValueError(
                f"the file takes {source['dtype']} and gives {result['dtype']}, but must be int8 throughout"
            )
        self.inputs = quantise(inputs, *source["quantization"])
        self.source, self.result, self.invoke = source["index"], result["index"], self.interpreter.invoke

    def put(self, clip: int) -> None:
        self.interpreter.set_tensor(self.source, self.inputs[clip][None])

    def label(self) -> int:
        return int(self.interpreter.get_tensor(self.result).argmax())

    def is_delegated(self) -> bool:
        """Whether XNNPACK runs the whole network."""
        operators = [operator["op_name"] for operator in self.interpreter._get_ops_details()]
        return operators.count("DELEGATE") == 1 and operators[-1] == "DELEGATE"


def interpreters() -> dict[str, tuple[Any, str]]:
    """Name -> (Interpreter, version) of each that is installed."""
    found = {}
    for name, (module, package) in INTERPRETERS.items():
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            continue
        kind = loaded.Interpreter if name == "LiteRT" else loaded.tf.lite.Interpreter
        found[name] = (kind, importlib.metadata.version(package))
    return found


def quantise(values: np.ndarray, scale: float, zero: int) -> np.ndarray:
    """Floats as the int8 that a file's input takes."""
    return np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)


def prepare(log_mel: np.ndarray, *, matrix: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What a DS-CNN's front end makes of `[clips, frames, mels]` before it is made int8: `[clips, frames, columns, 1]`.

    Args:
        log_mel: of the features that the network was trained with.
        matrix: `[mels, columns]`, what columns are sums of.
        mean, scale: `[columns]`, of the training split; they give each column zero mean and unit variance.
    """
    return (((np.asarray(log_mel, np.float32) @ matrix) - mean) * scale)[..., None]


def our_runners(file: reader.ModelFile, log_mel: np.ndarray) -> dict[str, Ours]:
    """A runner for each forced exit and for each operating point that uses an early exit."""
    network, exits = NativeNetwork(file.data), len(file.metadata.exits)
    settings = {f"exit {k + 1}": rule.forcing_thresholds(k, exits=exits) for k in range(exits)}
    for name, point in file.metadata.operating_points.items():
        if any(point.thresholds):
            settings[name] = rule.check_thresholds(point.thresholds, exits=exits)
    return {name: Ours(network, file, log_mel, thresholds) for name, thresholds in settings.items()}


def our_front_end(features: FeatureConfig, waveforms: np.ndarray) -> FrontEnd:
    """Our native front end with the settings of a network, ours or another one."""
    return FrontEnd(native_backend.FrontEnd(features).log_mel, waveforms)


def exit_runners(file: reader.ModelFile, log_mel: np.ndarray) -> dict[tuple[str, int], Runner]:
    """(backend, exit index) -> a runner of this exit, forced, in our library and, if it is installed, in LCE."""
    exits = len(file.metadata.exits)
    forced = [rule.forcing_thresholds(k, exits=exits) for k in range(exits)]
    network = NativeNetwork(file.data)
    found: dict[tuple[str, int], Runner] = {
        ("native", k): Ours(network, file, log_mel, thresholds) for k, thresholds in enumerate(forced)
    }
    if lce.is_installed():
        backend = lce.LceBackend(file)
        found |= {("lce", k): Larq(backend, log_mel, thresholds) for k, thresholds in enumerate(forced)}
    return found


def labels(runner: Runner, clips: int) -> np.ndarray:
    """What a runner says about clips 0 to `clips` - 1."""
    found = np.empty(clips, np.int64)
    for clip in range(clips):
        runner.put(clip)
        runner.invoke()
        found[clip] = runner.label()
    return found


def measure_runners(
    runners: Mapping[Any, Runner],
    *,
    clips: int,
    rounds: int,
    front_ends: Mapping[Any, FrontEnd] | None = None,
    block: int = 50,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Any, dict]:
    """Labels and times of each runner on clips 0 to `clips` - 1.

    A runner with a front end runs each block twice: the network alone, and then the front end of each clip followed by
    the network on it. What the network's input needs beside the log-mel (of int8 files: columns and rounding) is made
    before, and handed over between the two, untimed.

    All runners take turns on blocks of clips, each with its caches warm, as a device that does nothing else has them.
    Of the `rounds` times of a clip the median counts, so that a moment in which the machine was busy does not; the mean
    and the median over clips are made of these. `clock` counts seconds: `time.process_time` where other programs wait
    for the processor.

    Returns:
        For each runner `labels` [clips], and in microseconds `network` (the runtime's own call) and `call` (with the
        clip handed over and the label read, through Python), each with minimum, median, mean and p95 over clips. With
        a front end also `front_end` and `whole`, of both on the same clip.
    """
    front_ends = front_ends or {}
    seconds = {key: np.empty((2, rounds, clips)) for key in runners}
    paths = {key: np.empty((2, rounds, clips)) for key in front_ends}
    answers = {key: np.empty(clips, np.int64) for key in runners}
    for turn in range(rounds):
        for start in range(0, clips, block):
            stop = min(start + block, clips)
            for key, runner in runners.items():
                times, found = seconds[key], answers[key]
                for clip in range(start, min(start + WARM_UP_CLIPS, stop)):
                    runner.put(clip)
                    runner.invoke()
                for clip in range(start, stop):
                    begin = clock()
                    runner.put(clip)
                    before = clock()
                    runner.invoke()
                    after = clock()
                    found[clip] = runner.label()
                    times[:, turn, clip] = after - before, clock() - begin
                if key in front_ends:
                    _time_paths(front_ends[key], runner, range(start, stop), clock, paths[key][:, turn])
    found = {}
    for key in runners:
        parts = dict(zip(("network", "call"), seconds[key], strict=True))
        if key in front_ends:
            parts |= dict(zip(("front_end", "whole"), paths[key], strict=True))
        times = {name: time_us(np.median(values, axis=0)) for name, values in parts.items()}
        found[key] = {"labels": answers[key], **times}
    return found


def _time_paths(
    front_end: FrontEnd, runner: Runner, clips: range, clock: Callable[[], float], seconds: np.ndarray
) -> None:
    """Fill `seconds` [front end and whole, clips]: the front end of each clip, and the network right after it."""

    def run(clip: int) -> tuple[float, float]:
        front_end.put(clip)
        begin = clock()
        front_end.invoke()
        front_end_s = clock() - begin
        runner.put(clip)
        begin = clock()
        runner.invoke()
        return front_end_s, front_end_s + clock() - begin

    for clip in clips[:WARM_UP_CLIPS]:
        run(clip)
    for clip in clips:
        seconds[:, clip] = run(clip)
