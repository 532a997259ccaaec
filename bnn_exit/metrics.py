"""Figures from predictions: accuracy, exit shares, mean cost, confusion matrix, per-class table. Pure NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.errors import ArgumentError

Integers = npt.NDArray[np.int64]


def accuracy(predictions: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of clips whose prediction equals the label, in [0, 1]; both [clips]."""
    predicted, true = _pair(predictions, labels)
    return float(np.mean(predicted == true))


def exit_shares(exit_indices: npt.ArrayLike, *, exits: int) -> npt.NDArray[np.float64]:
    """Share of the clips that left at each exit: [exits], sums to 1."""
    return _exit_counts(exit_indices, exits=exits) / np.size(exit_indices)


def mean_cost(exit_indices: npt.ArrayLike, costs: Sequence[Cost]) -> dict[str, float]:
    """Average cost over clips, each at the exit where it left.

    Args:
        exit_indices: [clips]; with a skip gate the outcomes of `policies.rule.outcomes`.
        costs: the cumulative cost of leaving at each exit, so every executed head is counted.

    Returns:
        `binary_macs`, `float_macs` and `ops` of the average clip.
    """
    costs = LeavingCosts.of(costs).outcomes
    counts = _exit_counts(exit_indices, exits=len(costs))
    table = {
        "binary_macs": [float(cost.binary_macs) for cost in costs],
        "float_macs": [float(cost.float_macs) for cost in costs],
        "ops": [cost.ops for cost in costs],
    }
    return {name: float(counts @ np.array(values) / counts.sum()) for name, values in table.items()}


def relative_cost(mean: dict[str, float], full: Cost) -> dict[str, float]:
    """A mean cost as a share of the full network's; 0 where the full network has none of that work."""
    whole = {"binary_macs": full.binary_macs, "float_macs": full.float_macs, "ops": full.ops}
    return {name: mean[name] / whole[name] if whole[name] else 0.0 for name in whole}


def confusion_matrix(predictions: npt.ArrayLike, labels: npt.ArrayLike, *, num_classes: int) -> Integers:
    """Counts [num_classes, num_classes]: row = true label, column = prediction."""
    predicted, true = _pair(predictions, labels)
    for name, values in (("predictions", predicted), ("labels", true)):
        if values.min() < 0 or values.max() >= num_classes:
            raise ArgumentError(
                f"{name} has values from {values.min()} to {values.max()}, but must lie in 0 to {num_classes - 1}"
            )
    counts = np.bincount(true * num_classes + predicted, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)


def per_class(
    predictions: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    names: Sequence[str],
    exit_indices: npt.ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """One row for each class: label, precision, recall, f1, support and, given exits, average_exit.

    precision = hits / predicted, recall = hits / support, f1 = 2 hits / (predicted + support); a ratio of 0 to 0 is 0,
    except that `average_exit` (counted from 1, over the clips of this true class) is None for a class without clips.
    """
    matrix = confusion_matrix(predictions, labels, num_classes=len(names))
    hits, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(names):
        rows.append(
            {
                "label": name,
                "precision": _ratio(hits[index], predicted[index]),
                "recall": _ratio(hits[index], support[index]),
                "f1": _ratio(2 * hits[index], predicted[index] + support[index]),
                "support": int(support[index]),
            }
        )
    if exit_indices is not None:
        exits, true = _pair(exit_indices, labels, name="exit_indices")
        for index, row in enumerate(rows):
            row["average_exit"] = float(exits[true == index].mean()) + 1 if row["support"] else None
    return rows


def _exit_counts(exit_indices: npt.ArrayLike, *, exits: int) -> Integers:
    values = np.asarray(exit_indices, np.int64)
    if values.ndim != 1 or values.size == 0:
        raise ArgumentError(f"exit_indices has shape {values.shape}, but must be one-dimensional and not empty")
    if values.min() < 0 or values.max() >= exits:
        raise ArgumentError(
            f"exit_indices has values from {values.min()} to {values.max()}, but must lie in 0 to {exits - 1}"
        )
    return np.bincount(values, minlength=exits)


def _pair(values: npt.ArrayLike, labels: npt.ArrayLike, *, name: str = "predictions") -> tuple[Integers, Integers]:
    left, right = np.asarray(values, np.int64), np.asarray(labels, np.int64)
    if left.ndim != 1 or left.shape != right.shape or left.size == 0:
        raise ArgumentError(
            f"{name} and labels have shapes {left.shape} and {right.shape}, "
            "but must be one-dimensional, of equal length and not empty"
        )
    return left, right


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
