"""Operating points of a trained network, from its validation clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bnn_exit import calibration, policy
from bnn_exit.calibration import DROPS, OperatingPoint
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models.multi_exit import MultiExitModel

if TYPE_CHECKING:
    from audio_tasks.base import Task


def calibrate(
    model: MultiExitModel,
    task: Task,
    *,
    split: str = "validation",
    max_accuracy_drop: float | None = None,
    drops: Mapping[str, float | None] = DROPS,
) -> dict[str, OperatingPoint]:
    """Thresholds for each name in `drops`, each with its figures on the clips that chose it.

    Args:
        model: trained.
        task: gives the clips.
        split: "validation"; "train" is accepted but promises too much. Never "test": its figures are for reporting.
        max_accuracy_drop: adds an operating point "custom" that may lose this much accuracy against the last exit, in
            [0, 1]. Larger is faster.
        drops: operating point -> accuracy that it may lose; None switches every early exit off.
    """
    if one_of("split", split, ("train", "validation", "test")) == "test":
        raise ArgumentError("split is 'test', but thresholds chosen on the test split would flatter every later figure")
    wanted = dict(drops) if max_accuracy_drop is None else {**drops, "custom": max_accuracy_drop}
    probabilities = policy.softmax(model.logits(np.asarray(task.log_mel(split))))
    return calibration.operating_points(
        probabilities, task.split(split).labels, model.costs(), drops=wanted, split=split
    )
