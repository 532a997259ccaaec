"""The detector and the gate of the C interface beside those of the package, on any sequence, to the last bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from native.compilers import needs_library
from native.native_stream import Classifier, Stream, echo
from tiny_files import FEATURES, FRAMES, adaptive_file, metadata

from bnn_exit.audio.waveform import fit_length
from bnn_exit.model_file.listening_points import SCORES, USUAL_SCORE, GateSettings, ListeningPoint
from bnn_exit.runtime.detector import Detector
from bnn_exit.runtime.gate import Gate
from bnn_exit.runtime.native_backend import FrontEnd
from bnn_exit.runtime.stream import GATED

pytestmark = needs_library

CLASSES = 4
HOP_MS = CLASSES / 16  # windows that touch, so that each has probabilities of its own


@st.composite
def listening_points(draw):
    labels = draw(st.lists(st.sampled_from(["w0", "w1", "w2", "w3"]), min_size=1, unique=True))
    times = st.floats(0, 8 * HOP_MS)
    of_count = draw(st.integers(1, 6))
    thresholds = st.one_of(st.sampled_from([0.125, 0.25, 0.5, 1.0]), st.floats(0.05, 1))
    return ListeningPoint(
        "p",
        operating_point="full",
        thresholds={label: draw(thresholds) for label in labels},
        hop_ms=HOP_MS * draw(st.sampled_from([1, 7])),  # the stream has its own
        span_ms=draw(st.floats(0.01, 6 * HOP_MS)),
        release=draw(st.floats(0, 1)),
        min_count=draw(st.integers(1, of_count)),
        of_count=of_count,
        refractory_ms=draw(st.one_of(times, st.fixed_dictionaries({label: times for label in labels}))),
        score=draw(st.sampled_from(list(SCORES))) if len(labels) < CLASSES else USUAL_SCORE,
    )


@settings(max_examples=200, deadline=None)
@given(point=listening_points(), seed=st.integers(0, 2**32 - 1), ties=st.booleans())
def test_events_are_those_of_the_python_detector(point, seed, ties):
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.full(CLASSES, 0.3), 120).astype(np.float32)
    if ties:
        rows = (np.round(rows * 4) / 4).astype(np.float32)
    classifier = echo(CLASSES, points=[point])
    windows = Stream(classifier, hop_ms=HOP_MS, listening_point="p").windows(rows.reshape(-1))
    labels = tuple(f"w{index}" for index in range(CLASSES))
    detector = Detector(ListeningPoint.from_dict({**point.to_dict(), "hop_ms": HOP_MS}), labels)
    assert len(windows) == len(rows)
    for row, window in zip(rows, windows):
        np.testing.assert_array_equal(window.probabilities, row)
        event = detector.push(row, exit_index=0, start_s=window.start_s, end_s=window.end_s)
        assert window.event == event


def test_such_sequences_make_events():
    point = ListeningPoint("p", "full", {"w0": 0.3, "w2": 0.4}, hop_ms=HOP_MS, span_ms=2 * HOP_MS, refractory_ms=0)
    rows = np.random.default_rng(0).dirichlet(np.full(CLASSES, 0.3), 120).astype(np.float32)
    windows = Stream(echo(CLASSES, points=[point]), hop_ms=HOP_MS, listening_point="p").windows(rows.reshape(-1))
    assert {window.event.label for window in windows if window.event} == {"w0", "w2"}


@settings(max_examples=60, deadline=None)
@given(
    margin=st.floats(0, 40),
    rise=st.floats(0.1, 100),
    hang_over=st.floats(0, 200),
    hop_ms=st.sampled_from([10, 30, 100]),
    seed=st.integers(0, 99),
)
def test_the_gate_opens_where_the_python_gate_does(margin, rise, hang_over, hop_ms, seed):
    gated = GateSettings(margin_db=margin, rise_db_per_s=rise, hang_over_ms=hang_over)
    point = ListeningPoint("p", "full", {"yes": 1.0}, gate=gated)
    classifier = Classifier(adaptive_file(meta=metadata(listening_points={"p": point}).to_json()))
    random = np.random.default_rng(seed)
    levels = np.repeat(10 ** random.uniform(-5, 0, 25), 480)
    samples = (random.uniform(-1, 1, levels.size) * levels).astype(np.float32)
    windows = Stream(classifier, hop_ms=hop_ms, listening_point="p").windows(samples)
    frames = FrontEnd(FEATURES).log_mel(fit_length(samples, samples.size))
    gate = Gate(gated, hop_s=FEATURES.hop_samples / 16000, window_frames=FRAMES)
    made = 0
    for number, window in enumerate(windows):
        end = number * hop_ms // 10 + FRAMES
        gate.push(frames[made:end])
        made = end
        assert (window.exit_index != GATED) == gate.is_open, number
