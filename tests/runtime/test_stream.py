import gc
import math
import tracemalloc

import numpy as np
import pytest
import tiny_files
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit import GateSettings, ListeningPoint, Stream, Window
from bnn_exit.audio.resample import resample
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file import rewrite
from bnn_exit.model_file.listening_points import how_to_make_one
from bnn_exit.runtime import session
from bnn_exit.runtime.backends import installed
from bnn_exit.runtime.stream import GATED

INSTALLED = [name for name in installed() if name != "lce"]
CLIP = tiny_files.CLIP_SAMPLES
POINT = ListeningPoint(
    "balanced",
    operating_point="fast",
    thresholds={"yes": 0.3, "no": 0.3, "other": 0.3},
    hop_ms=20,
    span_ms=20,
    refractory_ms=20,
)


def noise(samples, seed=0, scale=0.5):
    return np.random.default_rng(seed).uniform(-scale, scale, samples).astype(np.float32)


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    found = {}
    for kind in ("log_mel", "waveform"):
        path = tmp_path_factory.mktemp("models") / f"{kind}.tflite"
        path.write_bytes(tiny_files.adaptive_file(input=kind))
        path.write_bytes(rewrite.with_points(path, {}, listening_points={"balanced": POINT}))
        found[kind] = path
    return found


@pytest.fixture(params=INSTALLED)
def model(request, paths):
    return session.load(paths["log_mel"], backend=request.param)


def in_chunks(stream, samples, sizes):
    made, at = [], 0
    for size in [*sizes, len(samples)]:
        made += stream.windows(samples[at : at + size])
        at += size
    return made


