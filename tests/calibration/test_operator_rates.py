"""Rates of a device by kind of operator: fitted to times, and turned into times of other networks."""

import dataclasses
import json
import math

import numpy as np
import pytest

from bnn_exit import pretrained
from bnn_exit.calibration import operator_work
from bnn_exit.calibration.operator_rates import USUAL_NS, OperatorRates, fitted
from bnn_exit.calibration.operator_work import KINDS
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.model_file import reader
from bnn_exit.settings.features import FeatureConfig

NS = {"binary_macs": 0.003, "conv_macs": 0.2, "depthwise_macs": 0.5, "dense_macs": 0.1, "values": 1.0, "layers": 500.0}


def work_of(name):
    file = reader.read(pretrained.resolve(name))
    return operator_work.of_file(file.model, exits=len(file.metadata.exits))


def bench_report(works, *, ns=NS, cpu="board", frame_step_ns=0.1, threads=1):
    """What bench prints, of a device with exactly these rates."""
    features, samples = FeatureConfig(), 16000
    times = {f"exit {k + 1}": {"mean": sum(w[kind] * ns[kind] for kind in KINDS) / 1000} for k, w in enumerate(works)}
    frames = 98 * 512 * 9
    times["front end"] = {"mean": frames * frame_step_ns / 1000}
    return {
        **{"model": "m.tflite", "machine": {"cpu": cpu}, "threads": threads, "times": {"native": times}},
        **{"work": [dict(each) for each in works], "features": features.to_dict(), "clip_samples": samples},
    }


def test_the_work_of_a_file_is_what_its_metadata_says():
    for name in pretrained.models():
        file = reader.read(pretrained.resolve(name))
        for work, cost in zip(work_of(name), file.metadata.exits):
            floats = work["conv_macs"] + work["depthwise_macs"] + work["dense_macs"]
            assert work["binary_macs"] == cost.binary_macs
            # The work of the policy is in the cost, and no operator that multiplies.
            assert 0 <= cost.float_macs - floats <= 1000


def test_the_work_of_a_small_file_by_hand():
    first, last = work_of("arabic-speech-commands-small")
    # Stem: 49 x 32 x 16 values of 3 x 3 x 1; head: 5 x 4 x 16 values of 64.
    assert first["conv_macs"] == 49 * 32 * 16 * 9 + 5 * 4 * 16 * 64
    assert first["depthwise_macs"] == 25 * 16 * 64 * 9
    assert first["binary_macs"] == 2 * 25 * 16 * 64 * 9 * 64
    assert first["values"] == 2 * 25 * 16 * 64
    assert first["layers"] == 6 and last["layers"] == 14


def test_many_times_give_the_rates_back():
    rng = np.random.default_rng(0)
    usual = np.array([1e7, 1e5, 1e5, 1e4, 1e5, 10])
    work = rng.uniform(0.05, 2, (40, 6)) * usual
    true = np.array([NS[kind] for kind in KINDS]) / 1000
    ns, misfit = fitted(work[:30], work[:30] @ true)
    # Dense layers take too little of these times for their rate to show.
    for kind in set(KINDS) - {"dense_macs"}:
        assert ns[kind] == pytest.approx(NS[kind], rel=0.25)
    assert misfit < 0.05
    unseen = work[30:] @ np.array([ns[kind] for kind in KINDS]) / 1000
    assert unseen == pytest.approx(work[30:] @ true, rel=0.05)


def test_one_file_scales_the_usual_rates():
    works = work_of("esc10-small")
    slow = {kind: 7 * value for kind, value in USUAL_NS.items()}
    rates = OperatorRates.from_bench([bench_report(works, ns=slow)])
    assert rates.ns == pytest.approx(slow, rel=1e-6)
    assert rates.misfit == pytest.approx(0, abs=1e-6)


def test_no_rate_is_below_zero():
    work = np.zeros((50, len(KINDS)))
    work[:, 0], work[:, 1] = 1e7, np.linspace(0, 1e6, 50)
    times = 100 - 4e-5 * work[:, 1]  # more work in less time
    ns, misfit = fitted(work, times)
    assert min(ns.values()) >= 0 and ns["conv_macs"] == 0
    assert misfit > 0.2


def test_a_network_that_was_never_timed():
    rates = OperatorRates.from_bench([bench_report(work_of("esc10-small"))])
    rates = dataclasses.replace(rates, ns=NS)
    work = {**operator_work.none(), "binary_macs": 1_000_000, "layers": 2}
    features = FeatureConfig(hop_ms=20, window_ms=40, fft_size=1024)
    profile = rates.profile([work, work], features, clip_samples=16000)
    front = 49 * 1024 * 10 * 0.1 / 1000
    assert profile.mean_us == pytest.approx([front + (3000 + 1000) / 1000] * 2)
    assert profile.name == "board" and profile.backend == "native"


def test_several_files_are_of_one_device(tmp_path):
    works = work_of("esc10-small")
    for index, cpu in enumerate(("board", "board", "other")):
        (tmp_path / f"{index}.json").write_text(json.dumps(bench_report(works, cpu=cpu)))
    assert OperatorRates.load([tmp_path / "0.json", tmp_path / "1.json"]).name == "board"
    with pytest.raises(ArgumentError, match=r"of different devices or settings \(board, native, 1 threads; other"):
        OperatorRates.load([tmp_path / "0.json", tmp_path / "2.json"])


def test_times_that_say_too_little(tmp_path):
    report = bench_report(work_of("esc10-small"))
    for changed, message in (
        ({**report, "work": None}, "the times of m.tflite do not say what was computed"),
        ({name: value for name, value in report.items() if name != "machine"}, "lacks 'machine': make it again"),
        ({"model": "x"}, "does not hold times of a device .it has no times.: python -m bnn_exit.bench MODEL --json"),
    ):
        path = tmp_path / "times.json"
        path.write_text(json.dumps(changed))
        with pytest.raises(DataError, match=message):
            OperatorRates.load([path])
    with pytest.raises(DataError, match="no such file"):
        OperatorRates.load([tmp_path / "none.json"])


def test_rates_go_through_json():
    rates = OperatorRates("board", NS, 0.1, 0.02)
    assert OperatorRates.from_dict(json.loads(json.dumps(rates.to_dict()))) == rates
    with pytest.raises(ArgumentError, match="layers is nan, but must be a time of at least 0"):
        OperatorRates("board", {**NS, "layers": math.nan}, 0.1)
