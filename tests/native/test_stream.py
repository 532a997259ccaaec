"""Streams of the C interface: their windows are what bnn_exit_classify says, whatever the chunks."""

import math

import numpy as np
import pytest
import tiny_files
from hypothesis import given, settings
from hypothesis import strategies as st
from native.compilers import needs_library
from native.native_stream import Classifier, Stream, echo

import bnn_exit
from bnn_exit.audio.resample import resample
from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint
from bnn_exit.runtime.stream import GATED

pytestmark = needs_library

CLIP = tiny_files.CLIP_SAMPLES
POINT = ListeningPoint(
    "balanced",
    operating_point="fast",
    thresholds={"yes": 0.3, "no": 0.3, "other": 0.3},
    hop_ms=20,
    span_ms=20,
    refractory_ms=20,
)
GATE = ListeningPoint(
    "gated",
    operating_point="balanced",
    thresholds={"no": 0.35, "other": 0.4},
    hop_ms=10,
    span_ms=50,
    min_count=2,
    of_count=3,
    refractory_ms={"other": 40, "no": 15},
    gate=GateSettings(margin_db=6, rise_db_per_s=20, hang_over_ms=60),
)


def noise(samples, seed=0, scale=0.5):
    return np.random.default_rng(seed).uniform(-scale, scale, samples).astype(np.float32)


def swells(samples, seed=0):
    """Noise whose level rises and falls."""
    envelope = 10 ** (np.sin(np.arange(samples) / 900 + seed) * 1.5 - 2)
    return (noise(samples, seed, 1) * envelope).astype(np.float32)


def file_of(kind, *points):
    meta = tiny_files.metadata(input=kind, listening_points={point.name: point for point in points})
    return tiny_files.adaptive_file(input=kind, meta=meta.to_json())


@pytest.fixture(scope="module")
def files():
    return {"log_mel": file_of("log_mel", POINT, GATE), "waveform": file_of("waveform", POINT)}


@pytest.fixture(scope="module")
def classifiers(files):
    return {kind: Classifier(data) for kind, data in files.items()}


@pytest.fixture(scope="module")
def sessions(files, tmp_path_factory):
    found = {}
    for kind, data in files.items():
        path = tmp_path_factory.mktemp("model") / "model.tflite"
        path.write_bytes(data)
        found[kind] = bnn_exit.load(path, backend="native")
    return found


def in_chunks(stream, samples, sizes):
    made, at = [], 0
    for size in [*sizes, len(samples)]:
        made += stream.windows(samples[at : at + size])
        at += size
    return made


def assert_same(windows, others):
    assert len(windows) == len(others)
    for window, other in zip(windows, others):
        assert (window.start_s, window.end_s, window.exit_index) == (other.start_s, other.end_s, other.exit_index)
        assert window.event == other.event
        np.testing.assert_array_equal(window.probabilities, other.probabilities)
        np.testing.assert_array_equal(window.score, other.score)


chunk_sizes = st.lists(st.integers(0, 900), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["log_mel", "waveform"]),
    hop_ms=st.sampled_from([10, 20, 70, 100]),  # the last two leave gaps between windows of 45 ms
    point=st.sampled_from(["full", "balanced", "fast"]),
    sizes=chunk_sizes,
    whole_numbers=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_window_says_what_classify_says_of_its_samples(classifiers, kind, hop_ms, point, sizes, whole_numbers, seed):
    classifier, samples = classifiers[kind], noise(4000, seed)
    if whole_numbers:
        samples = (samples * 32767).astype(np.int16)
    windows = in_chunks(Stream(classifier, hop_ms=hop_ms, operating_point=point), samples, sizes)
    hop = 16 * hop_ms
    assert len(windows) == 1 + (4000 - CLIP) // hop
    floats = samples / np.float32(32768) if whole_numbers else samples
    for number, window in enumerate(windows):
        alone = classifier.classify(floats[number * hop : number * hop + CLIP], point)
        np.testing.assert_array_equal(window.probabilities, alone.probabilities)
        assert (window.exit_index, window.score) == (alone.exit_index, alone.score)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["log_mel", "waveform"]),
    name=st.sampled_from(["balanced", "gated"]),
    hop_ms=st.sampled_from([0, 10, 20, 50]),
    sizes=chunk_sizes,
    lost=st.integers(0, 5000),
    seed=st.integers(0, 99),
)
def test_its_windows_and_events_are_those_of_the_python_stream(
    classifiers, sessions, kind, name, hop_ms, sizes, lost, seed
):
    if (kind, name) == ("waveform", "gated"):
        name = "balanced"
    ours = Stream(classifiers[kind], hop_ms=hop_ms, listening_point=name)
    theirs = bnn_exit.Stream(sessions[kind], hop_ms=hop_ms or None, listening_point=name)
    for part in range(2):
        samples = swells(8000, seed + part)
        assert_same(in_chunks(ours, samples, sizes), theirs.windows(samples))
        ours.reset(lost)
        theirs.reset(lost_samples=lost)


