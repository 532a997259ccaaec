"""The networks that ours are compared with, and the rule that says which is faster at equal accuracy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from audio_tasks.base import Task
from bnn_exit._keras import tf
from bnn_exit.models import profile
from bnn_exit.training import TrainConfig, fit

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ds_cnn
import int8_peers
import peer_timing


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a size that trains and converts in seconds."""
    monkeypatch.setitem(ds_cnn.SIZES, "tiny", ds_cnn.Size(8, (2, 2), (1, 1), 1))
    return "tiny"


@pytest.mark.parametrize(
    ("size", "parameters", "operations"), [("S", 24e3, 5.4e6), ("M", 140e3, 19.8e6), ("L", 420e3, 56.9e6)]
)
def test_sizes_are_those_of_the_paper(size: str, parameters: float, operations: float) -> None:
    network = ds_cnn.network(size, input_shape=(49, 10, 1), num_classes=12)
    assert network.count_params() == pytest.approx(parameters, rel=0.03)
    assert 2 * profile.cost(network).float_macs == pytest.approx(operations, rel=0.03)


def test_an_int8_file_is_int8_from_end_to_end(tiny: str) -> None:
    network = ds_cnn.network(tiny, input_shape=(20, 10, 1), num_classes=5)
    samples = np.random.default_rng(0).normal(size=(30, 20, 10, 1)).astype(np.float32)
    runner = peer_timing.Int8(ds_cnn.convert_int8(network, samples), tf.lite.Interpreter, samples)
    tensors = [tensor for tensor in runner.interpreter.get_tensor_details() if tensor["shape"].size]
    assert {np.dtype(tensor["dtype"]).name for tensor in tensors} == {"int8", "int32"}
    scales = {tuple(tensor["shape"]): len(tensor["quantization_parameters"]["scales"]) for tensor in tensors}
    assert scales[8, 10, 4, 1] == scales[1, 3, 3, 8] == 8  # a scale for each channel
    assert runner.is_delegated()
    float_labels = network.predict(samples, verbose=0).argmax(-1)
    assert np.mean(peer_timing.labels(runner, 30) == float_labels) > 0.8


def test_the_front_end_is_the_same_in_training_and_on_a_device() -> None:
    matrix = ds_cnn.cosine_matrix(40, 10)
    assert scipy.fft.dct(np.eye(40), norm="ortho")[:, :10] == pytest.approx(matrix, abs=1e-12)
    log_mel = np.random.default_rng(0).normal(-5, 3, size=(6, 7, 40)).astype(np.float32)
    layer = ds_cnn.Prepare(matrix)
    graph = layer(log_mel[..., None]).numpy()
    layer.adapt(log_mel)
    graph = layer(log_mel[..., None]).numpy()
    assert layer.numpy(log_mel) == pytest.approx(graph, abs=1e-4)
    assert graph.mean(axis=(0, 1, 3)) == pytest.approx(np.zeros(10), abs=1e-4)
    assert graph.std(axis=(0, 1, 3)) == pytest.approx(np.ones(10), abs=1e-4)


def test_the_training_loop_of_ours_trains_it(tiny: str, tone_task: Task) -> None:
    chosen = ds_cnn.Input(tone_task.features)
    model = ds_cnn.DsCnn(tiny, chosen, input_shape=tone_task.input_shape, num_classes=tone_task.num_classes)
    before = model.network.get_weights()
    history = fit(model, tone_task, config=TrainConfig(epochs=1, batch_size=8), progress=False)
    assert len(history[0]["validation_accuracy"]) == 1
    assert all(np.any(a != b) for a, b in zip(before, model.network.get_weights(), strict=True))
    log_mel = np.asarray(tone_task.log_mel("test"))
    from_prepared = model.network.predict(model.prepare.numpy(log_mel), verbose=0)
    assert model.logits(log_mel)[:, 0] == pytest.approx(from_prepared, abs=1e-3)


def test_masks_cover_the_same_share_of_another_input() -> None:
    augment = ds_cnn.INPUTS["mel10"].augment()
    assert (augment.time_mask_frames, augment.frequency_mask_mels) == (5, 1)  # of 49 x 10; 10 and 4 of 98 x 64
    assert ds_cnn.INPUTS["98x64"].augment().time_mask_frames == 10


class Fake:
    """ExitLogits a clip with its number plus an offset and notes what was asked of it."""

    def __init__(self, offset: int) -> None:
        self.offset, self.put_clips, self.invoked = offset, [], 0

    def put(self, clip: int) -> None:
        self.put_clips.append(clip)

    def invoke(self) -> None:
        self.invoked += 1

    def label(self) -> int:
        return self.put_clips[-1] + self.offset


