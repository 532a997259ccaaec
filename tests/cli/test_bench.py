"""The bench command: what it times, and that its figures are those of the calls. No test asserts a speed."""

import itertools
import json
import types

import numpy as np
import pytest
import tiny_files

from bnn_exit import machine
from bnn_exit.audio import wav
from bnn_exit.commands import bench
from bnn_exit.runtime import native_backend

native = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")
CLIP = np.random.default_rng(0).uniform(-0.5, 0.5, 720).astype(np.float32)
ROWS = ["front end", "stage 1", "stage 2", "stage 3", "exit 1", "exit 2", "exit 3"]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file())
    return str(path)


@pytest.fixture
def clips(tmp_path):
    paths = [str(tmp_path / f"{index}.wav") for index in range(3)]
    for index, path in enumerate(paths):
        wav.write(path, CLIP / (index + 1), sample_rate_hz=16000)
    return paths


def test_on_noise_it_times_the_front_end_the_stages_and_the_exits(model, capsys):
    assert bench.main([model, "--backends", "reference", "--repeats", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["times"]["reference"]) == [*ROWS, "whole clip, full"]
    for figures in report["times"]["reference"].values():
        assert set(figures) == {"minimum", "median", "mean", "p95", "spread"}
        assert all(value is None or value >= 0 for value in figures.values())
    for row in ROWS[4:]:
        figures = report["times"]["reference"][row]
        assert 0 < figures["minimum"] <= figures["median"] <= figures["p95"]
    assert (report["sound"], report["clips"], report["calls"], report["exit_shares"]) == ("noise", 1, 4, {})
    assert report["machine"] == machine.describe() and report["versions"] == machine.versions()
    assert report["command"] == f"python -m bnn_exit.bench {model} --backends reference --repeats 4 --json"
    assert (report["threads"], report["isa"], report["exits"]) == (1, None, 3)


@native
def test_on_clips_it_also_times_the_operating_points(model, clips, capsys):
    assert bench.main([model, *clips, "--backends", "native,reference", "--repeats", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["times"]) == ["native", "reference"]
    for table in report["times"].values():
        assert list(table) == [*ROWS, "full", "balanced", "fast", "whole clip, balanced"]
    # Four calls do not go into three clips: each clip is called as often as the others.
    assert (report["sound"], report["clips"], report["calls"]) == ("files", 3, 6)
    assert report["exit_shares"]["full"] == [0, 0, 1]
    assert all(sum(shares) == pytest.approx(1) for shares in report["exit_shares"].values())
    assert report["isa"] == native_backend.capabilities()["isa"]


def test_a_file_that_takes_waveforms_has_no_front_end_apart(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file(input="waveform"))
    report = bench.bench(str(path), backends=["reference"], repeats=1)
    assert list(report["times"]["reference"]) == [*ROWS[1:], "whole clip, full"]


def test_a_stage_is_what_an_exit_takes_beyond_the_one_before():
    first, second = np.array([2.0, 3, 4, 2, 3, 4]), np.array([5.0, 7, 7, 5, 7, 7])
    figures = bench._figures({"front end": np.ones(6), "exit 1": first, "exit 2": second}, exits=2)
    assert list(figures) == ["front end", "stage 1", "stage 2", "exit 1", "exit 2"]
    assert figures["stage 1"] == figures["exit 1"]
    assert figures["stage 2"]["median"] == pytest.approx(3e6)  # of 3, 4 and 3
    assert figures["stage 2"]["minimum"] == pytest.approx(3e6)  # 5 - 2
    assert figures["stage 2"]["mean"] == pytest.approx(10e6 / 3)
    assert figures["stage 2"]["spread"] == pytest.approx(0.5e6)


def test_a_stage_below_the_noise_is_not_measurable():
    random = np.random.default_rng(0)
    first, second = (random.normal(mean, 10, 200) for mean in (100, 100.1))
    figures = bench._figures({"exit 1": first, "exit 2": second}, exits=2)
    assert {name for name, value in figures["stage 2"].items() if value is None} == {"minimum", "median", "mean", "p95"}
    assert 0.5e6 < figures["stage 2"]["spread"] < 5e6
    # Ten times as long as the noise, it is.
    figures = bench._figures({"exit 1": first, "exit 2": second + 100}, exits=2)
    assert figures["stage 2"]["median"] == pytest.approx(100e6, rel=0.1)


def test_a_machine_that_stops_now_and_then_gives_no_negative_time(model, monkeypatch):
    # A clock that jumps, as that of a busy machine: more than all calls take.
    random, now = np.random.default_rng(0), itertools.count()
    monkeypatch.setattr(bench, "_timer", lambda backend, threads: lambda: next(now) + 1000 * random.random())
    report = bench.bench(model, backends=["reference"], repeats=8)
    for row, figures in report["times"]["reference"].items():
        if row.startswith("stage") and row != "stage 1":
            assert all(value is None or value > 0 for value in figures.values())


def test_processor_time_is_what_one_thread_takes():
    assert bench._timer("native", threads=1) is bench.time.thread_time
    assert bench._timer("reference", threads=1) is bench.time.process_time
    assert bench._timer("native", threads=2) is bench.time.perf_counter


def test_backends_take_turns_on_every_clip(monkeypatch):
    ticks = itertools.count()
    called = []
    sessions = {name: types.SimpleNamespace(name=name, inputs=lambda waveform: waveform) for name in ("one", "two")}
    rows = {row: lambda session, waveform, inputs, row=row: called.append((inputs, row, session.name)) for row in "xy"}
    seconds = bench._take_turns(
        sessions, ["a", "b"], rows, rounds=2, timers=dict.fromkeys(sessions, lambda: next(ticks))
    )
    assert seconds["two"]["y"].tolist() == [1, 1, 1, 1]
    turn = list(itertools.product("ab", "xy", ("one", "two")))
    assert called[-16:] == turn * 2  # what comes before has warmed up
    assert set(called[:-16]) == {call for call in turn if call[0] == "a"}


def test_the_table_and_markdown(model, clips, capsys):
    assert bench.main([model, *clips, "--backends", "reference", "--repeats", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("model.tflite: ") and lines[0].endswith(" KB, 3 exits; 3 calls on 3 clips")
    assert "-bit userland, " in lines[1] and lines[1].endswith(", 1 thread")
    assert lines[3].split("  ")[0] == "us" and lines[3].endswith("reference minimum  reference median  reference p95")
    assert [line.split("  ")[0] for line in lines[4:15]] == [*ROWS, "full", "balanced", "fast", "whole clip, balanced"]
    assert "full: 0 % at exit 1, 0 % at exit 2, 100 % at exit 3" in lines[15:]  # a line on noise may come first
    assert err.startswith("warning: these are not the times of the native runtime")
    assert bench.main([model, "--backends", "reference", "--repeats", "1", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "| us | reference minimum | reference median | reference p95 |"
    assert lines[4] == "| --- | ---: | ---: | ---: |"
    assert lines[5].startswith("| front end | ") and lines[5].count("|") == 5


def test_ratios_are_to_the_first_backend():
    figures = {"minimum": 1.0, "median": 2.0, "p95": 3.0}
    report = {
        **{"model": "m", "model_bytes": 1000, "exits": 1, "calls": 1, "clips": 1, "sound": "noise", "threads": 2},
        **{"isa": "neon", "exit_shares": {}, "clock_before_and_after": [None, {"mhz": 1800.0, "governor": "ondemand"}]},
        "machine": {"cpu": "Board", "architecture": "aarch64", "userland_bits": 64},
        "times": {"native": {"exit 1": figures}, "lce": {"exit 1": {**figures, "median": 25.0}}},
    }
    lines = bench.text(report).splitlines()
    assert lines[0] == "m: 1 KB, 1 exits; 1 calls on 1 clip of noise"
    assert lines[1] == "Board, aarch64, 64-bit userland, 1800 MHz (ondemand), 2 threads, native kernels: neon"
    assert lines[4].split() == ["exit", "1", "1.0", "2.0", "3.0", "1.0", "25.0", "3.0", "12.5"]
    report["times"]["native"]["exit 1"] = dict.fromkeys(figures)
    lines = bench.text(report).splitlines()
    assert lines[4].split() == ["exit", "1", "-", "-", "-", "1.0", "25.0", "3.0", "-"]
    assert lines[6].startswith("-: not measurable here")


@native
@pytest.mark.parametrize("isa", sorted({"scalar", "portable"} & set(native_backend.capabilities()["isas"])))
def test_kernels_without_vectors_are_warned_of(isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
    best = native_backend.capabilities()["isas"][0]
    (warning,) = bench._warnings(["native"], {"governor": None})
    assert warning.startswith(f"the native runtime uses its {isa} kernels, which are not optimised ones")
    assert warning.endswith(f"this machine has {best}") or best == isa


def test_other_warnings(monkeypatch):
    monkeypatch.setattr(
        bench, "capabilities", lambda: {"library": "x", "isa": "neon", "isas": ["neon"], "optimised": True}
    )
    assert bench._warnings(["native"], {"governor": "performance"}) == []
    assert bench._warnings(["native"], {"governor": "ondemand"}) == [
        "the processor's clock varies (governor ondemand): compare ratios, not times"
    ]
    monkeypatch.setattr(bench.machine, "describe", lambda: {"userland_bits": 32})
    assert bench._warnings(["native"], {"governor": None}) == [
        "the userland is 32-bit, which has no optimised kernels: install a 64-bit system"
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["none.tflite"], 1, "none.tflite"),
        (["MODEL", "none.wav"], 1, "none.wav"),
        (["MODEL", "--backends", "referenze"], 2, "did you mean 'reference'?"),
        (["MODEL", "--backends", "reference,reference"], 2, "but must name each backend once"),
        (["MODEL", "--repeats", "0"], 2, "'0' is not a whole number of at least 1"),
        (["MODEL", "--json", "--markdown"], 2, "not allowed with argument"),
    ],
)
def test_a_mistake_is_one_line(model, capsys, arguments, status, message):
    assert bench.main([model if word == "MODEL" else word for word in arguments]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and message in err
