import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from bnn_exit import difficulty, policies
from bnn_exit.difficulty.table import columns
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits


def table(probabilities, **options):
    outputs = np.asarray(probabilities, float)
    options = {"thresholds": [0] * (outputs.shape[1] - 1), **options}
    return difficulty.from_probabilities(outputs, options.pop("scores", np.zeros(outputs.shape[:2])), **options)


def certain(*classes, count=3):
    """The probabilities of exits that are certain of these classes."""
    return np.eye(count)[list(classes)]


@st.composite
def answers(draw):
    clips, exits, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(2, 6))
    return draw(arrays(np.float32, (clips, exits, classes), elements=st.floats(-30, 30, width=32)))


def test_the_weights_are_those_of_the_definition():
    assert difficulty.exit_weights(1).tolist() == [1]
    assert difficulty.exit_weights(3) == pytest.approx([6 / 11, 3 / 11, 2 / 11])


@settings(max_examples=30)
@given(answers())
def test_difficulty_is_the_entropy_of_the_mean_probabilities_and_the_sum_of_its_parts(logits):
    outputs = policies.softmax(logits)
    weights = 1 / np.arange(1, outputs.shape[1] + 1)
    found = table(outputs)
    for index, clip in enumerate(outputs):
        mean = np.average(clip, axis=0, weights=weights)
        assert found.mean_probabilities[index] == pytest.approx(mean)
        assert found.difficulty[index] == pytest.approx(entropy(mean) / np.log(clip.shape[-1]), abs=1e-9)
        each = np.average([entropy(p) for p in clip], weights=weights) / np.log(clip.shape[-1])
        assert found.uncertainty[index] == pytest.approx(each, abs=1e-9)
        divergence = np.average([entropy(p, mean) for p in clip], weights=weights) / np.log(clip.shape[-1])
        assert found.disagreement[index] == pytest.approx(divergence, abs=1e-7)
    for values in (found.difficulty, found.uncertainty, found.disagreement):
        assert values.min() >= 0 and values.max() <= 1
    assert found.uncertainty + found.disagreement == pytest.approx(found.difficulty)


@settings(max_examples=30)
@given(answers(), st.randoms())
def test_the_order_of_classes_does_not_matter(logits, random):
    order = list(range(logits.shape[-1]))
    random.shuffle(order)
    outputs = policies.softmax(logits)
    assert table(outputs[..., order]).difficulty == pytest.approx(table(outputs).difficulty, abs=1e-12)


@settings(max_examples=30)
@given(answers())
def test_a_row_does_not_depend_on_the_others(logits):
    outputs = policies.softmax(logits)
    alone = [next(table(clip[None], names=[str(index)]).rows()) for index, clip in enumerate(outputs)]
    assert list(table(outputs).rows()) == alone


def test_the_ends_of_the_scale():
    found = table([certain(1, 1, 1), np.full((3, 3), 1 / 3), certain(0, 1, 2)])
    assert found.difficulty[:2].tolist() == pytest.approx([0, 1])
    assert found.uncertainty.tolist() == pytest.approx([0, 1, 0])
    assert found.disagreement[2] == pytest.approx(entropy([6 / 11, 3 / 11, 2 / 11]) / np.log(3))


@pytest.mark.parametrize(
    ("classes", "depth", "agreement"),
    [
        ([1, 1, 1, 1], 0, 1),
        ([0, 1, 1, 1], 1, 0.75),
        ([1, 0, 1, 1], 2, 0.75),
        ([1, 1, 0, 1], 3, 0.75),
        ([0, 2, 0, 1], 3, 0.25),
        ([2], 0, 1),
    ],
)
def test_prediction_depth_is_the_first_exit_from_which_the_answer_stays(classes, depth, agreement):
    found = table([certain(*classes)])
    assert (found.prediction_depth[0], found.agreement[0]) == (depth, agreement)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=5))
def test_prediction_depth_against_its_words(classes):
    found = table([certain(*row) for row in classes])
    expected = [min(k for k in range(4) if set(row[k:]) == {row[-1]}) for row in classes]
    assert found.prediction_depth.tolist() == expected