def test_runners_take_turns_on_blocks_of_clips() -> None:
    runners = {"a": Fake(0), "b": Fake(100)}
    measured = peer_timing.measure_runners(runners, clips=5, rounds=2, block=4)
    assert measured["a"]["labels"].tolist() == [0, 1, 2, 3, 4]
    assert measured["b"]["labels"].tolist() == [100, 101, 102, 103, 104]
    # Each block starts with clips that are not timed.
    assert runners["a"].put_clips == 2 * [0, 1, 2, 0, 1, 2, 3, 4, 4]
    assert runners["b"].invoked == 18
    assert measured["a"]["network"]["minimum"] <= measured["a"]["call"]["mean"]


class Clockwork:
    """A network of 30 us and a front end of 10 us a clip and one, by a clock that nothing else moves."""

    def __init__(self) -> None:
        self.seconds, self.steps = 0.0, []
        self.front_end = peer_timing.FrontEnd(self._log_mel, np.arange(5, dtype=np.float32)[:, None])

    def _log_mel(self, samples: np.ndarray) -> None:
        self.steps.append(("front end", int(samples[0])))
        self.seconds += 1e-6 * (10 + samples[0])

    def put(self, clip: int) -> None:
        self.steps.append(("put", clip))
        self.seconds += 5e-6  # outside of both times

    def invoke(self) -> None:
        self.steps.append(("network", self.steps[-1][1]))
        self.seconds += 30e-6

    def label(self) -> int:
        return 0


def test_front_end_and_network_are_timed_on_the_same_clip_in_the_same_run() -> None:
    clockwork, other = Clockwork(), Fake(0)
    measured = peer_timing.measure_runners(
        {"a": clockwork, "b": other},
        clips=5,
        rounds=2,
        block=4,
        front_ends={"a": clockwork.front_end},
        clock=lambda: clockwork.seconds,
    )
    assert measured["a"]["network"]["mean"] == pytest.approx(30)
    assert measured["a"]["call"]["mean"] == pytest.approx(35)
    assert [measured["a"]["front_end"][name] for name in ("minimum", "mean")] == pytest.approx([10, 12])
    assert [measured["a"]["whole"][name] for name in ("minimum", "mean")] == pytest.approx([40, 42])
    assert set(measured["b"]) == {"labels", "network", "call"}
    # In each block the network alone, then the path: the front end, and the network on the same clip.
    alone = [(step, clip) for clip in (0, 1, 2, 0, 1, 2, 3) for step in ("put", "network")]
    path = [(step, clip) for clip in (0, 1, 2, 0, 1, 2, 3) for step in ("front end", "put", "network")]
    assert clockwork.steps[: len(alone) + len(path)] == alone + path


def settings(**figures: tuple[float, float]) -> dict:
    return {
        "settings": {
            name: {"accuracy": a, "network": {"mean": t}, "whole": {"mean": t + 40}} for name, (a, t) in figures.items()
        }
    }


def test_the_goal_compares_the_fastest_setting_that_is_as_accurate() -> None:
    ours = {"run": settings(first=(0.95, 60.0), last=(0.98, 150.0))}
    int8 = {
        "S": settings(LiteRT=(0.94, 50.0)),
        "M": settings(LiteRT=(0.98, 200.0), TFLite=(0.98, 160.0)),
        "L": settings(LiteRT=(0.99, 300.0)),
    }
    small, medium, large = int8_peers.bars(ours, int8)
    assert (small["met"], small["figure"], small["bar"]) == (False, "60.0 us, run first, 1.20 of the time", "< 50.0 us")
    assert (medium["met"], medium["figure"]) == (True, "150.0 us, run last, 0.94 of the time")
    assert medium["what"] == "M (98.00 %) in TFLite: mean time of ours at equal or better accuracy"
    assert (large["met"], large["figure"]) == (False, "none of ours is as accurate")
    small, medium, large = int8_peers.bars(ours, int8, by="whole")
    assert (small["figure"], small["bar"]) == ("100.0 us, run first, 1.11 of the time", "< 90.0 us")
    assert medium["figure"] == "190.0 us, run last, 0.95 of the time"
    assert medium["what"] == (
        "M (98.00 %) in TFLite: mean time of front end and network of ours at equal or better accuracy"
    )


def test_the_table_and_the_picture_show_the_network_and_the_whole_path(tmp_path: Path) -> None:
    def entry(**figures: tuple[float, float]) -> dict:
        values = settings(**figures)
        for each in values["settings"].values():
            each |= {"front_end": {"mean": 40.0}, "call": {"mean": each["network"]["mean"] + 2}}
        return {"bytes": 400_000, **values}

    ours, int8 = {"run": entry(**{"exit 1": (0.95, 60.0), "fast": (0.96, 70.0)})}, {"S": entry(LiteRT=(0.94, 50.0))}
    rows = int8_peers.table(ours, int8).splitlines()
    assert rows[2].split() == ["run", "exit", "1", "400", "95.00", "40.0", "60.0", "100.0", "62.0"]
    assert rows[4].split() == ["S", "LiteRT", "400", "94.00", "40.0", "50.0", "90.0", "52.0"]
    int8_peers.plot(tmp_path / "peers.png", ours, int8, title="made up")
    assert (tmp_path / "peers.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
