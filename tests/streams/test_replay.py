"""The detector on stored windows against the detector itself."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit import ListeningPoint
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import SCORES
from bnn_exit.runtime.detector import Detector
from bnn_exit.runtime.stream import GATED
from bnn_exit.streams.replay import Replay, shifted, with_threshold
from bnn_exit.streams.windows import Windows

LABELS = ("yes", "no", "unknown", "up")


def made(count, seed, *, gated=0.0, hop_s=0.1, window_s=1.0):
    """Random walks of probabilities, so that labels rise and fall as they do in sound."""
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.normal(0, 1.2, (count, len(LABELS))), axis=0)
    logits = 3 * np.sin(walk / 2)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    exits = generator.integers(0, 3, count)
    closed = generator.random(count) < gated
    probabilities[closed], exits[closed] = 0, GATED
    return Windows(probabilities.astype(np.float32), exits.astype(np.int16), hop_s, window_s)


def detected(windows, point):
    detector, events = Detector(point, LABELS), []
    for number in range(len(windows)):
        start_s = number * windows.hop_s
        event = detector.push(
            None if windows.exit_indices[number] == GATED else windows.probabilities[number],
            exit_index=int(windows.exit_indices[number]),
            start_s=start_s,
            end_s=start_s + windows.window_s,
        )
        events += [] if event is None else [event]
    return events


POINTS = st.builds(
    lambda thresholds, span, counts, release, refractory, score: ListeningPoint(
        "made",
        operating_point="full",
        thresholds=dict(zip(("up", "yes", "no"), thresholds, strict=True)),
        span_ms=span,
        min_count=min(counts),
        of_count=max(counts),
        release=release,
        refractory_ms=refractory,
        score=score,
    ),
    st.tuples(*[st.sampled_from([0.05, 0.2, 0.3, 0.5, 0.9])] * 3),
    st.sampled_from([100, 300, 500, 1000]),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 200.0, 1000.0, {"up": 100.0, "yes": 1500.0, "no": 300.0}]),
    st.sampled_from(list(SCORES)),
)


@given(POINTS, st.integers(0, 250), st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_the_events_are_those_of_the_detector_to_the_last_bit(point, count, seed, gated):
    windows = made(count, seed, gated=gated)
    replay = Replay(windows, point, LABELS)
    assert replay.events() == detected(windows, point)
    # The same means serve other thresholds, counts and refractory times.
    other = dataclasses.replace(with_threshold(point, 0.4), min_count=1, of_count=1, refractory_ms=400)
    assert replay.events(other) == detected(windows, other)


def test_a_recording_in_which_a_label_never_falls_has_one_event():
    windows = Windows(np.full((500, 4), 0.9, np.float32), np.zeros(500, np.int16), 0.1, 1.0)
    point = ListeningPoint("made", operating_point="full", thresholds={"yes": 0.5})
    assert len(Replay(windows, point, LABELS).events()) == len(detected(windows, point)) == 1


def test_a_refractory_time_longer_than_a_piece_is_waited_for():
    values = np.zeros((900, 4), np.float32)
    values[[5, 700, 800], 0] = 1.0
    windows = Windows(values, np.zeros(900, np.int16), 0.1, 1.0)
    point = ListeningPoint("made", operating_point="full", thresholds={"yes": 0.5}, span_ms=100, refractory_ms=70_000)
    assert [event.time_s for event in Replay(windows, point, LABELS).events()] == pytest.approx([1.5, 81.0])
    assert Replay(windows, point, LABELS).events() == detected(windows, point)


def test_thresholds_move_on_the_logit_scale():
    point = ListeningPoint("made", operating_point="full", thresholds={"yes": 0.5, "no": 0.9, "up": 1.0})
    stricter = shifted(point, 1.0).thresholds
    assert stricter["yes"] == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert stricter["no"] == pytest.approx(1 / (1 + np.exp(-1.0) / 9)) and stricter["up"] == 1.0
    assert shifted(shifted(point, 2.0), -2.0).thresholds["no"] == pytest.approx(0.9)
    assert shifted(point, 0) is point
    assert min(shifted(point, -100.0).thresholds.values()) > 0 and max(shifted(point, 100.0).thresholds.values()) == 1


def test_a_point_that_does_not_fit_the_means_is_refused():
    windows = made(20, 0)
    point = ListeningPoint("made", operating_point="full", thresholds={"yes": 0.5})
    with pytest.raises(ArgumentError, match="hop_ms is 50, but the windows are 100 ms apart"):
        Replay(windows, dataclasses.replace(point, hop_ms=50.0), LABELS)
    replay = Replay(windows, point, LABELS)
    with pytest.raises(ArgumentError, match="span_ms is 300, but the means are of another"):
        replay.events(dataclasses.replace(point, span_ms=300))
    with pytest.raises(ArgumentError, match="score is against_background, but the means are of probability"):
        replay.events(dataclasses.replace(point, score="against_background"))
    with pytest.raises(ArgumentError, match="thresholds are of other labels"):
        replay.events(dataclasses.replace(point, thresholds={"no": 0.5}))
