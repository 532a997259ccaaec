import numpy as np
import pytest

from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits


def some(clips=4, exits=2, classes=3, **more):
    return ExitLogits(np.random.default_rng(0).normal(size=(clips, exits, classes)), **more)


def test_answers_are_kept_in_a_file(tmp_path):
    features = (np.ones((4, 5), np.float32), np.zeros((4, 7), np.float32))
    exit_logits = some(labels=np.array([0, 1, 2, 1]), split="validation", names=("a", "b", "c", "ü"), features=features)
    exit_logits.save(tmp_path / "exit_logits" / "validation.npz")
    again = ExitLogits.load(tmp_path / "exit_logits" / "validation.npz")
    assert np.array_equal(again.logits, exit_logits.logits) and again.logits.dtype == np.float32
    assert again.labels.tolist() == [0, 1, 2, 1] and again.names == ("a", "b", "c", "ü")
    assert (again.split, [each.shape for each in again.features]) == ("validation", [(4, 5), (4, 7)])
    some().save(tmp_path / "bare.npz")
    bare = ExitLogits.load(tmp_path / "bare.npz")
    assert (bare.labels, bare.names, bare.features, bare.split) == (None, (), (), "")


def test_a_part_keeps_what_belongs_together():
    features = (np.arange(8, dtype=np.float32).reshape(4, 2),) * 2
    exit_logits = some(labels=np.array([0, 1, 2, 1]), names=("a", "b", "c", "d"), features=features)
    for chosen, order in (([3, 1], [3, 1]), (np.array([False, True, False, True]), [1, 3])):
        part = exit_logits.select_clips(chosen)
        assert np.array_equal(part.logits, exit_logits.logits[order])
        assert part.labels.tolist() == [1, 1] and part.names == tuple("abcd"[index] for index in order)
        assert np.array_equal(part.features[0], features[0][order])
    last = exit_logits.select_exits([1])
    assert last.exits == 1 and np.array_equal(last.logits[:, 0], exit_logits.logits[:, 1]) and len(last.features) == 1


def test_correct_is_told_by_the_most_probable_class():
    exit_logits = ExitLogits(np.eye(3)[[[0, 1], [2, 2]]], labels=np.array([0, 2]))
    assert exit_logits.correct.tolist() == [[True, False], [True, True]]
    with pytest.raises(DataError, match="labels are missing"):
        _ = some().correct


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (
            ArgumentError,
            r"logits has shape \(4, 3\), but must be \[clips, exits, classes\]",
            lambda: ExitLogits(np.ones((4, 3))),
        ),
        (ArgumentError, r"needs at least 1 exit and 2 classes", lambda: ExitLogits(np.ones((4, 2, 1)))),
        (DataError, "the validation split is empty", lambda: some(clips=0, split="validation")),
        (
            ArgumentError,
            r"labels has shape \(3,\), but the logits are of 4 clips",
            lambda: some(labels=np.array([0, 1, 2])),
        ),
        (
            ArgumentError,
            "labels has values 0 to 3, but must be whole, 0 to 2",
            lambda: some(labels=np.array([0, 1, 2, 3])),
        ),
        (
            ArgumentError,
            "labels holds 0.0, but must hold integers, 0 to 2",
            lambda: some(labels=np.array([0, 1, 2, 0.5])),
        ),
        (
            ArgumentError,
            "labels holds 'a', but must hold integers, 0 to 2",
            lambda: some(labels=["a", "b", "a", "b"]),
        ),
        (
            ArgumentError,
            "labels holds None, but must hold integers",
            lambda: some(labels=np.array([None, 0, 1, 2])),
        ),
        (ArgumentError, "labels holds True, but must hold integers", lambda: some(labels=[True, False, True, True])),
        (ArgumentError, r"labels has rows of several lengths, but must hold 4 integers", lambda: some(labels=[[0], 1])),
        (ArgumentError, "names has 1 entries, but there are 4 clips", lambda: some(names=("a",))),
        (ArgumentError, r"features has the shapes \[\(4, 2\)\]", lambda: some(features=(np.ones((4, 2), np.float32),))),
    ],
)
def test_what_does_not_fit_is_named(error, message, make):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_nan_is_found_and_counted():
    logits = np.ones((5, 2, 3))
    logits[[2, 4], 1, 0] = np.nan
    with pytest.raises(DataError, match=r"logits of 2 of 5 clips \(first: clip 2\) hold NaN or infinity"):
        ExitLogits(logits)


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "answers.npz"
    with pytest.raises(DataError, match="no such file"):
        ExitLogits.load(path)
    some().save(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="does not hold logits of exits"):
        ExitLogits.load(path)
    np.savez(path, other=np.ones(3))
    with pytest.raises(DataError, match="does not hold logits of exits"):
        ExitLogits.load(path)
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "array.npy").rename(path)
    with pytest.raises(DataError, match="does not hold logits of exits"):
        ExitLogits.load(path)
    path.write_text("text")
    with pytest.raises(DataError, match="does not hold logits of exits"):
        ExitLogits.load(path)


def test_a_file_with_changed_bytes_is_whole_or_refused(tmp_path):
    exit_logits = some(clips=40, labels=np.arange(40) % 3, split="validation", names=tuple(map(str, range(40))))
    exit_logits.save(tmp_path / "whole.npz")
    whole, random, path = (tmp_path / "whole.npz").read_bytes(), np.random.default_rng(0), tmp_path / "changed.npz"
    refused = 0
    for _ in range(3000):
        changed = bytearray(whole)
        for place in random.integers(0, len(whole), random.integers(1, 4)):
            changed[place] = random.integers(0, 256)
        path.write_bytes(changed)
        try:
            again = ExitLogits.load(path)
        except DataError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            # The list at the end of the file may have lost what answers can do without.
            assert np.array_equal(again.logits, exit_logits.logits)
    assert refused > 2000


def test_labels_in_a_file_that_are_no_numbers_are_one_line(tmp_path):
    np.savez(tmp_path / "text.npz", format=1, logits=np.ones((2, 2, 2)), split="", labels=np.array(["yes", "no"]))
    with pytest.raises(
        DataError, match=r"text\.npz' does not hold logits of exits: labels holds 'yes', but must hold integers"
    ):
        ExitLogits.load(tmp_path / "text.npz")
