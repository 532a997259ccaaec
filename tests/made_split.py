"""A tiny network that was cut in two, for tests of both sides."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
from made_split_points import POINTS
from tiny import tiny_model

from bnn_exit._keras import set_seed
from bnn_exit.conversion import split
from bnn_exit.conversion.to_lce import convert
from bnn_exit.model_file import reader
from bnn_exit.settings.features import FeatureConfig

FEATURES = FeatureConfig(num_mels=32)
SAMPLES = 8000
FRAMES = FEATURES.num_frames(SAMPLES)
LABELS = ("yes", "no", "up")
TASK = types.SimpleNamespace(
    name="made", labels=LABELS, features=FEATURES, clip_samples=SAMPLES, licence="CC0", attribution="nobody"
)


def make(folder: Path, *, after: int = 1, raw: bool = True, seed: int = 1) -> tuple[reader.ModelFile, Path, Path]:
    """The whole file and the paths of its halves."""
    set_seed(seed)
    model = tiny_model(num_classes=3, input_shape=(FRAMES, 32, 1))
    path = folder / f"whole_{seed}.tflite"
    path.write_bytes(convert(model, task=TASK, operating_points=POINTS, input="log_mel"))
    whole = reader.read(path)
    made = split.cut(whole, after, raw=raw)
    device, server = folder / f"device_{seed}_{after}.tflite", folder / f"server_{seed}_{after}.tflite"
    device.write_bytes(made.device)
    server.write_bytes(made.server)
    return whole, device, server


def clips(count: int, seed: int = 0) -> np.ndarray:
    """Log-mels [count, frames, mels]."""
    return np.random.default_rng(seed).normal(-5, 3, (count, FRAMES, FEATURES.num_mels)).astype(np.float32)
