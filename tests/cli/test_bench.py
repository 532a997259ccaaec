"""The bench command: what it times, and that its figures are those of the calls. No test asserts a speed."""

import itertools
import json
import re
import types

import metadata_cases
import numpy as np
import pytest
import tiny_files

from bnn_exit import machine
from bnn_exit.audio import wav
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.commands import bench, bench_table
from bnn_exit.evaluation import caches, passes
from bnn_exit.policies import rule
from bnn_exit.runtime import native_backend

native = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")
CLIP = np.random.default_rng(0).uniform(-0.5, 0.5, 720).astype(np.float32)
ROWS = ["front end", "stage 1", "stage 2", "stage 3", "exit 1", "exit 2", "exit 3"]
SUMS = ["front end + exit 1", "front end + exit 2", "front end + exit 3"]


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
    for times in (report["times"]["reference"], report["cold_times"]["reference"]):
        assert list(times) == [*ROWS, *SUMS, "predict, full"]
        for figures in times.values():
            assert set(figures) == {"minimum", "median", "mean", "p95", "spread"}
            assert all(value is None or value >= 0 for value in figures.values())
        for row in [*ROWS[4:], *SUMS]:
            figures = times[row]
            assert 0 < figures["minimum"] <= figures["median"] <= figures["p95"]
    assert (report["sound"], report["clips"], report["calls"], report["exit_shares"]) == ("noise", 1, 4, {})
    assert report["cold_calls"] == 4 and 0 < report["clock_step_us"]["reference"] < 1000
    assert report["caches"]["times"].startswith("warm: ") and report["caches"]["cold_times"].startswith("cold: a walk ")
    assert report["machine"] == machine.describe() and report["versions"] == machine.versions()
    assert report["command"] == f"python -m bnn_exit.bench {model} --backends reference --repeats 4 --json"
    assert (report["threads"], report["isa"], report["exits"]) == (1, None, 3)


