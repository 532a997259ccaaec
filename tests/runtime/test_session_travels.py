"""A session can be copied and sent to another process, and says what it left out of a clip."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import tiny_files as tiny

from bnn_exit.errors import ArgumentError
from bnn_exit.runtime import session as sessions
from bnn_exit.runtime.backends import installed

CLIP = np.random.default_rng(0).normal(0, 0.1, tiny.CLIP_SAMPLES).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file())
    return path


@pytest.mark.parametrize("backend", [name for name in installed() if name != "lce"])
def test_a_copy_answers_as_the_original(path, backend):
    session = sessions.load(path, backend=backend, threads=2)
    path.unlink()  # it travels with its bytes
    for other in (copy.copy(session), copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
        assert (other.backend, other._threads, other.metadata) == (backend, 2, session.metadata)
        assert other.model_file.path == path
        np.testing.assert_array_equal(other.predict(CLIP).probabilities, session.predict(CLIP).probabilities)
    assert len(pickle.dumps(session)) < len(session.model_file.data) + 1000


@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_a_session_is_sent_to_another_process(path, start):
    session = sessions.load(path)
    with multiprocessing.get_context(start).Pool(1) as pool:
        found = pool.map(session.predict, [CLIP, CLIP[::-1].copy()])
    for clip, prediction in zip([CLIP, CLIP[::-1]], found):
        assert prediction.score == session.predict(clip).score


def test_what_is_left_out_of_a_long_clip_is_told(path):
    session = sessions.load(path)
    assert session.predict(CLIP).left_out_s == session.predict(CLIP[:100]).left_out_s == 0
    assert session.predict(np.tile(CLIP, 3)).left_out_s == pytest.approx(2 * tiny.CLIP_SAMPLES / 16000)
    assert session.predict(np.tile(CLIP, 3), sample_rate_hz=48000).left_out_s == 0
    assert session.predict(np.tile(CLIP, 4), sample_rate_hz=48000.0).left_out_s == pytest.approx(240 / 16000)


@pytest.mark.parametrize(
    ("waveform", "options", "message"),
    [
        ("clip.wav", {}, "waveform is 'clip.wav', .*: read a file with bnn_exit.audio.wav.read"),
        (b"\0" * 320, {}, r"waveform is 320 bytes, .*: np.frombuffer\(data, np.int16\) makes one"),
        (0.5, {}, "waveform is 0.5, but must be an array of samples"),
        (CLIP, {"thresholds": 0.5}, r"thresholds is a single number \(0.5\), but must be a list of 2"),
        (CLIP, {"sample_rate_hz": 44100.5}, "sample_rate_hz is 44100.5, but must be a whole number of Hz"),
        (CLIP, {"sample_rate_hz": float("nan")}, "sample_rate_hz is nan, but must be a whole number of Hz"),
        ("clip.wav", {"sample_rate_hz": 44100}, "waveform is 'clip.wav'"),
    ],
)
def test_what_stands_in_place_of_an_array_is_named(path, waveform, options, message):
    session = sessions.load(path)
    with pytest.raises(ArgumentError, match=message):
        session.predict(waveform, **options)
    assert session.predict(CLIP, sample_rate_hz=44100.0).label == session.predict(CLIP, sample_rate_hz=44100).label
