"""Splits, tasks and what `check_task` refuses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import audio_tasks
from audio_tasks import Split, Task, check_task
from bnn_exit.audio import logmel
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.settings.features import FeatureConfig

SAMPLES = 1600


def make_split(name: str, labels: Sequence[int], fingerprint: str = "") -> Split:
    clips = np.random.default_rng(len(labels)).uniform(-0.5, 0.5, (len(labels), SAMPLES)).astype(np.float32)
    return Split(
        name=name,
        ids=tuple(f"{name}{index}" for index in range(len(labels))),
        labels=np.array(labels, np.int32),
        speakers=None,
        _read=lambda index: clips[index],
        fingerprint=fingerprint,
    )


def make_task(**changes: object) -> Task:
    values: dict[str, object] = {
        "name": "toy",
        "labels": ("no", "yes"),
        "train": make_split("train", [0, 1, 0, 1]),
        "validation": make_split("validation", [0, 1]),
        "test": make_split("test", [1, 0, 1]),
        "clip_samples": SAMPLES,
        "features": FeatureConfig(),
    }
    return Task(**{**values, **changes})  # type: ignore[arg-type]


def test_shapes() -> None:
    task = make_task()
    assert task.num_classes == 2
    assert task.input_shape == (8, 64, 1)  # 1 + (1600 - 400) // 160
    assert [len(split) for split in task.splits.values()] == [4, 2, 3]
    assert task.train.waveforms([2, 0]).shape == (2, SAMPLES)
    np.testing.assert_array_equal(task.train.waveforms([2])[0], task.train.waveform(2))


def test_log_mel_is_that_of_the_reference_in_the_order_of_the_clips() -> None:
    task = make_task()
    features = task.log_mel("test")
    assert features.dtype == np.float32
    assert features.shape == (3, 8, 64)
    for index in range(3):
        np.testing.assert_array_equal(features[index], logmel.log_mel(task.test.waveform(index), task.features))
    assert task.log_mel("test") is features


def test_unknown_split() -> None:
    with pytest.raises(ArgumentError, match=r"split is 'tests', but must be one of .*; did you mean 'test'\?"):
        make_task().log_mel("tests")


def test_a_good_task_passes() -> None:
    task = make_task()
    assert check_task(task) is task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("no",)}, "task toy: a classifier needs at least two classes, but the data has only 'no'"),
        ({"labels": ()}, "at least two classes, but the data has none"),
        ({"labels": ("no", "no")}, "task toy: a label is there twice in no, no"),
        ({"clip_samples": 399}, "a clip of 399 samples is shorter than one window of 400 samples"),
        ({"validation": make_split("validation", [])}, "task toy: the validation split is empty"),
        ({"test": make_split("test", [0, 0])}, "task toy: the test split has no clip of yes: add clips of it"),
        ({"labels": ("no", "yes", *"abcdefg")}, "the train split has no clip of a, b, c, d, e and 2 more"),
    ],
)
def test_an_unfit_task_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_task(make_task(**changes))


def test_unknown_task() -> None:
    with pytest.raises(ArgumentError, match=r"task is 'speech_command', .*did you mean 'speech_commands'\?"):
        audio_tasks.load("speech_command")


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("speech_commands", "fold", "task speech_commands has no option 'fold'; its options: words"),
        ("esc10", "words", "task esc10 has no option 'words'; its options: fold"),
        ("folder", "word", "its options: clip_seconds, split_by, test_fraction, validation_fraction"),
    ],
)
def test_unknown_option(name: str, option: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        audio_tasks.load(name, **{option: 1})


def test_a_task_declares_the_flags_of_its_options():
    flags = audio_tasks.flags()
    assert list(flags)[:4] == ["words", "fold", "phrase", "positives"]
    assert {"window_s", "hop_s", "group", "time_unit"} < set(flags)
    assert flags["hop_s"].kind("0.5") == 0.5 and flags["hop_s"].about.startswith("timeseries: ")
    assert flags["phrase"].repeated and not flags["fold"].repeated
    assert flags["fold"].about.startswith("esc50, esc10: ")
    for name, loader in audio_tasks.TASKS.items():
        assert set(loader.flags) <= set(loader.options()), name
