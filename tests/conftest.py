"""Fixtures that many tests share: a tiny task of tones, and a tiny trained network exported to a file."""

from __future__ import annotations

import contextlib
import gc
import importlib
import random
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

from audio_tasks.base import Task
from audio_tasks.split import Split
from bnn_exit.settings.features import FeatureConfig

# Warnings are errors in the tests, but not those that TensorFlow makes while it is imported.
with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    importlib.import_module("bnn_exit._keras")

# TensorFlow and Keras make many objects that live long: searching them for garbage so often is a tenth of the time.
gc.set_threshold(20_000)

# The same examples every time: a test that fails fails for everybody. No deadline: no test checks the clock.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


# Keras draws new weights from Python's generator: the same for a test and a fixture whatever ran before them.
@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> None:
    """Give each fixture its own weights."""
    random.seed(fixturedef.argname)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Give each test its own weights."""
    random.seed(item.name)


TONES_HZ = (300, 600, 1200, 2400)


def tone_split(name: str, *, clips_per_class: int, seed: int, samples: int = 8000) -> Split:
    """Clips of noisy tones, one pitch a class: learnable in a few epochs by anything that sees frequency."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(TONES_HZ)), clips_per_class).astype(np.int32)
    time = np.arange(samples) / 16000
    waveforms = np.stack(
        [
            0.3 * np.sin(2 * np.pi * TONES_HZ[label] * rng.uniform(0.95, 1.05) * time) + rng.normal(0, 0.02, samples)
            for label in labels
        ]
    ).astype(np.float32)
    ids = tuple(f"{name}_{index}" for index in range(len(labels)))
    return Split(name, ids, labels, None, lambda index: waveforms[index])


@pytest.fixture(scope="session")
def tone_task() -> Task:
    """Four classes of half-second tones, in memory."""
    return Task(
        name="tones",
        labels=("low", "middle", "high", "top"),
        train=tone_split("train", clips_per_class=24, seed=1),
        validation=tone_split("validation", clips_per_class=10, seed=2),
        test=tone_split("test", clips_per_class=10, seed=3),
        clip_samples=8000,
        features=FeatureConfig(),
        noise=(np.random.default_rng(4).normal(0, 0.1, 16000).astype(np.float32),),
        licence="CC0",
        attribution="made by the tests",
    )


@pytest.fixture(scope="module")
def without_graphs() -> Iterator[None]:
    """Making graphs would take most of the time of tests about what happens around the steps of a training."""
    from bnn_exit._keras import tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def tiny_command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tone_task: Task) -> None:
    """`train` as it is, with `small_build` of the test's module, a task in memory, and nothing exported."""
    monkeypatch.setattr("audio_tasks.load", lambda *_, **__: tone_task)
    monkeypatch.setattr("distill.trainer.build", request.module.small_build)
    monkeypatch.setattr("bnn_exit.commands.deploy.deploy", lambda *_, **__: "deployed")