def assert_same(windows, others):
    assert [(w.start_s, w.end_s, w.exit_index, w.event) for w in windows] == [
        (w.start_s, w.end_s, w.exit_index, w.event) for w in others
    ]
    for window, other in zip(windows, others):
        np.testing.assert_array_equal(window.probabilities, other.probabilities)
        np.testing.assert_array_equal(window.score, other.score)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["log_mel", "waveform"]),
    backend=st.sampled_from(INSTALLED),
    hop_ms=st.sampled_from([10, 20, 70, 100]),  # the last two leave gaps between windows of 45 ms
    sizes=st.lists(st.integers(0, 900), max_size=12),
    whole_numbers=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_window_says_what_predict_says_of_its_samples(paths, kind, backend, hop_ms, sizes, whole_numbers, seed):
    model = session.load(paths[kind], backend=backend)
    samples = noise(4000, seed)
    if whole_numbers:
        samples = (samples * 32767).astype(np.int16)
    stream = Stream(model, hop_ms=hop_ms, operating_point="balanced", listening_point=POINT)
    windows = in_chunks(stream, samples, sizes)
    hop = 16 * hop_ms
    assert len(windows) == 1 + (4000 - CLIP) // hop
    for number, window in enumerate(windows):
        alone = model.predict(samples[number * hop : number * hop + CLIP], operating_point="balanced")
        np.testing.assert_array_equal(window.probabilities, alone.probabilities)
        assert (window.exit_index, window.score) == (alone.exit_index, alone.score)
        assert window.start_s == pytest.approx(number * hop / 16000)
        assert window.end_s == pytest.approx(window.start_s + CLIP / 16000)
    assert_same(windows, Stream(model, hop_ms=hop_ms, operating_point="balanced").windows(samples))


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_another_rate_is_resampled(model, rate):
    samples = noise(rate // 4, seed=1)
    windows = in_chunks(Stream(model, sample_rate_hz=rate, hop_ms=20), samples, [1, 500, 77])
    assert_same(windows, Stream(model, sample_rate_hz=rate, hop_ms=20).windows(samples))
    whole = Stream(model, hop_ms=20).windows(resample(samples, from_hz=rate, to_hz=16000))
    assert len(whole) - 2 <= len(windows) <= len(whole)
    for window, other in zip(windows, whole):
        np.testing.assert_allclose(window.probabilities, other.probabilities, atol=1e-3)


def test_events_are_those_of_its_windows(model):
    samples = noise(8000, seed=3)
    windows = Stream(model).windows(samples)
    events = [window.event for window in windows if window.event]
    assert events and Stream(model).push(samples) == events
    assert all(event.label in POINT.thresholds and event.probability >= 0.3 for event in events)


def test_after_a_gap_it_starts_clean_and_time_goes_on(model):
    stream = Stream(model, hop_ms=10)
    stream.push(noise(3000, seed=4))
    assert stream.time_s == 3000 / 16000
    stream.reset(lost_samples=1000)
    assert stream.time_s == 4000 / 16000
    after = stream.windows(noise(2000, seed=5))
    fresh = Stream(model, hop_ms=10).windows(noise(2000, seed=5))
    assert after[0].start_s == 0.25
    assert [w.exit_index for w in after] == [w.exit_index for w in fresh]
    for window, other in zip(after, fresh):
        np.testing.assert_array_equal(window.probabilities, other.probabilities)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_after_an_interruption_it_starts_clean_and_time_goes_on(model, monkeypatch, rate):
    stream, infer = Stream(model, hop_ms=10, sample_rate_hz=rate), model.infer
    calls = iter(range(9))

    def interrupted(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return infer(*arguments)

    monkeypatch.setattr(model, "infer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream.push(noise(3 * CLIP * rate // 16000, seed=4))
    monkeypatch.setattr(model, "infer", infer)
    after = stream.windows(noise(8000, seed=5))
    fresh = Stream(model, hop_ms=10, sample_rate_hz=rate).windows(noise(8000, seed=5))
    assert len(after) == len(fresh) and after[0].start_s == pytest.approx(3 * CLIP / 16000)
    for window, other in zip(after, fresh):
        np.testing.assert_array_equal(window.probabilities, other.probabilities)


def test_the_gate_keeps_silence_from_the_network(model, monkeypatch):
    settings = GateSettings(margin_db=9, hang_over_ms=0)
    quiet = noise(8000, seed=6, scale=0.001)
    samples = np.concatenate([quiet, noise(800, seed=7), quiet])
    windows = Stream(model, hop_ms=20, gate=settings).windows(samples)
    open_gate = Stream(model, hop_ms=20, gate=False).windows(samples)
    ran = [window.exit_index != GATED for window in windows]
    assert ran.count(True) <= 6 and all(ran[number] for number in (24, 25))
    for window, other in zip(windows, open_gate):
        if window.exit_index == GATED:
            assert not window.probabilities.any() and math.isnan(window.score)
        else:
            np.testing.assert_array_equal(window.probabilities, other.probabilities)


def test_memory_is_constant(model):
    stream = Stream(model, sample_rate_hz=48000)
    chunk = noise(4800, seed=8)

    def used():
        for _ in range(20):
            stream.push(chunk)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        used()
        first, later = used(), [used() for _ in range(5)][-1]
    finally:
        tracemalloc.stop()
    assert later - first < 50_000  # ten seconds of samples are 1.9 MB


def test_settings_come_from_the_file_unless_given(model):
    own = Stream(model)
    assert (own.hop_ms, own.operating_point, own.sample_rate_hz) == (20, "fast", 16000)
    other = Stream(model, hop_ms=30, operating_point="full", listening_point="balanced")
    assert (other.hop_ms, other.listening_point.hop_ms, other.operating_point) == (30, 30, "full")
    assert {window.exit_index for window in other.windows(noise(3000))} == {2}
    assert {window.exit_index for window in Stream(model, thresholds=[0, 1000]).windows(noise(3000))} == {1}


def test_a_file_without_a_listening_point_gives_windows_alone(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file())
    model = session.load(path, backend="reference")
    stream = Stream(model)
    assert stream.listening_point is None and stream.hop_ms == 100
    windows = stream.windows(noise(3000))
    assert windows and isinstance(windows[0], Window) and all(window.event is None for window in windows)
    with pytest.raises(ArgumentError) as found:
        Stream(model, listening_point="balanced")
    assert str(found.value) == f"listening point is 'balanced', but {path} has none: {how_to_make_one(path)}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hop_ms": 25}, "hop_ms is 25, but must be a multiple of the 10 ms from frame to frame: the nearest is 20"),
        ({"hop_ms": 0}, "hop_ms is 0, but must be a number above 0 and at most 60000"),
        ({"hop_ms": math.nan}, "hop_ms is nan, but must be a number above 0"),
        ({"hop_ms": 10**400}, "but must be a number above 0 and at most 60000"),
        ({"hop_ms": "20"}, "hop_ms is '20', but must be a number above 0 and at most 60000"),
        ({"gate": {"margin_db": 6}}, "gate is {'margin_db': 6}, but must be GateSettings, False for none, or True"),
        ({"sample_rate_hz": 7999}, "sample_rate_hz is 7999, but must be from 8000 to 192000"),
        ({"sample_rate_hz": 44100.5}, "sample_rate_hz is 44100.5, but must be a whole number"),
        ({"listening_point": "balancd"}, "listening point is 'balancd'"),
        ({"operating_point": "fats"}, "operating point is 'fats'"),
        ({"listening_point": ListeningPoint("x", "full", {"maybe": 0.5})}, "label of listening point 'x' is 'maybe'"),
    ],
)
def test_a_setting_that_breaks_a_rule_is_refused(model, settings, message):
    with pytest.raises(ArgumentError) as error:
        Stream(model, **settings)
    assert message in str(error.value)


