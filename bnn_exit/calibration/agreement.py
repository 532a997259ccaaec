"""Thresholds and figures without labels: the last exit's own labels in place of the true ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnn_exit.calibration.operating_points import describe, operating_points, search_thresholds
from bnn_exit.cost import Cost
from bnn_exit.errors import DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import OperatingPoints
from bnn_exit.policies import Policy

SPLIT = "unlabelled"
"""The split that operating points of unlabelled clips name: their accuracy is agreement."""

LOST = (0.0, 0.01, 0.02, 0.05)
"""Shares of agreement lost at which mean ops are compared."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How exits agree with the full network on some clips.

    Attributes:
        exits: share of the clips that each exit gives the label of the full network, in [0, 1].
        ops: for each of `LOST`, the least mean ops of a clip with thresholds that lose so much agreement on these
            clips, without a margin.
        points: the usual operating points, by agreement in place of accuracy, with the usual margin.
        costs: of leaving at each exit, the work of the policy included.
    """

    exits: tuple[float, ...]
    ops: tuple[float, ...]
    points: OperatingPoints
    costs: tuple[Cost, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "agreement": list(self.exits),
            "ops_at_agreement_lost": {f"{lost:g}": ops for lost, ops in zip(LOST, self.ops)},
            "operating_points": {name: point.to_dict() for name, point in self.points.items()},
        }


def answered(exit_logits: ExitLogits) -> ExitLogits:
    """The logits, labelled by the last exit. A policy may learn from them as from a validation split.

    Raises:
        DataError: the last exit gives all clips one label, which no thresholds can be chosen on.

    Example:
        >>> answered(ExitLogits([[[0, 1], [1, 0]], [[0, 1], [0, 1]]])).labels
        array([0, 1])
    """
    labels = exit_logits.logits[:, -1].argmax(axis=-1)
    if np.all(labels == labels[0]):
        raise DataError(
            f"the network gives all clips that choose thresholds ({len(labels)}) the same label, but at least two "
            "labels are needed: give more clips, of more kinds of sound"
        )
    return dataclasses.replace(exit_logits, labels=labels, split="validation")


def agreement(exit_logits: ExitLogits, costs: Sequence[Cost], *, policy: Policy) -> Agreement:
    """How the exits agree with the labels of `answered`, and the thresholds for it.

    Args:
        exit_logits: labelled by the full network.
        costs: of leaving at each exit, the work of the policy included.
        policy: fitted.
    """
    ops = []
    for lost in LOST:
        thresholds = search_thresholds(exit_logits, costs, max_accuracy_drop=lost, standard_errors=0, policy=policy)
        found = describe("", thresholds, exit_logits, costs, policy=policy, max_accuracy_drop=lost)
        ops.append(found.mean_cost["ops"])
    points = operating_points(exit_logits, costs, policy=policy)
    marked = {name: dataclasses.replace(point, split=SPLIT) for name, point in points.items()}
    exits = tuple(map(float, exit_logits.correct.mean(axis=0)))
    return Agreement(exits, tuple(ops), OperatingPoints(marked, policy=policy), tuple(costs))
