"""A training with negatives: background is cut anew in each epoch, and a resumed training ends the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import tiny_model

from audio_tasks.base import Task
from audio_tasks.negatives import with_negatives
from bnn_exit._keras import make_repeatable, set_seed
from bnn_exit.audio import wav
from bnn_exit.settings.augment import UNCHANGED, AugmentConfig
from bnn_exit.training import TrainConfig, fit, loop
from bnn_exit.training.data import Batches
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.loop import _augmenter, _background

AUGMENT = AugmentConfig(
    place_anywhere=True, partial_share=0.25, background_probability=0.8, reverberation_probability=0.3
)
CONFIG = TrainConfig(epochs=2, batch_size=16, warmup_steps=2, seed=3)


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    make_repeatable()


@pytest.fixture(scope="module")
def task(tone_task: Task, tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The tones, and three recordings of noise that comes and goes."""
    root = tmp_path_factory.mktemp("negatives")
    draw = np.random.default_rng(0)
    for number in range(3):
        noise = draw.normal(0, 0.1, 32000) * (1 + np.sin(np.arange(32000) / 2000 + number))
        wav.write(root / f"{number}.wav", noise.astype(np.float32), sample_rate_hz=16000)
    return with_negatives(tone_task, root, share=0.25, cache_dir=tmp_path_factory.mktemp("cache"))


def batches(task: Task, augment: AugmentConfig, *, seed: int = 0) -> Batches:
    background = _background(augment, task, seed=seed)
    return Batches(
        task.log_mel("train"),
        task.train.labels,
        classes=task.num_classes,
        augmenter=_augmenter(augment, task, seed=seed, background=background),
        batch_size=16,
        seed=seed,
        mix_probability=0.0,
        distribution=Distribution.start(None),
        background=background,
    )


def view(task: Task, number: int, *, augment: AugmentConfig = UNCHANGED) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in batches(task, augment).view(number)])[..., 0]


def test_background_is_cut_anew_in_each_view_and_words_are_not(task: Task) -> None:
    first = task.negatives.first
    assert (first, len(task.train)) == (96, 128)
    one, other = view(task, 1), view(task, 2)
    np.testing.assert_array_equal(one, view(task, 1))
    np.testing.assert_array_equal(one[:first], task.log_mel("train")[:first])
    np.testing.assert_array_equal(other[:first], one[:first])
    assert all(not np.array_equal(one[index], other[index]) for index in range(first, len(one)))
    # What is cut is in the recordings, frame by frame.
    rows = {row.tobytes() for row in task.negatives.log_mel}
    assert {row.tobytes() for clip in one[first:] for row in clip} <= rows


def test_every_change_at_once_is_finite_and_repeats(task: Task) -> None:
    found = view(task, 5, augment=AUGMENT)
    assert found.shape == task.log_mel("train").shape and np.isfinite(found).all()
    np.testing.assert_array_equal(found, view(task, 5, augment=AUGMENT))


class Stop(Exception):
    """Ends a training between two epochs."""


def test_a_training_with_negatives_resumes_to_the_same_weights(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(folder: Path, *, resume: bool = False) -> list[np.ndarray]:
        set_seed(99 if resume else 3)
        model = tiny_model(num_classes=task.num_classes, input_shape=task.input_shape)
        fit(model, task, config=CONFIG, augment=AUGMENT, folder=folder, resume=resume, progress=False)
        return [variable.numpy() for variable in model.keras_model.weights]

    class Interrupted(loop._Fit):
        def _train_epoch(self, epoch: int) -> dict[str, Any]:
            if epoch == 1:
                raise Stop
            return super()._train_epoch(epoch)

    expected = trained(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(loop, "_Fit", Interrupted)
        trained(tmp_path / "parts")
    for found, wanted in zip(trained(tmp_path / "parts", resume=True), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
