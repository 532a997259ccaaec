import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.runtime.detector import Detector, Event, LabelScores

LABELS = ("yes", "no", "unknown")


def point(**changes):
    return ListeningPoint(
        "p", operating_point="full", **{"thresholds": {"yes": 0.6, "no": 0.6}, "span_ms": 100, **changes}
    )


def events(point, rows, labels=LABELS):
    """Numbers of the windows that make an event, with its label. A window lasts a second, the hop is 100 ms."""
    detector = Detector(point, labels)
    made = [
        detector.push(row, exit_index=-1 if row is None else 0, start_s=n / 10, end_s=n / 10 + 1)
        for n, row in enumerate(rows)
    ]
    return [(number, event.label) for number, event in enumerate(made) if event]


def yes(*values):
    return [[value, 0.0, 1 - value] for value in values]


def test_an_event_tells_where_its_word_was():
    detector = Detector(point(span_ms=300, thresholds={"yes": 0.5}), LABELS)
    rows = yes(0.2, 0.9, 0.7)
    made = [detector.push(row, exit_index=n, start_s=n / 10, end_s=1 + n / 10) for n, row in enumerate(rows)]
    assert made[:2] == [None, None]
    assert made[2] == Event("yes", 0, 0.1, 1.1, 1.2, pytest.approx(0.6), 2)


def test_windows_before_the_start_count_as_zeros():
    assert events(point(span_ms=500), yes(1, 1, 1, 1)) == [(2, "yes")]  # 3 / 5 reaches 0.6


def test_the_threshold_itself_makes_an_event():
    assert events(point(), yes(0.59, 0.6)) == [(1, "yes")]


def test_a_label_without_a_threshold_makes_none():
    assert events(point(), [[0, 0, 1]] * 5) == []
    assert events(point(thresholds={"yes": 0.1}), [[0, 1, 0]] * 5) == []


def test_so_many_of_the_last_means_must_reach_the_threshold():
    rows = yes(0.7, 0, 0.7, 0, 0, 0.7, 0, 0.7, 0.7)
    assert events(point(min_count=3, of_count=4), rows) == [(8, "yes")]
    assert events(point(min_count=2, of_count=3, refractory_ms=1000), rows) == [(2, "yes")]


def test_the_refractory_time_counts_below_the_leave_threshold_alone():
    long_word = point(release=0.5, refractory_ms=200)
    # Stays above 0.3 for long, is below it for two windows in all, and is armed from the third on.
    rows = yes(0.9, 0.9, 0.4, 0.9, 0.1, 0.9, 0.1, 0.9)
    assert events(long_word, rows) == [(0, "yes"), (7, "yes")]


def test_a_release_of_zero_never_arms_a_label_again():
    assert events(point(release=0), yes(0.9, 0, 0, 0, 0.9, 0, 0.9)) == [(0, "yes")]


def test_each_label_has_a_refractory_time_of_its_own():
    rows = [[0.9, 0, 0], [0, 0.9, 0], [0, 0, 1], [0.9, 0, 0], [0, 0.9, 0], [0, 0, 1], [0, 0.9, 0]]
    by_label = point(refractory_ms={"yes": 100, "no": 300})
    assert events(by_label, rows) == [(0, "yes"), (1, "no"), (3, "yes"), (6, "no")]


def test_the_most_probable_label_makes_the_event_and_the_other_stays_armed():
    rows = [[0.65, 0.7, 0], [0.65, 0.7, 0]]
    assert events(point(), rows) == [(0, "no"), (1, "yes")]
    assert events(point(thresholds={"no": 0.5, "yes": 0.5}), [[0.5, 0.5, 0]]) == [(0, "yes")]


def test_a_window_behind_the_gate_counts_as_zeros():
    assert events(point(refractory_ms=100), [*yes(0.9), None, *yes(0.9)]) == [(0, "yes"), (2, "yes")]


