"""Settings of a teacher's training that need no tuning, for each task."""

from __future__ import annotations

import dataclasses

from bnn_exit.config import FeatureConfig
from bnn_exit.models.multi_exit import ModelConfig
from bnn_exit.training import recipes


def default_settings(task: str, features: FeatureConfig) -> recipes.Settings:
    """Training and augmentation of a teacher for the task called `task`: those of a student, with a lower rate.

    Weights that keep their size want smaller steps than ones of which only the sign counts.
    """
    student = recipes.default_settings(task, ModelConfig(), features)
    rate = student.training.learning_rate * 2 / 3
    return dataclasses.replace(student, training=dataclasses.replace(student.training, learning_rate=rate))