def test_these_streams_have_events_and_closed_gates(classifiers):
    windows = Stream(classifiers["log_mel"], listening_point="gated").windows(swells(16000))
    ran = [window.exit_index != GATED for window in windows]
    assert 10 < sum(ran) < len(ran) - 10
    assert sum(window.event is not None for window in windows) > 2
    for window in windows:
        if window.exit_index == GATED:
            assert not window.probabilities.any() and math.isnan(window.score)
    assert (
        sum(
            window.event is not None
            for window in Stream(classifiers["waveform"], listening_point="balanced").windows(swells(16000))
        )
        > 2
    )


@settings(max_examples=25, deadline=None)
@given(rate=st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000, 192000]), sizes=chunk_sizes)
def test_another_rate_does_not_depend_on_the_chunks(classifiers, rate, sizes):
    samples = noise(rate // 5, seed=rate)
    cut = in_chunks(Stream(classifiers["log_mel"], sample_rate_hz=rate, hop_ms=10), samples, sizes)
    assert len(cut) >= 14
    assert_same(cut, Stream(classifiers["log_mel"], sample_rate_hz=rate, hop_ms=10).windows(samples))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(8000, 16000), (44100, 16000), (48000, 16000), (192000, 8000), (8000, 192000), (11025, 22050), (16001, 16000)],
)
def test_the_resampler_is_that_of_the_package(from_hz, to_hz):
    samples = noise(from_hz // 4, seed=from_hz, scale=1)
    block = 50
    stream = Stream(echo(block, to_hz), sample_rate_hz=from_hz, hop_ms=1000 * block / to_hz)
    made = np.concatenate([window.probabilities for window in stream.windows(samples)])
    expected = resample(samples, from_hz=from_hz, to_hz=to_hz)
    waits = math.ceil(64 / 0.961 * max(1, to_hz / from_hz)) + 1  # half of the filter
    assert len(expected) - waits - block <= len(made) <= len(expected)
    np.testing.assert_allclose(made, expected[: len(made)], atol=1e-6)


def test_resampled_samples_do_not_depend_on_the_chunks():
    samples, classifier = noise(3000, seed=5, scale=1), echo(7, 192000)
    whole = Stream(classifier, sample_rate_hz=8000, hop_ms=7 / 192)
    cut = Stream(classifier, sample_rate_hz=8000, hop_ms=7 / 192)
    expected, made = whole.windows(samples), []
    for sample in samples:  # 24 outputs of one input: several windows in a call without samples
        made += cut.windows(np.array([sample]))
    assert len(expected) > 10_000
    assert_same(made, expected)


def test_samples_that_overflow_the_filter_stay_finite():
    samples = np.full(400, np.finfo(np.float32).max, np.float32) * np.resize([1, -1], 400).astype(np.float32)
    for window in Stream(echo(8), sample_rate_hz=24000, hop_ms=0.5).windows(samples):
        assert np.isfinite(window.probabilities).all()


def test_streams_of_one_classifier_keep_their_own_state(classifiers):
    classifier = classifiers["log_mel"]
    settings = [{"listening_point": "gated"}, {"listening_point": "balanced"}, {"sample_rate_hz": 48000, "hop_ms": 10}]
    streams = [Stream(classifier, **each) for each in settings]
    samples = [swells(9000, seed) for seed in range(3)]
    made = [[], [], []]
    for at in range(0, 9000, 333):
        for number in range(3):
            made[number] += streams[number].windows(samples[number][at : at + 333])
            classifier.classify(samples[number][:500], "fast")
    for number in range(3):
        assert_same(made[number], Stream(classifier, **settings[number]).windows(samples[number]))


def test_after_a_gap_it_starts_clean_and_time_goes_on(classifiers):
    stream = Stream(classifiers["log_mel"], sample_rate_hz=48000, hop_ms=10)
    stream.windows(noise(9001, seed=4))
    stream.reset(2999)
    after = stream.windows(noise(9000, seed=5))
    fresh = Stream(classifiers["log_mel"], sample_rate_hz=48000, hop_ms=10).windows(noise(9000, seed=5))
    assert after[0].start_s == 0.25 and len(after) == len(fresh)
    for window, other in zip(after, fresh):
        np.testing.assert_array_equal(window.probabilities, other.probabilities)
    with pytest.raises(ArgumentError, match=r"lost_samples is 18446744073709551615, but must be below 2\^53"):
        stream.reset(2**64 - 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_sample_that_is_not_finite_is_refused_and_nothing_taken(classifiers, bad):
    samples = noise(2000, seed=9)
    stream = Stream(classifiers["log_mel"], hop_ms=10)
    made = stream.windows(samples[:700])
    broken = samples[700:715].copy()
    broken[7] = bad
    with pytest.raises(ArgumentError, match="sample 7 is NaN or infinite, but all must be finite"):
        stream.push(broken)
    assert stream.used.value == 0
    made += stream.windows(samples[700:])
    assert_same(made, Stream(classifiers["log_mel"], hop_ms=10).windows(samples))


@pytest.mark.parametrize("count", [1, 3, 4, 15, 16, 17, 37])
def test_the_first_sample_that_is_not_finite_is_named_wherever_it_is(classifiers, count):
    # The largest and smallest floats are finite, and differ from the others by one bit.
    fine = np.resize(np.float32([3.4028235e38, -3.4028235e38, 1e-45, -0.0, 1.17549435e-38]), count)
    Stream(classifiers["log_mel"], hop_ms=10).push(fine)
    for place in range(count):
        for bad in (math.nan, -math.inf):
            broken = np.where(np.arange(count) < place, fine, np.float32(bad))
            with pytest.raises(ArgumentError, match=f"sample {place} is NaN or infinite"):
                Stream(classifiers["log_mel"], hop_ms=10).push(broken)


def test_settings_come_from_the_listening_point_unless_given(classifiers):
    classifier, samples = classifiers["log_mel"], noise(3000)
    assert classifier.listening_points() == ["balanced", "gated"]
    assert len(Stream(classifier).windows(samples)) == 1 + (3000 - CLIP) // 1600
    assert all(window.event is None for window in Stream(classifier).windows(samples))
    own = Stream(classifier, listening_point="balanced").windows(samples)
    assert len(own) == 1 + (3000 - CLIP) // 320 and {window.exit_index for window in own} == {0}
    point = Stream(classifier, listening_point="balanced", operating_point="full", hop_ms=30).windows(samples)
    assert len(point) == 1 + (3000 - CLIP) // 480 and {window.exit_index for window in point} == {2}
    given = Stream(classifier, listening_point="balanced", thresholds=[0, 1000]).windows(samples)
    assert {window.exit_index for window in given} == {1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hop_ms": 25}, "hop_ms is 25, but must be a multiple of the 10 ms from frame to frame: the nearest is 20"),
        ({"hop_ms": -1}, "hop_ms is -1, but must be above 0 and at most 60000"),
        ({"hop_ms": 60001}, "hop_ms is 60001, but must be above 0 and at most 60000"),
        ({"hop_ms": math.nan}, "hop_ms is nan, but must be above 0 and at most 60000"),
        ({"sample_rate_hz": 7999}, "sample_rate_hz is 7999, but must be from 8000 to 192000"),
        ({"sample_rate_hz": 192001}, "sample_rate_hz is 192001, but must be from 8000 to 192000"),
        ({"sample_rate_hz": -16000}, "sample_rate_hz is -16000, but must be from 8000 to 192000"),
        ({"listening_point": "balancd"}, "listening_point is 'balancd', but must be one of balanced, gated"),
        ({"operating_point": "fats"}, "operating_point is 'fats', but must be one of full, balanced, fast"),
        ({"thresholds": [0.5, math.nan]}, "threshold 1 is nan, but must be a finite number of at least 0"),
    ],
)
def test_a_setting_that_breaks_a_rule_is_refused(classifiers, settings, message):
    with pytest.raises(ArgumentError) as error:
        Stream(classifiers["log_mel"], **settings)
    assert str(error.value) == message


def test_a_file_without_listening_points_says_how_to_make_one():
    classifier = Classifier(tiny_files.adaptive_file())
    assert classifier.listening_points() == []
    with pytest.raises(
        ArgumentError, match=r"'x', but the file has none: python -m bnn_exit\.calibrate FILE --stream NEGATIVES --max"
    ):
        Stream(classifier, listening_point="x")


def test_a_gate_needs_log_mel_frames():
    with pytest.raises(ArgumentError, match="'gated' has a gate, which needs log-mel frames, but this file takes wave"):
        Stream(Classifier(file_of("waveform", GATE)), listening_point="gated")


def test_a_span_of_too_many_hops_is_refused():
    point = ListeningPoint("long", "full", {"w0": 0.5}, hop_ms=100, span_ms=60000)
    with pytest.raises(
        ArgumentError, match="span_ms of listening point 'long' is 60000, but must be at most 1000 hops"
    ):
        Stream(echo(8, points=[point]), listening_point="long", hop_ms=50)


def test_memory_and_operations_are_held_to_the_limits(files):
    data = files["log_mel"]
    for name, low, high in (("max_bytes", 1 << 15, 1 << 22), ("max_operations", 1 << 10, 1 << 22)):
        while high - low > 1:  # the least with which the file can be loaded
            middle = (low + high) // 2
            try:
                Classifier(data, **{name: middle})
                high = middle
            except ModelFileError:
                low = middle
        tight = Classifier(data, **{name: high})
        with pytest.raises(ModelFileError, match="this file needs more than"):
            Stream(tight)
        roomy = Classifier(data, **{name: high * 4})
        for _ in range(50):  # each stream is counted alone
            Stream(roomy)
        with pytest.raises(ModelFileError, match="this file needs more than"):
            Stream(roomy, sample_rate_hz=15999)  # 16000 phases of a filter
