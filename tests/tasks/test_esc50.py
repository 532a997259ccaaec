"""ESC-50 and ESC-10: folds, recordings that stay together, and tables that are not as they should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
from bnn_exit.errors import ArgumentError, DataError

MakeData = Callable[..., Path]


@pytest.mark.parametrize("fold", [1, 4, "5"])
def test_a_fold_is_the_test_split(esc_data: MakeData, fold: int | str) -> None:
    task = audio_tasks.load("esc10", data_dir=esc_data(), fold=fold)
    assert task.labels == tuple(f"sound{target}" for target in range(10))
    assert task.clip_samples == 80000
    assert task.input_shape == (498, 64, 1)
    assert {key.split("/")[1].split("-")[0] for key in task.test.ids} == {str(fold)}
    assert [len(split) for split in task.splits.values()] == [
        120 - len(task.validation),
        len(task.validation),
        30,
    ]
    # Of the eight recordings a class has in the other folds, two with 2 to 4 of its 12 clips are for validation.
    assert all(2 <= count <= 4 for count in np.bincount(task.validation.labels))
    sources = [set(split.speakers or ()) for split in task.splits.values()]
    assert not sources[0] & sources[1] and not (sources[0] | sources[1]) & sources[2]
    assert task.licence == "CC BY 3.0"
    assert task.options["fold"] == int(fold)


def test_labels_go_by_target(esc_data: MakeData) -> None:
    task = audio_tasks.load("esc50", data_dir=esc_data(classes=50))
    for key, label in zip(task.train.ids, task.train.labels, strict=True):
        assert int(key.removesuffix(".wav").rsplit("-", 1)[1]) == label
    assert task.num_classes == 50
    assert task.licence == "CC BY-NC 3.0"


def test_esc10_within_esc50(esc_data: MakeData) -> None:
    root = esc_data(classes=12, esc10=10)
    task = audio_tasks.load("esc10", data_dir=root)
    assert task.num_classes == 10
    assert len(task.files) == 150


def test_clips_are_resampled(esc_data: MakeData) -> None:
    task = audio_tasks.load("esc10", data_dir=esc_data())
    assert set(task.lengths.values()) == {320}  # 160 samples at 8 kHz


def test_validation_is_fixed_by_the_seed(esc_data: MakeData) -> None:
    root = esc_data()
    tasks = [audio_tasks.load("esc10", data_dir=root, seed=seed) for seed in (0, 0, 1)]
    assert tasks[0].validation.ids == tasks[1].validation.ids
    assert tasks[0].validation.ids != tasks[2].validation.ids
    assert tasks[0].test.ids == tasks[2].test.ids


def test_folds_share_the_decoded_clips(esc_data: MakeData, cache: Path) -> None:
    root = esc_data()
    for fold in (1, 2):
        audio_tasks.load("esc10", data_dir=root, fold=fold)
    assert len(list(cache.rglob("*.int16"))) == 1


def test_missing_and_unusable_files(esc_data: MakeData) -> None:
    root = esc_data()
    (root / "audio" / "1-1000-A-0.wav").unlink()
    (root / "audio" / "2-2000-A-0.wav").write_bytes(b"")
    task = audio_tasks.load("esc10", data_dir=root)
    assert task.skipped == {"the file is empty": 1, "in meta/esc50.csv, but there is no such file": 1}
    assert sum(len(split) for split in task.splits.values()) == 148


def test_converted_files_are_found(esc_data: MakeData) -> None:
    root = esc_data()
    table = root / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace(".wav", ".ogg"))
    assert len(audio_tasks.load("esc10", data_dir=root).files) == 150


@pytest.mark.parametrize("fold", [0, 6, "x", 1.5])
def test_fold_out_of_range(fold: object) -> None:
    with pytest.raises(ArgumentError, match=r"fold is .*, but must be from 1 to 5: the number of the test fold"):
        audio_tasks.load("esc10", data_dir="x", fold=fold)


def test_there_is_no_download() -> None:
    with pytest.raises(
        ArgumentError, match=r"task esc50 needs --data-dir: fetch https://github\.com/.*no fixed checksum"
    ):
        audio_tasks.load("esc50")


def test_esc50_of_ten_classes(esc_data: MakeData) -> None:
    with pytest.raises(DataError, match=r"task esc50 has 50 classes, but .* lists 10: use the task esc10"):
        audio_tasks.load("esc50", data_dir=esc_data())


def test_other_layout(speech_data: MakeData) -> None:
    with pytest.raises(DataError, match=r"is not in the layout of ESC-50; expected audio/\{fold\}"):
        audio_tasks.load("esc10", data_dir=speech_data())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("src_file", "source", r"esc50\.csv lacks the columns src_file: take the one of ESC-50"),
        ("wav,1,0,", "wav,one,0,", r"esc50\.csv cannot be read: invalid literal .*; take the one of ESC-50"),
        ("wav,1,0,", "wav,7,0,", r"esc50\.csv: 1-1000-A-0\.wav is in fold 7, but there are folds 1 to 5"),
    ],
)
def test_damaged_table(esc_data: MakeData, old: str, new: str, message: str) -> None:
    root = esc_data()
    table = root / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        audio_tasks.load("esc10", data_dir=root)
