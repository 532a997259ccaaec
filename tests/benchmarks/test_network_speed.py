"""What network_speed.py, whole_path.py and native_calls.py time: networks alone, and after the front end."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tiny_files

import bnn_exit
from bnn_exit.audio import logmel
from bnn_exit.cost import Cost
from bnn_exit.model_file import reader
from bnn_exit.runtime import native_backend

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import native_calls
import network_speed
import processor
import whole_path

native = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")


def test_front_end_and_network_are_timed_on_each_clip() -> None:
    clock = types.SimpleNamespace(seconds=0.0)

    def spend(microseconds: float, result: np.ndarray) -> np.ndarray:
        clock.seconds += 1e-6 * microseconds
        return result

    # The waveform of clip i holds i, its log-mel 10 * i; the front end takes 5 + i us and the network 20 + 10 * i.
    clips = types.SimpleNamespace(
        waveforms=[np.array([index]) for index in range(3)],
        log_mels=[np.array([10 * index]) for index in range(3)],
        front_end=lambda name: lambda waveform: spend(5 + waveform[0], 10 * waveform),
    )
    runs = {"ours": lambda clip: spend(20 + clip[0], clip), "lce": lambda clip: spend(200, clip)}
    times, results = network_speed.race(runs, clips, clock=lambda: clock.seconds)
    assert times["ours"]["network"] == pytest.approx([20, 30, 40])
    assert times["ours"]["front_end"] == pytest.approx([5, 6, 7])
    assert times["ours"]["whole"] == pytest.approx([25, 36, 47])
    assert times["lce"]["whole"] == pytest.approx([205, 206, 207])
    assert [int(result[0]) for result in results["ours"]] == [0, 10, 20]
    figures = network_speed.figures(times["ours"])
    assert (figures["median_us"], figures["front_end"]["median_us"], figures["whole"]["mean_us"]) == (30.0, 6.0, 36.0)


@native
def test_the_front_end_is_ours_on_the_instruction_set_of_the_contestant() -> None:
    features = tiny_files.metadata().features
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * features.window_samples).astype(np.float32)
    isas = native_backend.capabilities()["isas"]
    clips = network_speed.Clips([waveform], features, isas)
    expected = logmel.log_mel(waveform, features)
    for contestant in (*isas, "lce default"):
        found = clips.front_end(contestant)(waveform)
        assert found.shape == clips.log_mels[0].shape == (1, *expected.shape, 1)
        assert found[0, ..., 0] == pytest.approx(expected, rel=1e-3, abs=1e-3)


@native
def test_a_path_goes_through_the_front_end_and_leaves_at_its_exit(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file())
    file = reader.read(path)
    calls = native_calls.path_calls(file, native_backend.NativeBackend(file))
    assert list(calls) == ["front end of a clip, FrontEnd.log_mel", *(f"front end + exit {k + 1}" for k in range(3))]
    for k in range(3):
        assert calls[f"front end + exit {k + 1}"]()[1] == k
    found = native_calls.exit_call(native_backend.NativeBackend(file), 1, exits=3)()
    assert found[1] == 1


def test_the_bound_is_the_cycles_of_both_kinds_of_multiplications_by_the_clock() -> None:
    bound = processor.Bound(binary=400, floats=16, why="")
    # 1,000,000 / 400 + 32,000 / 16 = 4,500 cycles, at 3 a nanosecond.
    assert bound.microseconds(Cost(1_000_000, 32_000), clock_ghz=3.0) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("core", "expected"),
    [
        ("AuthenticAMD family 26 model 2", {"avx512_vpopcnt": (683, 32), "avx2": (256, 16)}),
        ("AuthenticAMD family 2 model 6", {}),
        ("implementer 0x41 part 0xd0b", {}),
        (None, {}),
    ],
)
def test_bounds_are_those_of_the_kind_of_core(monkeypatch, core, expected) -> None:
    monkeypatch.setattr(processor.machine, "cpu_core", lambda: core)
    assert {isa: (each.binary, each.floats) for isa, each in processor.bounds().items()} == expected


def test_whole_paths_have_the_mean_of_the_medians_and_the_accuracy_of_their_calls() -> None:
    clock = types.SimpleNamespace(seconds=0.0)

    def spend(microseconds: float, label: int) -> int:
        clock.seconds += 1e-6 * microseconds
        return label

    # One says the label in the clip and takes 10, 20 and 60 us; the other always says 1.
    runs = {
        "right": lambda clip: spend(10 * clip[1], int(clip[0])),
        "ones": lambda clip: spend(5, 1),
    }
    clips = [np.array(values) for values in ((0, 1), (1, 2), (2, 6))]
    found = whole_path.race(runs, clips, np.array([0, 1, 2]), clock=lambda: clock.seconds)
    assert found["right"] == {"mean_us": 30.0, "median_us": 20.0, "accuracy": 1.0}
    assert found["ones"] == {"mean_us": 5.0, "median_us": 5.0, "accuracy": 1 / 3}


@native
def test_a_whole_path_says_what_predict_says(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_files.adaptive_file())
    session = bnn_exit.load(path, backend="native")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, session.metadata.clip_samples).astype(np.float32)
    run = whole_path.path(reader.read(path))
    assert session.labels[run(samples)] == session.predict(samples, operating_point=whole_path.POINT).label