@native
def test_on_clips_it_also_times_the_operating_points(model, clips, capsys):
    assert bench.main([model, *clips, "--backends", "native,reference", "--repeats", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["times"]) == ["native", "reference"]
    for table in report["times"].values():
        points = ["full", "balanced", "fast"]
        sums = [*SUMS, *(f"front end + {name}" for name in points)]
        assert list(table) == [*ROWS, *points, *sums, "predict, balanced"]
    # Four calls do not go into three clips: each clip is called as often as the others.
    assert (report["sound"], report["clips"], report["calls"]) == ("files", 3, 6)
    assert report["exit_shares"]["full"] == [0, 0, 1]
    assert all(sum(shares) == pytest.approx(1) for shares in report["exit_shares"].values())
    assert report["isa"] == native_backend.capabilities()["isa"]


def test_a_file_that_takes_waveforms_has_no_front_end_apart(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file(input="waveform"))
    report = bench.bench(str(path), backends=["reference"], repeats=1)
    assert list(report["times"]["reference"]) == [*ROWS[1:], "predict, full"]


def test_clips_that_a_gate_sends_past_the_heads_have_a_row(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file(input="waveform", meta=metadata_cases.gated(), thresholds=3))
    report = bench.bench(str(path), backends=["reference"], repeats=1)
    assert list(report["times"]["reference"]) == [*ROWS[1:], "skipped", "predict, full"]
    report["times"]["reference"]["skipped"] = {"mean": 12.5, "p95": 13.0}
    assert DeviceProfile.from_bench(report, name="board").skipped_us == 12.5


def test_a_stage_is_what_an_exit_takes_beyond_the_one_before():
    first, second = np.array([2.0, 3, 4, 2, 3, 4]), np.array([5.0, 7, 7, 5, 7, 7])
    figures = bench._figures({"front end": np.ones(6), "exit 1": first, "exit 2": second}, exits=2)
    assert list(figures) == ["front end", "stage 1", "stage 2", "exit 1", "exit 2"]
    assert figures["stage 1"] == figures["exit 1"]
    assert figures["stage 2"]["median"] == pytest.approx(3e6)  # of 3, 4 and 3
    assert figures["stage 2"]["minimum"] == pytest.approx(3e6)  # 5 - 2
    assert figures["stage 2"]["mean"] == pytest.approx(10e6 / 3)
    assert figures["stage 2"]["spread"] == pytest.approx(0.5e6)


class Clockwork:
    """A backend and its clock: the front end takes 5 us, each exit 10 us more, and nothing else any time."""

    def __init__(self, backend="one", noise=lambda: 0.0):
        self.backend, self.exits, self.seconds, self.noise = backend, 3, 100.0, noise
        self.metadata = types.SimpleNamespace(input="log_mel", num_thresholds=2)

    def spend(self, microseconds):
        self.seconds += 1e-6 * (microseconds + self.noise())

    def inputs(self, waveform):
        self.spend(5)
        return waveform

    def infer(self, inputs, thresholds):
        left_at = next((k for k, value in enumerate(thresholds) if value), self.exits - 1)
        self.spend(10 * (left_at + 1))
        return np.zeros(2), left_at, 0.0


SETTINGS = {f"exit {k + 1}": rule.forcing_thresholds(k, exits=3) for k in range(3)}


def clockwork_times(session, **options):
    return caches.path_times(
        {"one": session}, [0], SETTINGS, clocks={"one": lambda: session.seconds}, **{"rounds": 8, **options}
    )["one"]


@pytest.mark.parametrize("displace", [None, lambda: None])
def test_the_whole_path_is_the_front_end_and_the_network_after_it(displace):
    figures = bench._figures(clockwork_times(Clockwork(), displace=displace), exits=3, step_s=1e-8)
    expected = {"front end": 5, "stage 1": 10, "stage 2": 10, "stage 3": 10, "exit 1": 10, "exit 2": 20, "exit 3": 30}
    expected |= {"front end + exit 1": 15, "front end + exit 2": 25, "front end + exit 3": 35}
    assert list(figures) == list(expected)
    for row, value in expected.items():
        assert all(figures[row][name] == pytest.approx(value) for name in ("minimum", "median", "mean", "p95"))
        assert figures[row]["spread"] < 0.03


def test_bench_and_evaluate_time_the_same_calls(monkeypatch):
    # The second call on a clip is faster than the first, as caches make it: both leave the first one out.
    class Caching(Clockwork):
        seen = None

        def infer(self, inputs, thresholds):
            self.spend(0 if self.seen == inputs else 70)
            self.seen = inputs
            return super().infer(inputs, thresholds)

    session = Caching()
    of_bench = bench._figures(clockwork_times(session, rounds=10), exits=3)
    evaluated = passes.measure(session, [0] * 10, {}, exits=3, front_end=session.inputs, now=lambda: session.seconds)
    for k, measured in enumerate(evaluated.forced):
        assert of_bench[f"exit {k + 1}"]["median"] == pytest.approx(1e6 * np.median(measured.seconds))
        assert of_bench[f"front end + exit {k + 1}"]["median"] == pytest.approx(1e6 * np.median(measured.whole_seconds))
    assert of_bench["exit 1"]["p95"] == pytest.approx(10)


def test_a_stage_below_the_noise_is_not_measurable():
    random = np.random.default_rng(0)
    first, second = (random.normal(mean, 10, 200) for mean in (100, 100.1))
    figures = bench._figures({"exit 1": first, "exit 2": second}, exits=2)
    assert {name for name, value in figures["stage 2"].items() if value is None} == {"minimum", "median", "mean", "p95"}
    assert 0.5e6 < figures["stage 2"]["spread"] < 5e6
    # Ten times as long as the noise, it is.
    figures = bench._figures({"exit 1": first, "exit 2": second + 100}, exits=2)
    assert figures["stage 2"]["median"] == pytest.approx(100e6, rel=0.1)


@pytest.mark.parametrize("repeats", [1, 8])
def test_a_machine_that_stops_now_and_then_gives_no_negative_time(model, monkeypatch, repeats):
    # A clock that jumps, and at times back, by more than all calls take.
    random, now = np.random.default_rng(0), itertools.count()
    monkeypatch.setattr(bench, "clock_of", lambda backend, threads: lambda: next(now) + 1000 * random.random())
    report = bench.bench(model, backends=["reference"], repeats=repeats)
    for times in (report["times"], report["cold_times"]):
        for figures in times["reference"].values():
            assert all(value is None or value > 0 for value in figures.values())
    assert not re.search(r"(^|\s)-\d", bench.text(report))


def test_a_coarse_clock_measures_no_exit_and_says_so(model, monkeypatch):
    # It counts ticks of 10 ms, and each call takes a few us.
    reads = itertools.count()
    monkeypatch.setattr(bench, "clock_of", lambda backend, threads: lambda: 0.01 * (next(reads) // 1000))
    report = bench.bench(model, backends=["reference"], repeats=8)
    for figures in report["times"]["reference"].values():
        assert [figures[name] for name in ("minimum", "median", "mean", "p95")] == [None] * 4
    assert report["clock_step_us"]["reference"] == pytest.approx(10_000)
    steps = "the clock of this system has steps of 1e+04 us: shorter times cannot be measured"
    assert steps in report["warnings"]
    assert "-: not measurable here, less than the noise; more --repeats help" in bench.text(report).splitlines()


def test_with_warm_caches_a_backend_keeps_its_turn():
    called = []
    session = Clockwork()

    def note(name):
        return types.SimpleNamespace(
            exits=3, metadata=session.metadata, inputs=lambda clip: clip,
            infer=lambda clip, thresholds: called.append((name, clip, tuple(map(float, thresholds)))),
        )  # fmt: skip

    sessions, clips = {"one": note("one"), "two": note("two")}, list(range(caches.BLOCK + 1))
    clocks = dict.fromkeys(sessions, lambda: 0.0)
    found = caches.path_times(sessions, clips, {"exit 1": (1000.0, 0.0)}, rounds=1, clocks=clocks)
    assert {len(rows["exit 1"]) for rows in found.values()} == {len(clips)}
    blocks = [clips[: caches.BLOCK], clips[caches.BLOCK :]]
    full, first = (0.0, 0.0), (1000.0, 0.0)
    expected = []
    for block, name in itertools.product(blocks, sessions):
        for clip in block:
            untimed = passes.WARM_UP_CALLS if clip == block[0] else 1
            expected += [(name, clip, full)] * untimed + [(name, clip, first)]
    assert called == expected

    called.clear()

    def displaced():
        called.append("displaced")

    caches.path_times(sessions, [7], {"exit 1": first}, rounds=2, clocks=clocks, displace=displaced)
    assert called == ["displaced", ("one", 7, first), "displaced", ("two", 7, first)] * 2


def test_the_help_says_which_times_are_warm_and_which_cold(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Times are of WARM caches, as those of bnn_exit.evaluate" in text
    assert "`times` are warm and `cold_times` cold" in text


def test_what_empties_the_caches_is_larger_than_they_are(monkeypatch):
    monkeypatch.setattr(machine, "cache_bytes", lambda: 1 << 20)
    walk, size = caches.displacer()
    assert size == 2 << 20 and walk() == size // 8  # every one of them is read
    for unknown in (None, 1 << 40):
        monkeypatch.setattr(machine, "cache_bytes", lambda unknown=unknown: unknown)
        assert (32 << 20) < caches.displacer()[1] <= (256 << 20)


def test_a_point_that_is_called_like_a_row_has_one_of_its_own():
    names = ["exit 1", "front end", "balanced", "predict, x", "point exit 1"]
    rows = bench._rows_of(names, taken=["exit 1", "exit 2"])
    assert rows == {
        "exit 1": "point exit 1", "front end": "point front end", "balanced": "balanced",
        "predict, x": "point predict, x", "point exit 1": "point point exit 1",
    }  # fmt: skip


def test_the_table_and_markdown(model, clips, capsys):
    assert bench.main([model, *clips, "--backends", "reference", "--repeats", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("model.tflite: ") and lines[0].endswith(" KB, 3 exits; 3 calls on 3 clips")
    assert "-bit userland, " in lines[1] and lines[1].endswith(", 1 thread")
    columns = ["us, warm caches", *(f"reference {name}" for name in ("minimum", "median", "p95", "cold median"))]
    assert re.split(r" {2,}", lines[3]) == columns
    points = ["full", "balanced", "fast"]
    rows = [*ROWS, *points, *SUMS, *(f"front end + {name}" for name in points), "predict, balanced"]
    assert [re.split(r" {2,}", line)[0] for line in lines[4 : 4 + len(rows)]] == rows
    assert lines[5 + len(rows)].startswith("warm: clip after clip on one backend, ")
    assert lines[6 + len(rows)] == "cold: caches emptied before each of 3 calls"
    assert "full: 0 % at exit 1, 0 % at exit 2, 100 % at exit 3" in lines[7 + len(rows) :]
    assert err.startswith("warning: these are not the times of the native runtime")
    assert bench.main([model, "--backends", "reference", "--repeats", "1", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == f"| {' | '.join(columns)} |"
    assert lines[4] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[5].startswith("| front end | ") and lines[5].count("|") == 6


def made_report(**changes):
    figures = {"minimum": 1.0, "median": 2.0, "p95": 3.0, "spread": 0.25}
    return {
        **{"model": "m", "model_bytes": 1000, "exits": 1, "calls": 1, "clips": 1, "sound": "noise", "threads": 2},
        **{"isa": "neon", "exit_shares": {}, "clock_before_and_after": [None, {"mhz": 1800.0, "governor": "ondemand"}]},
        "machine": {"cpu": "Board", "architecture": "aarch64", "userland_bits": 64},
        "times": {"native": {"exit 1": figures}, "lce": {"exit 1": {**figures, "median": 25.0}}},
        "cold_times": {"native": {"exit 1": {**figures, "median": 4.5}}, "lce": {"exit 1": dict.fromkeys(figures)}},
        "cold_calls": 50,
        **changes,
    }


def test_ratios_are_to_the_first_backend():
    report = made_report()
    lines = bench.text(report).splitlines()
    assert lines[0] == "m: 1 KB, 1 exit; 1 call on 1 clip of noise"
    assert lines[1] == "Board, aarch64, 64-bit userland, 1800 MHz (ondemand), 2 threads, native kernels: neon"
    cells = ["exit 1", "1.0", "2.0 ± 0.2", "3.0", "4.5 ± 0.2", "1.0", "25.0 ± 0.2", "3.0", "-", "12.5"]
    assert re.split(r" {2,}", lines[4]) == cells
    assert "cold: caches emptied before each of 50 calls; those of other cores were not" in lines
    report["times"]["native"]["exit 1"] = dict.fromkeys(["minimum", "median", "p95", "spread"])
    lines = bench.text(report).splitlines()
    assert re.split(r" {2,}", lines[4]) == ["exit 1", "-", "-", "-", *cells[4:9], "-"]
    assert lines[-1].startswith("-: not measurable here")


def test_no_time_is_shown_as_zero_and_an_unknown_spread_not_at_all():
    assert bench_table._cell(0.04) == "0.04" and bench_table._cell(0.06) == "0.1"
    assert bench_table._median({"median": 2.0, "spread": None}) == "2.0"
    assert bench_table._median({"median": None, "spread": 7.0}) == "-"


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
    assert bench._warnings(["native"], {"governor": "performance"}, step_us=0.1) == []
    assert bench._warnings(["native"], {"governor": None}, step_us=4000.0) == [
        "the clock of this system has steps of 4e+03 us: shorter times cannot be measured"
    ]
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
