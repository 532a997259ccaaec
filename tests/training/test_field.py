"""The background of a place behind clips from elsewhere."""

import numpy as np
import pytest

from bnn_exit.training import field
from bnn_exit.training.background import loud_level
from bnn_exit.training.field import FieldBackground, word_levels

FRAMES, MELS = 40, 6
WORD = slice(10, 24)  # what is found reaches three frames further


def clip_of(background, *, level=0.0):
    """A word of one level in frames of a background."""
    clip = np.array(background, np.float32)
    clip[WORD] = level
    return clip


@pytest.fixture
def place():
    """Two clips whose background tells where it comes from: -12 and -11 and a tenth of a thousandth for each frame."""
    frames = 1e-4 * np.arange(FRAMES)[:, None] * np.ones(MELS)
    return np.stack([clip_of(-12 + frames, level=0.0), clip_of(-11 + frames, level=2.0)])


def test_a_clip_gets_level_and_background_of_one_from_the_place(place):
    quiet = clip_of(np.full((FRAMES, MELS), -30.0), level=-5.0)
    found = FieldBackground(place, seed=0).behind(np.stack([quiet] * 20), view=0)
    assert found.shape == (20, FRAMES, MELS) and found.dtype == np.float32
    kinds = set()
    for each in found:
        beside = each[24:]
        kind = int(np.round(beside.mean() + 12))
        kinds.add(kind)
        assert loud_level(each) == pytest.approx(loud_level(place[kind]), abs=1e-4)
        np.testing.assert_allclose(each[WORD], [0.0, 2.0][kind], atol=1e-4)
        # Frames beside the word, one after the other, to and fro.
        numbers = np.round((beside[:, 0] + 12 - kind) * 1e4).astype(int)
        beside_word = [*range(7), *range(27, FRAMES)]
        assert set(numbers) <= set(beside_word)
        steps = np.abs(np.diff([beside_word.index(number) for number in numbers]))
        assert steps.max() == 1
    assert kinds == {0, 1}


def test_the_same_seed_and_view_give_the_same_clips(place):
    clips = np.random.default_rng(0).normal(-8, 3, (5, FRAMES, MELS))
    first = FieldBackground(place, seed=1).behind(clips, view=2)
    np.testing.assert_array_equal(first, FieldBackground(place, seed=1).behind(clips, view=2))
    for seed, view in ((1, 3), (2, 2)):
        assert not np.array_equal(first, FieldBackground(place, seed=seed).behind(clips, view=view))


def test_a_clip_without_a_word_keeps_its_level(place):
    silence = np.full((1, FRAMES, MELS), -40.0, np.float32)
    found = FieldBackground(place, seed=0).behind(silence, view=0)
    assert found.min() > -12.1 and found.max() < -10.9


def test_clips_whose_word_does_not_stand_out_or_fills_them_have_no_background(place):
    steady, full = np.full((FRAMES, MELS), -3.0), np.zeros((FRAMES, MELS))
    full[:3] = -20.0
    assert FieldBackground(np.stack([steady, full]), seed=0).count == 0
    assert FieldBackground(np.stack([steady, *place]), seed=0).count == 2


def test_levels_that_are_known_are_not_computed_again(place, monkeypatch):
    clips = np.concatenate([place, np.full((1, FRAMES, MELS), -40.0)])
    levels, background = word_levels(clips), FieldBackground(place, seed=0)
    np.testing.assert_allclose(levels, [loud_level(place[0]), loud_level(place[1]), np.nan])
    expected = background.behind(clips, view=1)
    monkeypatch.setattr(field, "word_extent", None)
    np.testing.assert_array_equal(background.behind(clips, view=1, levels=levels), expected)