@pytest.mark.parametrize("session", ["model.tflite", None])
def test_a_stream_is_of_a_session(session):
    with pytest.raises(ArgumentError, match=r"session is .*, but must be a Session: bnn_exit.load makes one of a file"):
        Stream(session)


def test_a_gate_needs_frames(paths):
    with pytest.raises(ArgumentError, match="gate needs log-mel frames, but this file takes waveforms"):
        Stream(session.load(paths["waveform"], backend="reference"), gate=True)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([0.1, np.nan], np.float32), "has 1 NaN or infinite samples"),
        (np.zeros((2, 2), np.float32), r"has shape (2, 2)"),
        (np.zeros(3, np.int32), "has dtype int32"),
        (np.full(3, 3000.0), "reaches 3000, but full scale is 1"),
        (b"abc", "is 3 bytes"),
    ],
)
def test_samples_that_cannot_be_used_are_refused_and_not_taken(model, samples, message):
    stream = Stream(model, hop_ms=10)
    first = stream.windows(noise(1000))
    with pytest.raises(ArgumentError) as error:
        stream.push(samples)
    assert message in str(error.value)
    assert_same(
        first + stream.windows(noise(1000, seed=1)),
        Stream(model, hop_ms=10).windows(np.concatenate([noise(1000), noise(1000, seed=1)])),
    )


def test_counts_and_times_may_be_numbers_of_numpy(model):
    stream = Stream(model, hop_ms=np.float32(20), sample_rate_hz=np.int64(16000))
    stream.reset(lost_samples=np.int64(8000))
    assert (stream.hop_ms, stream.time_s) == (20, 0.5)


@pytest.mark.parametrize("lost", [-1, 1.5, True])
def test_lost_samples_are_a_count(model, lost):
    with pytest.raises(ArgumentError, match=r"lost_samples is .*, but must be a whole number of at least 0"):
        Stream(model).reset(lost_samples=lost)


@pytest.mark.parametrize("kind", ["log_mel", "waveform"])
@pytest.mark.parametrize("backend", INSTALLED)
def test_given_samples_stay_as_they_are_and_may_change_afterwards(paths, backend, kind):
    model = session.load(paths[kind], backend=backend)
    samples = noise(3 * CLIP)
    samples.setflags(write=False)  # so that to write into it is an error
    whole = Stream(model, hop_ms=20).windows(samples)
    for use in (model.predict, model.log_mel, model.inputs):
        use(samples)
    assert resample(samples, from_hz=16000, to_hz=16000) is samples

    # A recorder fills one buffer again and again.
    stream, buffer, found = Stream(model, hop_ms=20), np.empty(700, np.float32), []
    for start in range(0, samples.size, buffer.size):
        part = samples[start : start + buffer.size]
        buffer[: part.size] = part
        found += stream.windows(buffer[: part.size])
        buffer[:] = np.nan
    assert len(found) == len(whole) > 1
    assert_same(found, whole)
