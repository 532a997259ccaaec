"""Operating points of a trained network, from its validation clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from bnn_exit._keras import keras
from bnn_exit.answers import Answers
from bnn_exit.calibrate.operating_points import DROPS, OperatingPoint, operating_points
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models.heads import over_grid
from bnn_exit.models.network import Network
from bnn_exit.policies import Policy

if TYPE_CHECKING:
    from audio_tasks.base import Task
    from bnn_exit.models.multi_exit import MultiExitModel


def calibrate(
    model: MultiExitModel,
    task: Task,
    *,
    split: str = "validation",
    max_accuracy_drop: float | None = None,
    drops: Mapping[str, float | None] = DROPS,
    policy: Policy | None = None,
) -> dict[str, OperatingPoint]:
    """Thresholds for each name in `drops`, each with its figures on the clips that chose it.

    Args:
        model: trained.
        task: gives the clips.
        split: "validation"; "train" is accepted but promises too much. Never "test": its figures are for reporting.
        max_accuracy_drop: adds an operating point "custom" that may lose this much accuracy against the last exit, in
            [0, 1]. Larger is faster.
        drops: operating point -> accuracy that it may lose; None switches every early exit off.
        policy: fitted; None means the default one.
    """
    if one_of("split", split, ("train", "validation", "test")) == "test":
        raise ArgumentError("split is 'test', but thresholds chosen on the test split would flatter every later figure")
    wanted = dict(drops) if max_accuracy_drop is None else {**drops, "custom": max_accuracy_drop}
    return operating_points(answers_of(model, task, split=split), model.costs(), drops=wanted, policy=policy)


def answers_of(model: Network, task: Task, *, split: str, features: bool = False) -> Answers:
    """What every exit of a network says about the clips of a split.

    Args:
        model: trained; with `features`, one made of stages and heads.
        task: gives the clips.
        split: "train", "validation" or "test".
        features: also the features of every exit, as class means are taken of: means over a grid of 6 x 4 cells.
    """
    chosen, log_mel = task.split(split), np.asarray(task.log_mel(split))
    return Answers(
        logits=model.logits(log_mel),
        features=_features(cast("MultiExitModel", model), log_mel) if features else (),
        labels=np.asarray(chosen.labels, np.int64),
        split=split,
        names=tuple(chosen.ids),
    )


def _features(model: MultiExitModel, log_mel: np.ndarray) -> tuple[np.ndarray, ...]:
    flat = [keras.layers.Flatten()(over_grid(reached)) for reached in model.features]
    pooled = keras.Model(model.keras_model.inputs, flat)
    return tuple(pooled.predict(log_mel[..., None], batch_size=128, verbose=0))
