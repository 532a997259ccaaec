import numpy as np
import pytest
import scipy.stats
from report_source import made_source

from bnn_exit.report import hard_clips


def exits_of(*clips):
    """Probabilities [clips, exits, 3] from the probabilities of the first two classes at each exit."""
    return np.array([[[first, second, 1 - first - second] for first, second in exits] for exits in clips])


def test_difficulty_is_the_entropy_of_the_weighted_mean_probabilities():
    source = made_source(clips=50)
    found = hard_clips.find(source.probabilities, source.labels)
    for clip in range(50):
        mean = np.average(source.probabilities[clip].astype(float), axis=0, weights=[6, 3, 2])
        assert found.difficulty[clip] == pytest.approx(scipy.stats.entropy(mean) / np.log(5))
    assert np.all(np.diff(found.difficulty[found.hardest]) <= 0)
    assert sorted(found.hardest) == list(range(50))


def test_difficulty_goes_from_certain_to_clueless():
    found = hard_clips.find(exits_of([(1, 0), (1, 0)], [(1 / 3, 1 / 3)] * 2, [(1, 0), (0, 1)]), [0, 0, 0])
    # Exits that are certain of two classes, with weights of 2/3 and 1/3.
    between = scipy.stats.entropy([2 / 3, 1 / 3]) / np.log(3)
    np.testing.assert_allclose(found.difficulty, [0, 1, between], atol=1e-12)
    assert found.hardest.tolist() == [1, 2, 0]


def test_overthought_clips_are_right_early_and_wrong_at_the_end():
    probabilities = exits_of(
        [(0.9, 0.1), (0.1, 0.9)],  # right, then wrong
        [(0.8, 0.1), (0.9, 0.1)],  # right throughout
        [(0.1, 0.8), (0.1, 0.8)],  # wrong throughout
        [(0.5, 0.3), (0.3, 0.4)],  # right, then wrong, and harder
        [(0.1, 0.8), (0.9, 0.1)],  # wrong, then right
    )
    assert hard_clips.find(probabilities, np.zeros(5, int)).overthought.tolist() == [3, 0]


def test_a_label_is_doubtful_if_all_exits_say_one_other_class_as_surely_as_its_own_clips():
    probabilities = exits_of(
        [(0.0, 0.8), (0.0, 0.8)],  # labelled 1: its probability of 1 is 0.8
        [(0.2, 0.7), (0.2, 0.7)],  # labelled 1: 0.7, so 0.75 on average
        [(0.1, 0.8), (0.1, 0.8)],  # doubtful
        [(0.2, 0.7), (0.2, 0.7)],  # 1 as well, but less sure than clips of that label
        [(0.0, 0.9), (0.9, 0.1)],  # the exits disagree
        [(0.9, 0.0), (0.9, 0.0)],  # as labelled
        [(0.0, 0.9), (0.0, 1.0)],  # more doubtful
        [(0.0, 0.0), (0.0, 0.0)],  # surely class 2, of which there are no clips to compare with
    )
    labels = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    assert hard_clips.find(probabilities, labels).doubtful.tolist() == [6, 2]