def test_a_reset_forgets_the_windows_and_arms_every_label():
    detector = Detector(point(span_ms=200, refractory_ms=1000), LABELS)
    push = lambda value: detector.push([value, 0, 0], exit_index=0, start_s=0, end_s=1)  # noqa: E731
    assert push(0.7) is None and push(0.7) is not None and push(0.7) is None
    detector.reset()
    assert push(0.7) is None and push(0.7) is not None


def test_a_label_that_the_model_lacks_is_named_with_the_nearest():
    with pytest.raises(ArgumentError, match=r"label of listening point 'p' is 'yess'.*'yes'"):
        Detector(point(thresholds={"yess": 0.5}), LABELS)


def naive(point, rows):
    """The rule as the documentation words it, over all rows at once."""
    found, armed, below = [], dict.fromkeys(point.thresholds, True), dict.fromkeys(point.thresholds, 0)
    history = {label: [] for label in point.thresholds}
    span = point.windows
    for n in range(len(rows)):
        candidates = []
        for label in [each for each in LABELS if each in point.thresholds]:
            index, threshold = LABELS.index(label), point.thresholds[label]
            total = 0.0
            for row in [[0.0] * 3] * max(0, span - n - 1) + rows[max(0, n - span + 1) : n + 1]:
                total += float(np.float32(row[index]))
            mean = total / span
            history[label].append(mean >= threshold)
            if not armed[label]:
                below[label] += mean < threshold * point.release
                if below[label] == point.refractory_windows(label):
                    armed[label] = True
            elif history[label][-1] and sum(history[label][-point.of_count :]) >= point.min_count:
                candidates.append((-mean, index, label))
        if candidates:
            label = min(candidates)[2]
            found.append((n, label))
            armed[label], below[label] = False, 0
    return found


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), max_size=40),
    thresholds=st.dictionaries(st.sampled_from(LABELS), st.floats(0.05, 1), min_size=1),
    span_ms=st.sampled_from([1, 100, 149, 150, 500]),
    release=st.floats(0, 1),
    counts=st.tuples(st.integers(1, 5), st.integers(0, 4)),
    refractory_ms=st.sampled_from([0, 100, 250, 1000]),
)
def test_events_are_those_of_the_rule_in_plain_words(rows, thresholds, span_ms, release, counts, refractory_ms):
    least, more = counts
    settings = point(
        thresholds=thresholds,
        span_ms=span_ms,
        release=release,
        min_count=least,
        of_count=least + more,
        refractory_ms=refractory_ms,
    )
    single = [np.array(row, np.float32) for row in rows]
    assert events(settings, single) == naive(settings, rows)


def test_a_rounded_span_is_the_same_in_every_language():
    assert [point(span_ms=span).windows for span in (1, 49, 50, 149, 150, 250)] == [1, 1, 1, 1, 2, 3]


def test_a_score_against_background_leaves_the_other_words_out():
    settings = point(thresholds={"yes": 0.7, "no": 0.7}, score="against_background")
    scores = LabelScores(settings, LABELS)
    background = LABELS.index(next(label for label in LABELS if label not in settings.thresholds))
    row = np.zeros(len(LABELS), np.float32)
    row[LABELS.index("yes")], row[LABELS.index("no")], row[background] = 0.5, 0.375, 0.125
    np.testing.assert_array_equal(scores.of(row), [0.5 / 0.625, 0.375 / 0.5])
    # Neither word is probable enough by itself.
    assert events(settings, [row]) == [(0, "yes")]
    assert events(dataclasses.replace(settings, score="probability"), [row]) == []
    # Nothing to compare: no event, and no division by zero.
    np.testing.assert_array_equal(scores.of(np.zeros(len(LABELS), np.float32)), [0, 0])


def test_a_score_against_background_needs_background():
    whole = point(thresholds=dict.fromkeys(LABELS, 0.5), score="against_background")
    with pytest.raises(ArgumentError, match="score of listening point 'p' is 'against_background', but every label"):
        Detector(whole, LABELS)
    with pytest.raises(ArgumentError, match="score is 'odds', but must be one of against_background, probability"):
        point(score="odds")
