"""Training clips that are background: cut anew in each view, of the recordings alone, and parts of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.task import Negatives
from bnn_exit.training.background import Background, loud_level
from bnn_exit.training.word_extent import word_extent, word_extents

FRAMES, MELS = 50, 8
WORDS = [(20, 35), (5, 30), (30, 48)]  # without the margin of 3 frames
NAMES = ("yes", "no", "unknown", "silence")


def clips() -> np.ndarray:
    """Three words whose frames are numbered, a clip of silence, then two cuts."""
    log_mel = np.full((6, FRAMES, MELS), -12.0, np.float32)
    for clip, (start, end) in enumerate(WORDS):
        log_mel[clip, start:end] = 100 * (clip + 1) + np.arange(end - start, dtype=np.float32)[:, None]
    return log_mel


def negatives() -> Negatives:
    """Two recordings of 200 and 80 frames; each frame has its row as value, scaled to be no word."""
    log_mel = np.repeat(np.arange(280, dtype=np.float32)[:, None] / 1000 - 20, MELS, axis=1)
    return Negatives(log_mel, np.array([[0, 151], [200, 31]]), np.array([200, 280]), first=4, label=2)


def background(partial_share: float = 0.0, seed: int = 0) -> Background:
    labels = np.array([0, 1, 0, 3, 2, 2])
    return Background(negatives(), log_mel=clips(), labels=labels, names=NAMES, partial_share=partial_share, seed=seed)


def rows_of(cut: np.ndarray) -> np.ndarray:
    assert (cut == cut[:, :1]).all()
    return np.rint((cut[:, 0] + 20) * 1000).astype(int)


def test_clips_of_the_data_set_stay_as_they_are():
    for clip in range(4):
        np.testing.assert_array_equal(background(0.5).clip(clip, 3), clips()[clip])


def test_cuts_are_slices_of_one_recording_from_any_start():
    found = background()
    starts = set()
    for view in range(400):
        rows = rows_of(found.clip(4, view))
        np.testing.assert_array_equal(np.diff(rows), 1)
        assert len(rows) == FRAMES
        starts.add(int(rows[0]))
    assert all(start <= 150 or 200 <= start <= 230 for start in starts)
    assert min(starts) < 10 and max(starts) > 220 and len(starts) > 100
    # In proportion to the places that a recording has: 31 of 182.
    share = np.mean([rows_of(found.clip(4, view))[0] >= 200 for view in range(1000)])
    assert share == pytest.approx(31 / 182, abs=0.04)


def test_a_cut_depends_on_seed_clip_and_view_alone():
    first = background(0.5, seed=1)
    expected = first.clip(4, 2)
    for clip, view in ((5, 0), (4, 1), (4, 9)):
        first.clip(clip, view)
        first.behind(clip, view)
    np.testing.assert_array_equal(first.clip(4, 2), expected)
    np.testing.assert_array_equal(background(0.5, seed=1).clip(4, 2), expected)
    for seed, clip, view in ((2, 4, 2), (1, 5, 2), (1, 4, 3)):
        assert not np.array_equal(background(0.0, seed=seed).clip(clip, view), background(0.0, seed=1).clip(4, 2))


def test_at_most_a_third_of_a_word_is_in_a_part():
    found, places, pieces = background(1.0), set(), set()
    for view in range(500):
        part = found.clip(5, view)
        assert part.shape == (FRAMES, MELS)
        loud = np.flatnonzero(part[:, 0] > 0)
        if not len(loud):
            continue  # a piece of the margin beside the word
        word = int(part[loud[0], 0]) // 100 - 1
        start, end = WORDS[word]
        assert len(loud) <= (end - start + 6) // 3
        np.testing.assert_array_equal(np.diff(loud), 1)
        np.testing.assert_array_equal(np.diff(part[loud, 0]), 1)  # in order, without a gap
        assert (np.delete(part, loud, axis=0) == -12).all()
        places.add("left" if loud[0] < 4 else "right" if loud[-1] > FRAMES - 5 else "inside")
        pieces.add(word)
    assert places == {"left", "right", "inside"} and pieces == {0, 1, 2}


def test_parts_come_as_often_as_asked_and_only_where_there_are_words():
    found = background(0.25)
    parts = np.mean([not (np.diff(found.clip(4, view)[:, 0]) > 0).all() for view in range(600)])
    assert parts == pytest.approx(0.25, abs=0.06)
    no_words = Background(negatives(), log_mel=clips(), labels=np.full(6, 2), names=NAMES, partial_share=1.0, seed=0)
    assert (np.diff(no_words.clip(4, 0)[:, 0]) > 0).all()


def test_what_sounds_behind_has_the_level_of_its_surroundings():
    found = background()
    for view in range(100):
        cut, level = found.behind(0, view)
        first, last = rows_of(cut)[[0, -1]]
        begin, end = (0, 200) if first < 200 else (200, 280)
        around = negatives().log_mel[max(begin, first - 200) : min(end, last + 1 + 200)]
        assert level == pytest.approx(loud_level(around), abs=1e-5)
    assert not np.array_equal(found.behind(0, 1)[0], found.behind(1, 1)[0])


def test_nothing_sounds_behind_silence():
    assert background().behind(3, 0)[1] == np.inf
    assert np.isfinite(background().behind(4, 0)[1])


def test_the_loud_level_leaves_out_pauses():
    sound = np.log(np.array([[1.0, 3.0], [5.0, 3.0], [1e-4, 1e-4], [0.03, 0.03]]))
    assert loud_level(sound) == pytest.approx(np.log((4 + 8) / 2))
    assert loud_level(np.full((5, 2), -500.0)) == pytest.approx(-500 + np.log(2))


# ---- extents


def test_the_extent_of_a_word_has_a_margin():
    assert word_extents(clips()[:4]).tolist() == [[17, 38], [2, 33], [27, 50], [0, 50]]


def test_a_click_is_no_part_of_a_word():
    clip = np.full((FRAMES, MELS), -12.0)
    clip[3:5] = 0
    assert word_extent(clip) is None
    clip[20:30] = 0
    assert word_extent(clip) == (17, 33)


def test_a_pause_within_a_word_belongs_to_it():
    clip = np.full((FRAMES, MELS), -12.0)
    clip[10:16] = clip[25:31] = -2
    assert word_extent(clip) == (7, 34)


@given(st.integers(0, 2**32 - 1), st.floats(-20, 20))
def test_the_extent_lies_in_the_clip_and_does_not_depend_on_the_level(seed, gain):
    clip = np.cumsum(np.random.default_rng(seed).normal(0, 2, (FRAMES, 1)), axis=0) + np.zeros((1, MELS))
    found = word_extent(clip)
    assert found is None or 0 <= found[0] < found[1] <= FRAMES
    moved = word_extent(np.round(clip, 6) + round(gain))
    assert moved == word_extent(np.round(clip, 6))


def test_no_clips_have_no_extents():
    assert word_extents(np.zeros((0, FRAMES, MELS))).shape == (0, 2)
