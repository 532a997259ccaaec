"""Stored windows against the stream: the same values, to the last bit, at every operating point."""

import numpy as np
import pytest
import tiny_files

from bnn_exit import GateSettings, ListeningPoint, Stream
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.runtime import session
from bnn_exit.runtime.backends import installed
from bnn_exit.streams import recorded
from bnn_exit.streams.recorded import listen, score
from bnn_exit.streams.replay import Replay

POINT = ListeningPoint(
    "made", operating_point="fast", thresholds={"yes": 0.3, "no": 0.3}, hop_ms=20, span_ms=60, refractory_ms=40
)
INSTALLED = [name for name in installed() if name != "lce"]


@pytest.fixture(params=[("log_mel", name) for name in INSTALLED] + [("waveform", "reference")])
def model(request, tmp_path):
    kind, backend = request.param
    (tmp_path / "model.tflite").write_bytes(tiny_files.adaptive_file(input=kind))
    return session.load(tmp_path / "model.tflite", backend=backend)


def recording(path, *, samples=12000, rate=16000, seed=0):
    generator = np.random.default_rng(seed)
    loud = np.repeat(generator.uniform(0, 0.5, -(-samples // 1000)), 1000)[:samples]
    wav.write(path, (loud * generator.uniform(-1, 1, samples)).astype(np.float32), sample_rate_hz=rate)
    return path


@pytest.mark.parametrize("rate", [16000, 44100])
def test_what_is_stored_is_what_a_stream_says(model, tmp_path, rate, monkeypatch):
    monkeypatch.setattr(recorded, "BLOCK", 3001)
    path = recording(tmp_path / "a.wav", samples=12000 * rate // 16000, rate=rate)
    stream = Stream(model, listening_point=POINT)
    windows = stream.windows(wav.read(path))
    found = listen(model, path, point=POINT)
    assert (found.name, found.rate_hz) == (str(path), rate) and len(found.windows) == len(windows) > 20
    assert found.seconds == len(wav.read(path)) / 16000
    assert found.events == tuple(window.event for window in windows if window.event) != ()
    assert found.cpu_s >= 0
    if rate == 16000:  # resampled blocks differ in their last bit
        np.testing.assert_array_equal(found.windows.probabilities, [window.probabilities for window in windows])
    np.testing.assert_allclose(
        found.windows.probabilities, [window.probabilities for window in windows], rtol=0, atol=1e-4
    )
    assert found.windows.exit_indices.tolist() == [window.exit_index for window in windows]
    assert Replay(found.windows, POINT, model.labels).events() == list(found.events)


@pytest.mark.parametrize("thresholds", [(0.0, 0.0), (0.3, 0.3), (0.1, 0.9), (0.0, 1000.0), (1000.0, 0.0)])
def test_every_exit_is_stored_once_for_all_thresholds(model, tmp_path, thresholds):
    path = recording(tmp_path / "a.wav")
    scored = score(model, path, hop_ms=20)
    windows = Stream(model, hop_ms=20, thresholds=thresholds).windows(wav.read(path))
    chosen = scored.windows.at(thresholds)
    np.testing.assert_array_equal(chosen.probabilities, [window.probabilities for window in windows])
    assert chosen.exit_indices.tolist() == [window.exit_index for window in windows]
    assert chosen.exit_counts(model.exits).tolist() == np.bincount(chosen.exit_indices, minlength=3).tolist()
    assert (chosen.hop_s, chosen.window_s) == (0.02, model.metadata.clip_samples / 16000)


def test_many_windows_go_to_a_file(model, tmp_path, monkeypatch):
    path = recording(tmp_path / "a.wav")
    before = score(model, path, hop_ms=20).windows.probabilities
    monkeypatch.setattr(recorded, "MEMORY", 100)
    after = score(model, path, hop_ms=20).windows.probabilities
    assert isinstance(after, np.memmap) and not isinstance(before, np.memmap)
    np.testing.assert_array_equal(before, after)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.wav", "model.tflite"]


def test_gated_windows_are_those_of_the_stream(model, tmp_path):
    path, gate = recording(tmp_path / "a.wav"), GateSettings(margin_db=4, hang_over_ms=0)
    if model.metadata.input == "waveform":
        with pytest.raises(ArgumentError, match="gate needs log-mel frames, but this file takes waveforms"):
            score(model, path, hop_ms=20, gate=gate)
        return
    windows = Stream(model, hop_ms=20, thresholds=(0.3, 0.5), gate=gate).windows(wav.read(path))
    chosen = score(model, path, hop_ms=20, gate=gate).windows.at((0.3, 0.5))
    assert chosen.exit_indices.tolist() == [window.exit_index for window in windows]
    assert 0 < (chosen.exit_indices == -1).sum() < len(chosen)
    np.testing.assert_array_equal(chosen.probabilities, [window.probabilities for window in windows])


def test_a_recording_shorter_than_a_window_is_told(model, tmp_path):
    path = recording(tmp_path / "short.wav", samples=300)
    for run in (lambda: listen(model, path, point=POINT), lambda: score(model, path, hop_ms=20)):
        with pytest.raises(DataError, match=r"short.wav lasts 0.02 s, less than a window of 0.0\d+ s"):
            run()


@pytest.mark.parametrize(("value", "what"), [(0.0, "only zeros"), (0.25, "the same value, 0.25, throughout")])
def test_a_constant_recording_is_warned_of(model, tmp_path, value, what):
    wav.write(tmp_path / "flat.wav", np.full(4000, value, np.float32), sample_rate_hz=16000)
    said = []
    listen(model, tmp_path / "flat.wav", point=POINT, warn=said.append)
    assert said == [f"warning: {tmp_path / 'flat.wav'} holds {what}: was the microphone on?"]


def test_nan_samples_are_told(model, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    samples = np.zeros(4000, np.float32)
    samples[2000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"nan.wav: the audio has 1 NaN or infinite samples"):
        listen(model, tmp_path / "nan.wav", point=POINT)
