import dataclasses

import numpy as np
import pytest

from bnn_exit import difficulty, policies

NAMES = ("red", "green", "blue")


def tables(clips=200, *, exits=3, seed=0, labelled=True, batch=64):
    """ExitLogits that lean to the label, in tables of a few."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, clips)
    outputs = policies.softmax(random.normal(0, 1.5, (clips, exits, 3)) + 2 * np.eye(3)[labels][:, None])
    for start in range(0, clips, batch):
        part = slice(start, start + batch)
        yield difficulty.from_probabilities(
            outputs[part],
            1 - outputs[part].max(axis=-1),
            thresholds=[0.2] * (exits - 1),
            labels=labels[part] if labelled else None,
            names=[f"clip {index}" for index in range(clips)[part]],
            class_names=NAMES,
        )


def summed(*, labelled=True, keep=10, **options):
    summary = difficulty.Summary(NAMES, exits=3, labelled=labelled, keep=keep)
    for table in tables(labelled=labelled, **options):
        summary.add(table)
    return summary


def test_classes_are_means_over_their_clips():
    (whole,) = tables(batch=1000)
    summary = summed()
    assert summary.clips == 200 and summary.exit_counts.tolist() == np.bincount(whole.exit_index).tolist()
    assert summary.difficulty == pytest.approx(whole.difficulty.sum())
    assert summary.accuracy == pytest.approx(np.mean(whole.predicted == whole.labels))
    figures = {each.name: each for each in summary.classes()}
    for index, name in enumerate(NAMES):
        mine = whole.labels == index
        row = figures[name]
        assert row.clips == mine.sum()
        for what in ("difficulty", "uncertainty", "disagreement"):
            assert getattr(row, what) == pytest.approx(getattr(whole, what)[mine].mean())
        others = whole.mean_probabilities[mine].mean(axis=0)
        others[index] = 0
        assert (row.confused_with, row.confusion) == (NAMES[others.argmax()], pytest.approx(others.max()))
        assert row.errors == (whole.predicted != whole.labels)[mine].sum()
        assert row.overthinking == whole.overthinking[mine].sum() > 0
    hardness = [each.difficulty for each in summary.classes()]
    assert hardness == sorted(hardness, reverse=True)


def test_the_size_of_tables_changes_nothing():
    one, other = summed(batch=7), summed(batch=1000)
    assert [row["path"] for row in one.hardest] == [row["path"] for row in other.hardest]
    assert one.suspects() == other.suspects()
    assert one.overthinking == other.overthinking
    assert one.accuracy == other.accuracy


def test_the_hardest_and_the_overthought_are_the_largest():
    (whole,) = tables(batch=1000)
    order = np.argsort(-whole.difficulty, kind="stable")
    summary = summed(keep=10)
    assert [row["path"] for row in summary.hardest] == [whole.names[index] for index in order[:10]]
    overthought = [whole.names[index] for index in order if whole.overthinking[index]]
    assert len(overthought) == summary.overthinking > 10
    assert [row["path"] for row in summary.overthought] == overthought[:10]


def test_of_equal_clips_the_first_are_kept():
    outputs = np.full((5, 2, 3), 1 / 3)
    summary = difficulty.Summary(NAMES, exits=2, labelled=False, keep=3)
    summary.add(difficulty.from_probabilities(outputs, np.ones((5, 2)), thresholds=[0]))
    assert [row["path"] for row in summary.hardest] == ["0", "1", "2"]


def test_without_labels_classes_are_what_the_last_exit_says():
    (whole,) = tables(labelled=False, batch=1000)
    summary = summed(labelled=False)
    assert summary.accuracy is None and summary.suspects() == [] and summary.overthought == []
    counts = dict(zip(NAMES, np.bincount(whole.predictions[:, -1]).tolist(), strict=True))
    assert {each.name: each.clips for each in summary.classes()} == counts
    assert {(each.errors, each.overthinking) for each in summary.classes()} == {(None, None)}


def test_clips_without_a_label_among_labelled_ones_are_in_no_class():
    (whole,) = tables(batch=1000)
    labels = whole.labels.copy()
    labels[:50] = -1
    summary = difficulty.Summary(NAMES, exits=3, labelled=True)
    summary.add(dataclasses.replace(whole, labels=labels))
    assert (summary.clips, summary.unlabelled, sum(each.clips for each in summary.classes())) == (200, 50, 150)
    assert summary.accuracy == pytest.approx(np.mean(whole.predicted[50:] == whole.labels[50:]))


def surely(index, *, sure=0.9):
    outputs = np.full(3, (1 - sure) / 2)
    outputs[index] = sure
    return outputs


def test_a_label_looks_wrong_if_every_exit_says_another_class_as_surely_as_that_class_s_clips():
    red, green, unsure_green = surely(0), surely(1), surely(1, sure=0.7)
    outputs = [[red, red], [red, red], [green, green], [green, green]]  # as labelled
    outputs += [
        [green, green],
        [red, green],
        [unsure_green, unsure_green],
        [green, green],
    ]  # labelled red; the last unknown
    summary = difficulty.Summary(NAMES, exits=2, labelled=True)
    summary.add(
        difficulty.from_probabilities(
            outputs,
            np.zeros((8, 2)),
            thresholds=[0],
            labels=[0, 0, 1, 1, 0, 0, 0, -1],
            names=list("abcdefgh"),
            class_names=NAMES,
        )
    )
    (suspect,) = summary.suspects()
    assert suspect == difficulty.Suspect("e", "red", "green", pytest.approx(0.9))


def test_a_class_without_clips_has_no_row_and_takes_no_suspects():
    summary = difficulty.Summary(NAMES, exits=1, labelled=True)
    summary.add(difficulty.from_probabilities([[surely(2)]], [[0.0]], thresholds=[], labels=[0], class_names=NAMES))
    (row,) = summary.classes()
    assert (row.name, row.confused_with) == ("red", "blue")
    assert summary.suspects() == []
