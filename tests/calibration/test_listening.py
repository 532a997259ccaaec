"""Thresholds for streams, chosen on made-up windows whose words and clusters are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bnn_exit import ListeningPoint
from bnn_exit.calibration.listening import (
    LEVELS,
    Limits,
    Recordings,
    choose_exits,
    choose_threshold,
    counts_at,
)
from bnn_exit.calibration.rates import passed, rate_tests
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.policies import rule
from bnn_exit.streams.counts import Truth
from bnn_exit.streams.groups import Groups
from bnn_exit.streams.labelled import Word
from bnn_exit.streams.windows import ExitWindows

LABELS = ("unknown", "yes", "no")
COSTS = (Cost(0, 10), Cost(0, 20), Cost(0, 40))
POINT = ListeningPoint(
    "made", operating_point="full", thresholds={"yes": 0.5, "no": 0.5}, span_ms=200, refractory_ms=500
)
ABOUT = {"point": POINT, "labels": LABELS}


def stream(seconds, *, words=(), false=(), seed=0, spoilt=()):
    """Windows that score as a rejecting policy does: background has a score below 1, anything else 1.

    `false` is (second, height) of what looks like a word; a word of `spoilt` looks like background to exit 1.
    """
    generator = np.random.default_rng(seed)
    count = int(seconds * 10) - 9
    shares = np.zeros((count, 3, 3), np.float32)
    likeness = generator.uniform(0, 0.1, (count, 3))

    def put(second, height, label, exits=(0, 1, 2)):
        first = max(0, int(second * 10) - 9)
        for exit_index in exits:
            likeness[first : first + 4, exit_index] = height
            column[first : first + 4] = label

    column = np.ones(count, int)
    for second, height in false:
        put(second, height, 1)
    truths = []
    for number, (second, label) in enumerate(words):
        put(second + 0.5, 0.97, LABELS.index(label), exits=(1, 2) if number in spoilt else (0, 1, 2))
        truths.append(Word(label, second, second + 0.5))
    rows = np.arange(count)
    for exit_index in range(3):
        shares[rows, exit_index, column] = likeness[:, exit_index]
        shares[:, exit_index, 0] = 1 - likeness[:, exit_index]
    background = shares[:, :, 0]
    scores = np.where(background > 0.5, 1 - background, 1.0).astype(np.float32)
    return ExitWindows(shares, scores, np.zeros(count, bool), 0.1, 1.0), Truth(float(seconds), tuple(truths))


def recordings(*streams):
    return Recordings([windows for windows, _ in streams], [truth for _, truth in streams])


@pytest.fixture(scope="module")
def positives():
    words = [(5.0 + 4 * number, ("yes", "no")[number % 2]) for number in range(50)]
    return recordings(stream(210, words=words, spoilt=(3,)))


@pytest.fixture(scope="module")
def negatives():
    generator = np.random.default_rng(1)
    made = []
    for seed in range(24):
        times = 10 + 40 * np.arange(20)
        heights = generator.beta(5, 4, 20)
        made.append(stream(900, false=list(zip(times.tolist(), heights.tolist(), strict=True)), seed=seed))
    return recordings(*made)


def test_exits_are_as_bold_as_the_words_allow(positives):
    # One word of fifty looks like background to exit 1, whose score there is below 0.1: bold thresholds lose it.
    keep = choose_exits(positives, **ABOUT, highest=1.0, recall_loss=0.0)
    lose = choose_exits(positives, **ABOUT, highest=1.0, recall_loss=0.02)
    assert keep[0] < lose[0] == 1.0 and keep[1] == 1.0
    windows = positives.windows[0]
    assert (rule.exit_indices(windows.scores, keep) == 0).mean() < (rule.exit_indices(windows.scores, lose) == 0).mean()

    def hits(thresholds):
        found = counts_at(positives, thresholds, **ABOUT, levels=[0.5, 0.9], tolerance_s=1.0)
        return [sum(each.hits.values()) for each in found]

    assert hits((0.0, 0.0)) == hits(keep) == [50, 50] and hits(lose) == [49, 49]
    # The first tries are a factor of 1.58 apart; what is found is within 3 % of the boldest.
    assert min(hits((1.03 * keep[0], 0.0))) == 49


def test_the_loosest_threshold_that_keeps_the_counted_rate_has_the_most_hits(negatives, positives):
    choice = choose_threshold(*(negatives, positives, (1.0, 1.0)), **ABOUT, costs=COSTS, limits=Limits(2.0))
    counts = counts_at(negatives, (1.0, 1.0), **ABOUT, levels=LEVELS, tolerance_s=1.0)
    hours = 24 * 900 / 3600
    false = {level: each.false for level, each in zip(LEVELS, counts, strict=True)}
    assert choice.test.events == false[choice.threshold] <= 2.0 * hours and not choice.guaranteed
    assert choice.test.hours == pytest.approx(hours) and (choice.groups, choice.kind) == (24, "recordings")
    assert choice.recall == pytest.approx(0.98) and choice.full_recall == 1.0 and choice.words == 50
    # Of equally many hits, the strictest: looser ones would only add false accepts.
    looser = LEVELS[: LEVELS.index(choice.threshold)]
    found = counts_at(positives, (1.0, 1.0), **ABOUT, levels=looser, tolerance_s=1.0)
    assert all(sum(each.hits.values()) < 49 for each in found)
    assert choice.exit_shares[0] > 0.9 and 1 <= choice.relative_ops < 1.4 and choice.delay_s <= 0.5


def test_with_a_confidence_the_path_ends_where_a_test_fails(negatives, positives):
    limits = Limits(3.0, confidence=0.9)
    choice = choose_threshold(*(negatives, positives, (1.0, 1.0)), **ABOUT, costs=COSTS, limits=limits)
    counts = counts_at(negatives, (1.0, 1.0), **ABOUT, levels=LEVELS, tolerance_s=1.0)
    groups = Groups.of(negatives.truths)
    table = [groups.count(each.false_times) for each in counts]
    tests = rate_tests(table, groups.hours, limit_per_hour=3.0, confidence=0.9)
    steps = passed(tests, confidence=0.9)
    assert 0 < steps < len(LEVELS) and choice.threshold in LEVELS[:steps] and choice.guaranteed
    assert choice.test.p_value <= 0.1 and choice.test.bound_per_hour <= 3.0 + 1e-9
    alone = choose_threshold(negatives, None, (1.0, 1.0), **ABOUT, costs=COSTS, limits=limits)
    assert alone.threshold == LEVELS[steps - 1] and alone.recall is None and alone.words == 0


def test_too_few_hours_are_told_with_those_that_would_do(negatives, positives):
    with pytest.raises(
        DataError,
        match=r"at most 0.1 false accepts an hour, confidence 0.95: 6.00 hours are too few to show it; even without a "
        r"false accept it takes 30.0 hours \(leave --confidence out",
    ):
        choose_threshold(*(negatives, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=Limits(0.1, confidence=0.95))


def test_a_threshold_that_cannot_be_strict_enough_is_told(positives):
    certain = recordings(*(stream(900, false=[(50, 1.0), (100, 1.0), (300, 1.0)], seed=seed) for seed in range(24)))
    with pytest.raises(
        DataError,
        match=r"0.95: the strictest threshold has 72 in 6.00 hours, whose bound is 1\d\.\d+ an hour",
    ):
        choose_threshold(*(certain, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=Limits(1.0, confidence=0.95))
    with pytest.raises(DataError, match=r"at most 1 false accepts an hour: the strictest threshold has 72 in 6"):
        choose_threshold(*(certain, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=Limits(1.0))


def test_few_recordings_do_not_show_clusters(positives):
    one = recordings(stream(20_000))
    with pytest.raises(DataError, match=r"1 groups \(speakers or recordings\) are too few"):
        choose_threshold(*(one, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=Limits(1.0, confidence=0.95))


def test_a_delay_is_kept_or_told(negatives, positives):
    free = choose_threshold(*(negatives, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=Limits(10.0))
    quick = dataclasses.replace(Limits(10.0), delay_ms=1000 * free.delay_s)
    assert choose_threshold(*(negatives, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=quick) == free
    with pytest.raises(DataError, match=r"no threshold has 95 % of the hits within -900 ms of the end of the word"):
        choose_threshold(*(negatives, positives, (0.0, 0.0)), **ABOUT, costs=COSTS, limits=Limits(10.0, delay_ms=-900))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"false_accepts_per_hour": 0.0}, "max_false_accepts_per_hour is 0.0, but must be above 0, such as 0.5"),
        ({"false_accepts_per_hour": 1.0, "confidence": 2.0}, "confidence is 2.0, but must be above 0 and below 1"),
        ({"false_accepts_per_hour": 1.0, "delay_ms": 1e9}, "max_delay_ms is 1000000000.0, but must be from -60000"),
        ({"false_accepts_per_hour": 1.0, "recall_loss": 1.5}, "max_recall_loss is 1.5, but must be from 0 to 1"),
    ],
)
def test_limits_out_of_range_are_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Limits(**settings)
