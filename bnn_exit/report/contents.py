"""The JSON values of the page: figures, and the outputs of every exit for every clip."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics
from bnn_exit.cost import LeavingCosts
from bnn_exit.evaluation.report import ExitFigures, PointFigures
from bnn_exit.pairs import zip_strict
from bnn_exit.report import hard_clips
from bnn_exit.report.gallery import gallery
from bnn_exit.report.reliability import Reliability, reliability
from bnn_exit.report.source import Source

HARDEST, OVERTHOUGHT, DOUBTFUL = "Hardest", "Overthought", "Label in doubt"


def contents(source: Source, *, budget: int) -> dict[str, Any]:
    """All that the page's script reads.

    Scores keep all their bits, so that the page decides about every clip as the file does.

    Args:
        source: the measured pass.
        budget: characters that the pictures and sounds of clips may take.
    """
    hard = hard_clips.find(source.probabilities, source.labels)
    ranked = {HARDEST: hard.hardest, OVERTHOUGHT: hard.overthought, DOUBTFUL: hard.doubtful}
    shown = gallery(source, ranked, difficulty=hard.difficulty, budget=budget)
    predicted = source.probabilities.argmax(axis=-1)
    return {
        "labels": source.report.labels,
        "exits": [
            {
                "accuracy": figures.accuracy,
                "binary_macs": cost.binary_macs,
                "float_macs": cost.float_macs,
                "ops": cost.ops,
                **_times(figures),
            }
            for figures, cost in zip_strict(source.report.exits, source.costs)
        ],
        "skipped": _skipped(source),
        "points": {
            name: {
                "thresholds": point.thresholds,
                "accuracy": point.accuracy,
                "ops": point.mean_cost["ops"],
                **_times(point),
            }
            for name, point in source.report.operating_points.items()
        },
        "clips": {
            "truth": _packed(source.labels, "<u2"),
            "scores": [_packed(values, "<f4") for values in source.scores.T],
            "predicted": [_packed(values, "<u2") for values in predicted.T],
        },
        "reliability": [_bins(reliability(each, source.labels)) for each in source.probabilities.transpose(1, 0, 2)],
        "definition": hard_clips.DEFINITION,
        "classes": classes(source, hard.difficulty),
        "lists": [{"name": name, "clips": clips, "found": shown.found[name]} for name, clips in shown.lists.items()],
        "gallery": shown.clips,
    }


def classes(source: Source, difficulty: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    """A row for each class that has clips, the most difficult first.

    Each has `label`, `clips`, mean `difficulty`, `accuracy` of the last exit, and `confused_with`: the most
    frequent wrong prediction of the last exit, or None if it makes no error.
    """
    names = source.report.labels
    matrix = metrics.confusion_matrix(
        source.probabilities[:, -1].argmax(axis=-1), source.labels, num_classes=len(names)
    )
    rows = []
    for index, name in enumerate(names):
        clips = int(matrix[index].sum())
        if clips:
            wrong = matrix[index].copy()
            wrong[index] = 0
            rows.append(
                {
                    "label": name,
                    "clips": clips,
                    "difficulty": float(difficulty[source.labels == index].mean()),
                    "accuracy": float(matrix[index, index] / clips),
                    "confused_with": names[int(wrong.argmax())] if wrong.any() else None,
                }
            )
    return sorted(rows, key=lambda row: -row["difficulty"])


def _skipped(source: Source) -> dict[str, float] | None:
    """What a clip costs that a skip gate sends to the last exit; None without such a gate."""
    cost = LeavingCosts.of(source.costs).skipped
    return None if cost is None else {"binary_macs": cost.binary_macs, "float_macs": cost.float_macs, "ops": cost.ops}


def _times(figures: ExitFigures | PointFigures) -> dict[str, float | None]:
    """Mean times of the front end, of the network and of both; None for what was not measured apart."""
    parts = {"front_end_us": figures.front_end_us, "time_us": figures.time_us, "whole_us": figures.whole_us}
    return {name: None if times is None else times.mean for name, times in parts.items()}


def _packed(values: npt.ArrayLike, kind: str) -> str:
    return base64.b64encode(np.asarray(values).astype(kind).tobytes()).decode()


def _bins(found: Reliability) -> dict[str, Any]:
    used = found.counts > 0
    return {
        "error": found.error,
        "counts": found.counts[used].tolist(),
        "confidence": found.confidence[used].tolist(),
        "accuracy": found.accuracy[used].tolist(),
    }
