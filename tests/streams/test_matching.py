import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.errors import ArgumentError
from bnn_exit.streams.labelled import Word
from bnn_exit.streams.matching import match


@dataclasses.dataclass(frozen=True)
class Made:
    label: str
    time_s: float


YES = Word("yes", 10.0, 10.5)


@pytest.mark.parametrize(
    ("time_s", "hit"), [(9.99, False), (10.0, True), (10.4, True), (11.5, True), (11.501, False), (30.0, False)]
)
def test_an_event_is_a_hit_from_the_start_of_a_word_to_its_end_and_the_tolerance(time_s, hit):
    found = match([Made("yes", time_s)], [YES], tolerance_s=1.0)
    assert found.hits == (((0, 0),) if hit else ())
    assert found.false_accepts == (() if hit else (0,)) and found.missed == (() if hit else (0,))


def test_another_label_is_a_false_accept_and_the_word_is_missed():
    found = match([Made("no", 10.2)], [YES])
    assert (found.hits, found.false_accepts, found.missed) == ((), (0,), (0,))


def test_a_word_is_found_once_and_further_events_of_it_are_false_accepts():
    found = match([Made("yes", 10.2), Made("yes", 11.0)], [YES])
    assert (found.hits, found.false_accepts, found.missed) == (((0, 0),), (1,), ())


def test_two_words_close_together_find_their_own_events():
    words = [Word("yes", 10.0, 10.5), Word("yes", 10.6, 11.0)]
    assert match([Made("yes", 11.1), Made("yes", 11.4)], words).hits == ((0, 0), (1, 1))
    # The first word's time is over: the event goes to the second.
    assert match([Made("yes", 11.6)], words).hits == ((0, 1),)


def test_no_events_and_no_words():
    assert match([], [YES]).missed == (0,)
    assert match([Made("yes", 3.0)], []).false_accepts == (0,)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 20)), max_size=5),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 18), st.integers(1, 4)), max_size=4),
    st.integers(0, 5),
)
def test_no_other_matching_has_more_hits(events, words, tolerance):
    events = [Made(label, time) for label, time in sorted(events, key=lambda event: event[1])]
    words = [Word(label, start, start + length) for label, start, length in words]
    found = match(events, words, tolerance_s=tolerance)

    def may(event, word):
        return event.label == word.label and word.start_s <= event.time_s <= word.end_s + tolerance

    assert all(may(events[event], words[word]) for event, word in found.hits)
    assert len({word for _, word in found.hits}) == len({event for event, _ in found.hits}) == len(found.hits)
    assert sorted([*found.false_accepts, *(event for event, _ in found.hits)]) == list(range(len(events)))
    assert sorted([*found.missed, *(word for _, word in found.hits)]) == list(range(len(words)))
    # Every assignment of words to different events, or to none.
    most = 0
    for chosen in itertools.product([None, *range(len(events))], repeat=len(words)):
        used = [event for event in chosen if event is not None]
        if len(set(used)) == len(used) and all(
            event is None or may(events[event], word) for event, word in zip(chosen, words, strict=True)
        ):
            most = max(most, len(used))
    assert len(found.hits) == most


@pytest.mark.parametrize("tolerance", [-0.1, 61, float("inf"), float("nan")])
def test_a_tolerance_must_be_a_time(tolerance):
    with pytest.raises(ArgumentError, match=r"tolerance_s is .*, but must be a number of seconds from 0 to 60"):
        match([], [], tolerance_s=tolerance)