def test_overthinking_is_right_early_and_wrong_at_the_end():
    rows = [certain(0, 1), certain(1, 0), certain(0, 0), certain(1, 1), certain(0, 1)]
    assert table(rows, labels=[0, 0, 0, 0, -1]).overthinking.tolist() == [True, False, False, False, False]
    assert not table(rows).overthinking.any()


def test_a_clip_leaves_by_the_rule_and_answers_there():
    found = table([certain(0, 1, 2)] * 3, scores=[[0.1, 0, 0], [0.5, 0.1, 0], [0.5, 0.5, 0]], thresholds=[0.5, 0.2])
    assert found.exit_index.tolist() == [0, 1, 2]
    assert found.predicted.tolist() == [0, 1, 2]


def test_rows_count_exits_from_one_and_name_classes():
    found = table(
        [certain(0, 1), certain(1, 1)],
        scores=[[0.25, 0.5], [0.75, 0.5]],
        thresholds=[0.5],
        labels=[1, -1],
        names=["a", "b"],
        class_names=["x", "y", "z"],
    )
    first, second = found.rows()
    assert first | {"difficulty": 0, "disagreement": 0} == {
        "path": "a",
        "label": "y",
        "prediction": "x",
        "correct": False,
        "exit": 1,
        "difficulty": 0,
        "uncertainty": 0.0,
        "disagreement": 0,
        "agreement": 0.5,
        "prediction_depth": 2,
        "overthinking": False,
        "prediction_1": "x",
        "prediction_2": "y",
        "score_1": 0.25,
        "score_2": 0.5,
    }
    assert (second["label"], second["correct"], second["overthinking"], second["exit"]) == (None, None, None, 2)
    assert list(first) == columns(2)
    assert len(columns(4)) == len(columns(2)) + 4


def test_from_answers_takes_any_policy():
    random = np.random.default_rng(0)
    known = ExitLogits(random.normal(0, 2, (50, 3, 4)), labels=random.integers(0, 4, 50), split="validation")
    plain = difficulty.from_exit_logits(known, thresholds=[0.5, 0.5], policy=policies.fit("entropy"))
    outputs = policies.softmax(known.logits)
    assert plain.scores == pytest.approx(entropy(outputs, axis=-1) / np.log(4))
    assert plain.labels.tolist() == known.truth.tolist()
    patience = difficulty.from_exit_logits(known, thresholds=[0.6, 0.6], policy=policies.fit("patience"))
    assert set(np.round(patience.scores.ravel(), 3)) <= {1.0, 0.5, 0.333}
    assert patience.difficulty == pytest.approx(plain.difficulty)
    ensemble = policies.fit("ensemble", known)
    expected = table(ensemble.probabilities(known), scores=ensemble.scores(known), thresholds=[0.5, 0.5])
    found = difficulty.from_exit_logits(known, thresholds=[0.5, 0.5], policy=ensemble)
    assert found.difficulty.tolist() == expected.difficulty.tolist()
    assert found.exit_index.tolist() == expected.exit_index.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"scores": np.zeros((1, 2))},
            r"and scores have the shapes \(2, 2, 3\) and \(1, 2\), but must be",
        ),
        ({"thresholds": [0.1, 0.2]}, "thresholds has 2 values"),
        ({"labels": [0, 3]}, r"labels must be \[2\] whole numbers, 0 to 2, or -1 where not known"),
        ({"labels": [0]}, r"labels must be \[2\]"),
        ({"names": ["one"]}, "names has 1 entries, but must have 2"),
        ({"class_names": ["one"]}, "class_names has 1 entries, but must have 3"),
    ],
)
def test_what_does_not_fit_is_one_line(changes, message):
    with pytest.raises(ArgumentError, match=message):
        table([certain(0, 1), certain(1, 1)], **changes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_have_no_difficulty(value):
    outputs = np.full((4, 2, 3), 1 / 3)
    outputs[[1, 3], 1, 0] = value
    with pytest.raises(
        DataError, match=r"^probabilities of 2 of 4 clips \(first: clip 1\) hold NaN or infinity, so their"
    ):
        table(outputs)


def test_a_table_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        table([certain(0)]).difficulty = 0


def test_the_package_is_an_attribute_of_ours():
    code = "import bnn_exit; print(bnn_exit.difficulty.estimate.__name__, 'difficulty' in dir(bnn_exit))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["estimate", "True"]
