import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit import metrics
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError

# Six clips of three classes, worked out by hand:
#   true       a a a b b c        predicted  a a b b b a
LABELS = [0, 0, 0, 1, 1, 2]
PREDICTIONS = [0, 0, 1, 1, 1, 0]
EXITS = [0, 1, 2, 0, 0, 2]
COSTS = [Cost(64, 10), Cost(640, 20), Cost(6400, 40)]

label_lists = st.integers(1, 40).flatmap(
    lambda count: st.tuples(*[st.lists(st.integers(0, 4), min_size=count, max_size=count) for _ in range(2)])
)


def test_accuracy():
    assert metrics.accuracy(PREDICTIONS, LABELS) == pytest.approx(4 / 6)
    assert metrics.accuracy([1], [1]) == 1.0


def test_exit_shares():
    assert metrics.exit_shares(EXITS, exits=4).tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6, 0.0])


def test_mean_cost_weighs_each_exit_by_its_clips():
    mean = metrics.mean_cost(EXITS, COSTS)
    assert mean["binary_macs"] == pytest.approx((3 * 64 + 640 + 2 * 6400) / 6)
    assert mean["float_macs"] == pytest.approx((3 * 10 + 20 + 2 * 40) / 6)
    assert mean["ops"] == pytest.approx((3 * 11 + 30 + 2 * 140) / 6)
    assert set(mean) == {"binary_macs", "float_macs", "ops"}


def test_relative_cost():
    mean = {"binary_macs": 1600.0, "float_macs": 10.0, "ops": 35.0}
    assert metrics.relative_cost(mean, COSTS[-1]) == {"binary_macs": 0.25, "float_macs": 0.25, "ops": 0.25}
    assert metrics.relative_cost({"binary_macs": 0.0, "float_macs": 5.0, "ops": 5.0}, Cost(0, 10))["binary_macs"] == 0.0


def test_confusion_matrix_has_true_labels_as_rows():
    assert metrics.confusion_matrix(PREDICTIONS, LABELS, num_classes=3).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_per_class_table():
    rows = metrics.per_class(PREDICTIONS, LABELS, names=list("abcd"), exit_indices=EXITS)
    first, second, third, fourth = rows
    assert first == {
        "label": "a",
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "support": 3,
        "average_exit": pytest.approx(2.0),
    }
    assert second == {
        "label": "b",
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "support": 2,
        "average_exit": 1.0,
    }
    assert third == {"label": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1, "average_exit": 3.0}
    assert fourth == {"label": "d", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "average_exit": None}


def test_per_class_without_exits_has_no_average_exit():
    assert "average_exit" not in metrics.per_class(PREDICTIONS, LABELS, names=["a", "b", "c"])[0]


@given(label_lists)
def test_the_figures_fit_together(pair):
    predictions, labels = pair
    matrix = metrics.confusion_matrix(predictions, labels, num_classes=5)
    rows = metrics.per_class(predictions, labels, names=list("abcde"))
    assert matrix.sum() == len(labels)
    assert metrics.accuracy(predictions, labels) == pytest.approx(matrix.trace() / len(labels))
    assert [row["support"] for row in rows] == matrix.sum(axis=1).tolist()
    # Accuracy is the recall of the mean clip.
    assert sum(row["recall"] * row["support"] for row in rows) == pytest.approx(matrix.trace())
    for row in rows:
        precision, recall = row["precision"], row["recall"]
        harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert row["f1"] == pytest.approx(harmonic)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_mean_cost_is_the_shares_times_the_costs(exits):
    shares = metrics.exit_shares(exits, exits=3)
    assert shares.sum() == pytest.approx(1.0)
    mean = metrics.mean_cost(exits, COSTS)
    assert mean["ops"] == pytest.approx(sum(share * cost.ops for share, cost in zip(shares, COSTS, strict=True)))
    assert mean["ops"] == pytest.approx(mean["float_macs"] + mean["binary_macs"] / 64)


def test_bad_arguments_say_what_is_wrong():
    with pytest.raises(ArgumentError, match=r"predictions and labels have shapes \(2,\) and \(3,\)"):
        metrics.accuracy([0, 1], [0, 1, 2])
    with pytest.raises(ArgumentError, match="not empty"):
        metrics.accuracy([], [])
    with pytest.raises(ArgumentError, match=r"exit_indices has values from 0 to 3, but must lie in 0 to 2"):
        metrics.mean_cost([0, 3], COSTS)
    with pytest.raises(ArgumentError, match=r"exit_indices has shape \(0,\), .*one-dimensional and not empty"):
        metrics.exit_shares([], exits=2)
    with pytest.raises(ArgumentError, match=r"labels has values from -1 to 1, but must lie in 0 to 1"):
        metrics.confusion_matrix([0, 1], [-1, 1], num_classes=2)
    with pytest.raises(ArgumentError, match=r"predictions has values from 0 to 2, but must lie in 0 to 1"):
        metrics.confusion_matrix([0, 2], [0, 1], num_classes=2)
    with pytest.raises(ArgumentError, match=r"exit_indices and labels have shapes"):
        metrics.per_class([0, 1], [0, 1], names=["a", "b"], exit_indices=np.zeros(3, int))
