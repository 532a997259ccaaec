import pytest

from bnn_exit.runtime.detector import Event
from bnn_exit.streams.counts import Truth, count, hours
from bnn_exit.streams.labelled import Word
from bnn_exit.streams.transcripts import Utterance


def event(label, time_s):
    return Event(label, 0, time_s - 1.2, time_s - 0.2, time_s, 0.9, 0)


TRUTHS = [
    Truth(600.0, (Word("yes", 10.0, 10.5), Word("no", 20.0, 20.4), Word("yes", 30.0, 30.5))),
    Truth(1200.0, (), (Utterance(0, 60, "ann", ("no", "way")), Utterance(60, 120, "bob"))),
]
EVENTS = [
    [event("yes", 10.8), event("yes", 11.2), event("no", 20.3), event("up", 30.6)],
    [event("no", 30.0), event("no", 40.0), event("no", 80.0), event("yes", 500.0)],
]


def test_every_event_is_a_hit_a_spoken_hit_or_a_false_accept():
    found = count(EVENTS, TRUTHS, labels=["yes", "no", "up"])
    assert found.words == {"yes": 2, "no": 1} and found.hits == {"yes": 1, "no": 1}
    assert found.spoken == {"no": 1} and found.spoken_hits == {"no": 1}
    # A second event of a word, one beside a word, and one of another label.
    assert found.false_accepts == {"yes": 2, "up": 1, "no": 2} and found.false == 5
    assert found.false_accepts_transcribed == 1
    assert found.delays_s == pytest.approx([0.3, -0.1])
    assert found.recall == pytest.approx(2 / 3)
    assert [number for number, _ in found.false_times] == [0, 0, 1, 1, 1]
    assert [time for _, time in found.false_times] == pytest.approx([10.5, 29.9, 39.3, 79.3, 499.3])
    total = sum(map(len, EVENTS))
    assert sum(found.hits.values()) + sum(found.spoken_hits.values()) + found.false == total


def test_without_words_every_event_is_a_false_accept():
    found = count(EVENTS, [Truth(600.0), Truth(1200.0)], labels=["yes", "no", "up"])
    assert found.false == 8 and found.recall is None and found.delays_s == []


def test_the_tolerance_is_that_of_words_and_utterances():
    found = count(EVENTS, TRUTHS, labels=["yes", "no", "up"], tolerance_s=0.1)
    assert found.hits == {"no": 1}


def test_hours_with_a_transcript_are_part_of_all():
    assert hours(TRUTHS) == pytest.approx((0.5, 60 / 3600))
    # Twice the same row, and what lies beyond the recording, are no further hours.
    twice = (Utterance(0, 60, words=("no",)), Utterance(0, 60, words=("no",)), Utterance(590, 700, words=("way",)))
    assert hours([Truth(600.0, (), twice)]) == pytest.approx((600 / 3600, 70 / 3600))
