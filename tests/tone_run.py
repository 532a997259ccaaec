"""A finished run of a tiny network on files of tones, which commands can load again: no espeak, no training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_build

import audio_tasks
from bnn_exit._keras import set_seed
from bnn_exit.audio import wav
from bnn_exit.commands.deploy import deploy
from bnn_exit.models import multi_exit
from bnn_exit.runs.folder import BEST, RunFolder
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training import checkpoint
from bnn_exit.training.loop import fit

TONES_HZ = {"low": 300, "middle": 600, "high": 1200}
GENTLE = AugmentConfig(time_shift_ms=20.0, snr_db=(20.0, 30.0), time_mask_frames=4, frequency_mask_mels=2)


def write_tones(folder: Path, *, clips_per_class: int, seed: int, noise: float = 0.02, nested: bool = True) -> None:
    """Half a second of each tone in noise, in a folder for each class or all in one."""
    random, time = np.random.default_rng(seed), np.arange(8000) / 16000
    for label, pitch in TONES_HZ.items():
        for index in range(clips_per_class):
            waveform = 0.3 * np.sin(2 * np.pi * pitch * random.uniform(0.95, 1.05) * time)
            waveform += random.normal(0, noise, len(time))
            place = folder / label / f"{index}.wav" if nested else folder / f"{label}_{index}.wav"
            wav.write(place, waveform.astype(np.float32), sample_rate_hz=16000)


def make_run(folder: Path, *, data: Path, patch: pytest.MonkeyPatch, epochs: int = 4) -> RunFolder:
    """A run in `folder` as training leaves it, on tones that are written to `data`; commands build its tiny network."""
    patch.setattr(multi_exit, "build", tiny_build)
    patch.setenv("BNN_EXIT_CACHE", str(data.parent / "cache"))
    write_tones(data, clips_per_class=20, seed=1)
    task = audio_tasks.load("folder", data_dir=data, clip_seconds=0.5, validation_fraction=0.2, test_fraction=0.2)
    training = TrainConfig(epochs=epochs, batch_size=8, warmup_steps=5, learning_rate=5e-3)
    run = RunFolder(folder)
    run.save_config(RunConfig(RunTask.of(task), ModelConfig(size="small", head="grid"), GENTLE, training))
    set_seed(0)
    model = tiny_build(num_classes=3, input_shape=task.input_shape, head="grid")
    fit(model, task, config=training, augment=GENTLE, progress=False)
    checkpoint.save(folder / BEST, variables=model.keras_model.weights, state={})
    deploy(model, task, run)
    return run
