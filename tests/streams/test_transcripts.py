import dataclasses

import pytest

from bnn_exit.errors import DataError
from bnn_exit.streams.transcripts import (
    Utterance,
    read_utterances,
    spelled,
    spoken_hits,
    spoken_words,
    transcribed_s,
)

HEAD = "stream\tstart\tsamples\tspeaker\tutterance\ttranscript\n"


@dataclasses.dataclass(frozen=True)
class Made:
    label: str
    time_s: float


def read(tmp_path, text, *, head=HEAD, rates=(16000, 8000), needs=None):
    (tmp_path / "utterances.tsv").write_text(head + text, encoding="utf-8")
    return read_utterances(
        tmp_path / "utterances.tsv",
        files=[tmp_path / "a.ogg", tmp_path / "b.ogg"],
        rates_hz=list(rates),
        needs=needs,
    )


def test_utterances_are_read_in_seconds_of_their_own_file(tmp_path):
    found = read(
        tmp_path, "b.ogg\t8000\t4000\tann\tu2\tGo, go on!\na.ogg\t0\t16000\tbob\tu1\t\nother.ogg\t0\t1\tx\tu\ty\n"
    )
    assert found == [(Utterance(0, 1, "bob"),), (Utterance(1, 1.5, "ann", ("go", "go", "on")),)]
    assert transcribed_s([*found[0], *found[1]], seconds=60) == 0.5


def test_speakers_and_transcripts_may_be_missing(tmp_path):
    assert read(tmp_path, "a.ogg\t16000\t160\n", head="stream\tstart\tsamples\n")[0] == (Utterance(1, 1.01),)


@pytest.mark.parametrize(("needs", "head"), [("speaker", "transcript"), ("transcript", "speaker")])
def test_what_a_table_is_read_for_must_be_there(tmp_path, needs, head):
    head = f"stream\tstart\tsamples\t{head}\n"
    with pytest.raises(DataError, match=f"tsv has no {needs} of these recordings: it needs a column {needs}"):
        read(tmp_path, "a.ogg\t16000\t160\tann\n", head=head, needs=needs)
    assert read(tmp_path, "a.ogg\t0\t160\tann\n", head=f"stream\tstart\tsamples\t{needs}\n", needs=needs)


@pytest.mark.parametrize(
    ("label", "text", "count"),
    [
        ("no", "No, no one said no-one", 3),
        ("no", "nobody knows", 0),
        ("hey_lamp", "hey lamp hey lamp", 2),
        ("hey lamp", "hey the lamp", 0),
        ("dont", "I don't", 1),
        ("نعم", "نعم لا", 1),
        ("_", "go", 0),
    ],
)
def test_a_label_is_spoken_where_its_words_follow_one_another(label, text, count):
    assert Utterance(0, 1, "", spelled(text)).count(label) == count


def test_an_event_of_a_spoken_word_is_a_hit_as_often_as_it_is_spoken():
    utterances = [Utterance(10, 20, "", ("go", "on")), Utterance(20, 30, "", ("go", "go")), Utterance(40, 50)]
    times = [("go", 9.9), ("go", 10.0), ("go", 12.0), ("on", 20.9), ("no", 15.0), ("go", 22.0), ("go", 30.9)]
    times += [("go", 30.95), ("go", 45.0)]
    events = [Made(*each) for each in sorted(times, key=lambda each: each[1])]
    # Three times go in 10..31 s, once on until 21 s; a second go in the first utterance is none.
    hits = [(events[number].label, events[number].time_s) for number in spoken_hits(events, utterances)]
    assert hits == [("go", 10.0), ("on", 20.9), ("go", 22.0), ("go", 30.9)]
    assert spoken_words(utterances, ["go", "on", "no"]) == {"go": 3, "on": 1}


def test_an_event_just_after_an_utterance_counts_for_it():
    utterances = [Utterance(0, 5, "", ("stop",)), Utterance(5, 9, "", ("stop",))]
    assert spoken_hits([Made("stop", 5.8), Made("stop", 6.0)], utterances) == [0, 1]
    assert spoken_hits([Made("stop", 5.8), Made("stop", 9.2), Made("stop", 9.3)], utterances) == [0, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.ogg\t-1\t5\tx\tu\tt", "line 2: start is '-1', but must be a whole number of samples of at least 0"),
        ("a.ogg\t1.5\t5\tx\tu\tt", "line 2: start is '1.5', but must be a whole number"),
        ("a.ogg\t1\t0\tx\tu\tt", "line 2: samples is '0', but must be a whole number of samples of at least 1"),
        ("c.ogg\t1\t5\tx\tu\tt", "has no row of these recordings: its column stream must hold their names"),
    ],
)
def test_a_fault_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, row + "\n")
