"""Real recordings, where they are at hand: BNN_EXIT_TEST_DATA names a folder that holds them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import audio_tasks

DATA = Path(os.environ.get("BNN_EXIT_TEST_DATA") or "absent")


@pytest.mark.skipif(not (DATA / "arabic_speech_commands").is_dir(), reason="needs BNN_EXIT_TEST_DATA")
def test_arabic_speech_commands() -> None:
    task = audio_tasks.load("speech_commands", data_dir=DATA / "arabic_speech_commands")
    assert task.num_classes == 40
    assert [len(split) for split in task.splits.values()] == [7200, 2400, 2400]
    assert [np.bincount(split.labels).tolist() for split in task.splits.values()] == [[180] * 40, [60] * 40, [60] * 40]
    speakers = [set(split.speakers or ()) for split in task.splits.values()]
    assert [len(each) for each in speakers] == [18, 6, 6]
    assert len(set.union(*speakers)) == 30
    assert task.skipped == {}
    assert len(task.noise) == 2


@pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason="needs BNN_EXIT_TEST_DATA")
def test_esc10() -> None:
    tested: list[str] = []
    for fold in range(1, 6):
        task = audio_tasks.load("esc10", data_dir=DATA / "esc10", fold=fold)
        assert np.bincount(task.test.labels).tolist() == [8] * 10
        assert all(5 <= count <= 7 for count in np.bincount(task.validation.labels))
        assert len(task.train) + len(task.validation) == 320
        sources = [set(split.speakers or ()) for split in task.splits.values()]
        assert len(set.union(*sources)) == sum(map(len, sources))
        tested += task.test.ids
    assert len(set(tested)) == 400
