"""Settings that need no tuning, for each task and size."""

from __future__ import annotations

from dataclasses import dataclass

from bnn_exit.audio.augment import AugmentConfig
from bnn_exit.config import FeatureConfig
from bnn_exit.models.multi_exit import ModelConfig
from bnn_exit.training.config import TrainConfig


@dataclass(frozen=True)
class Settings:
    """What a run uses unless the user says otherwise."""

    training: TrainConfig
    augment: AugmentConfig


_WORDS = Settings(TrainConfig(epochs=30), AugmentConfig())
# A few hundred long clips: many passes, small batches, shifts as wide as the sounds are loose.
_SOUNDS = Settings(
    TrainConfig(epochs=80, batch_size=16, learning_rate=2e-3, warmup_steps=100),
    AugmentConfig(time_shift_ms=1000.0, gain_db=12.0, time_mask_frames=80, frequency_mask_mels=16),
)
# Twelve hundred clips: small batches, so that a demonstration of a minute or two has steps enough.
_SYNTHETIC = Settings(TrainConfig(epochs=20, batch_size=16, warmup_steps=100), AugmentConfig())

_BY_TASK = {"esc10": _SOUNDS, "esc50": _SOUNDS, "synthetic": _SYNTHETIC}


def default_settings(task: str, model: ModelConfig, features: FeatureConfig) -> Settings:
    """Training and augmentation for the task called `task`."""
    settings = _BY_TASK.get(task, _WORDS)
    return Settings(settings.training, settings.augment.scaled_to(features))
