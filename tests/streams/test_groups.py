import pytest

from bnn_exit.streams.counts import Truth
from bnn_exit.streams.groups import Groups
from bnn_exit.streams.transcripts import Utterance


def test_speakers_are_groups_across_recordings_and_the_rest_is_the_recording():
    truths = [
        Truth(100.0, (), (Utterance(0, 40, "ann"), Utterance(40, 70, "bob"))),
        Truth(50.0, (), (Utterance(0, 50, "ann"),)),
        Truth(3600.0),
    ]
    groups = Groups.of(truths)
    assert groups.names == ("speaker ann", "speaker bob", "recording 1", "recording 3") and groups.kind == "speakers"
    assert (groups.hours * 3600).tolist() == pytest.approx([90, 30, 30, 3600])
    times = [(0, 0.0), (0, 39.9), (0, 40.0), (0, 99.0), (1, 50.0), (1, 20.0), (2, 7.0)]
    assert groups.count(times).tolist() == [4, 1, 1, 1]


def test_without_speakers_a_recording_is_a_group():
    groups = Groups.of([Truth(10.0, (), (Utterance(0, 5),)), Truth(20.0)])
    assert (groups.names, groups.kind, len(groups)) == (("recording 1", "recording 2"), "recordings", 2)
    assert groups.count([(1, 3.0)]).tolist() == [0, 1]
    assert groups.hours.sum() == pytest.approx(30 / 3600)


def test_a_second_in_which_two_speak_counts_once():
    both = Truth(100.0, (), (Utterance(0, 60, "ann"), Utterance(10, 20, "bob"), Utterance(50, 80, "cid")))
    groups = Groups.of([both])
    assert groups.names == ("speaker ann", "speaker cid", "recording 1")
    assert (groups.hours * 3600).tolist() == pytest.approx([60, 20, 20])
    assert groups.count([(0, 15.0), (0, 55.0), (0, 60.0), (0, 90.0)]).tolist() == [2, 1, 1]
    # As many rows of one hour as a bound needs groups make no more than an hour.
    twelve = Truth(3600.0, (), tuple(Utterance(0, 3600, f"speaker {number}") for number in range(12)))
    assert Groups.of([twelve]).hours.tolist() == [1.0]


def test_what_is_said_beyond_a_recording_makes_no_hours():
    groups = Groups.of([Truth(100.0, (), (Utterance(90, 130, "ann"), Utterance(200, 300, "bob")))])
    assert groups.names == ("speaker ann", "recording 1")
    assert (groups.hours * 3600).tolist() == pytest.approx([10, 90])
