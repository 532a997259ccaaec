"""From measured passes over a split to the table of figures, its printed form and its plots."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics, plots
from bnn_exit.cost import Cost
from bnn_exit.display import shown as shown_text
from bnn_exit.files import expanded
from bnn_exit.measure import Measurement, Passes, time_us
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule

SWEEP_STEPS = 200
"""Thresholds on the trade-off curve."""


def figures(
    measurement: Measurement, labels: npt.ArrayLike, *, names: Sequence[str], costs: Sequence[Cost]
) -> dict[str, Any]:
    """The figures of a split as JSON values: a list `exits` and a table `operating_points`.

    Args:
        measurement: every clip at every exit and every operating point.
        labels: [clips], true labels.
        names: what each class is called.
        costs: cumulative cost of leaving at each exit.
    """
    full = metrics.accuracy(measurement.forced[-1].predictions, labels)
    exits = []
    for k, (passes, cost) in enumerate(zip_strict(measurement.forced, costs)):
        exits.append(
            {
                "exit_index": k,
                "accuracy": metrics.accuracy(passes.predictions, labels),
                "cost": {**cost.to_dict(), "ops": cost.ops},
                "relative_cost": metrics.relative_cost(
                    {"binary_macs": cost.binary_macs, "float_macs": cost.float_macs, "ops": cost.ops}, costs[-1]
                ),
                "time_us": time_us(passes.seconds),
            }
        )
    points = {}
    for name, passes in measurement.points.items():
        points[name] = _point(passes, labels, names=names, costs=costs)
        points[name]["accuracy_drop"] = full - points[name]["accuracy"]
        points[name]["exit_agreement"] = measurement.agreement(name)
    return {"exits": exits, "operating_points": points}


def _point(passes: Passes, labels: npt.ArrayLike, *, names: Sequence[str], costs: Sequence[Cost]) -> dict[str, Any]:
    mean = metrics.mean_cost(passes.exit_indices, costs)
    return {
        # The shortest decimals that are the same float32.
        "thresholds": [float(str(value)) for value in passes.thresholds],
        "accuracy": metrics.accuracy(passes.predictions, labels),
        "exit_shares": metrics.exit_shares(passes.exit_indices, exits=len(costs)).tolist(),
        "mean_cost": mean,
        "relative_cost": metrics.relative_cost(mean, costs[-1]),
        "time_us": time_us(passes.seconds),
        "per_class": metrics.per_class(passes.predictions, labels, names=names, exit_indices=passes.exit_indices),
        "confusion_matrix": metrics.confusion_matrix(passes.predictions, labels, num_classes=len(names)).tolist(),
    }


def sweep(measurement: Measurement, labels: npt.ArrayLike, *, costs: Sequence[Cost]) -> npt.NDArray[np.float64]:
    """The trade-off of one threshold shared by all exits: [steps, 2] of (share of the full ops, accuracy), rising cost.

    Made from the measured answers of every exit, through `rule.exit_indices`.
    """
    scores, probabilities = measurement.exit_scores[:, :-1], measurement.exit_probabilities
    seen = scores[np.isfinite(scores)]
    values = np.quantile(seen, np.linspace(1, 0, SWEEP_STEPS)) if seen.size else np.zeros(0)
    curve = []
    for threshold in [rule.ALWAYS, *values, 0.0]:
        exits = rule.exit_indices(scores, np.full(scores.shape[1], threshold))
        right = metrics.accuracy(rule.predicted_labels(probabilities, exits), labels)
        curve.append((metrics.mean_cost(exits, costs)["ops"] / costs[-1].ops, right))
    return np.array(curve)


def table(report: dict[str, Any]) -> str:
    """The figures of `report` as text for a terminal."""
    lines = [
        f"{report['task']}, {report['split']} split, {report['sample_count']} clips, backend {report['backend']}, "
        f"{report['threads']} thread, {report['machine']['cpu']}",
        "",
        f"{'exit':<10} {'accuracy %':>10} {'binary MACs':>14} {'float MACs':>12} {'ops %':>7} {'median us':>10}",
    ]
    for row in report["exits"]:
        lines.append(
            f"{row['exit_index'] + 1:<10} {100 * row['accuracy']:>10.2f} {row['cost']['binary_macs']:>14,} "
            f"{row['cost']['float_macs']:>12,} {100 * row['relative_cost']['ops']:>7.1f} "
            f"{row['time_us']['median']:>10.1f}"
        )
    lines += [
        "",
        f"{'point':<10} {'accuracy %':>10} {'drop pp':>8} {'binary %':>9} {'ops %':>7} {'mean us':>10} "
        f"{'p95 us':>10}  clips that leave at each exit (%)",
    ]
    for name, row in report["operating_points"].items():
        shares = " ".join(f"{100 * share:.1f}" for share in row["exit_shares"])
        lines.append(
            f"{shown_text(name):<10} {100 * row['accuracy']:>10.2f} {100 * row['accuracy_drop']:>8.2f} "
            f"{100 * row['relative_cost']['binary_macs']:>9.1f} {100 * row['relative_cost']['ops']:>7.1f} "
            f"{row['time_us']['mean']:>10.1f} {row['time_us']['p95']:>10.1f}  {shares}"
        )
    skipped = ", ".join(f"{count} {reason}" for reason, count in report["skipped_files"].items())
    lines += ["", f"skipped files: {shown_text(skipped) or 'none'}"]
    return "\n".join(lines)


def draw(folder: str | os.PathLike[str], report: dict[str, Any], curve: npt.ArrayLike, *, shown: str) -> list[Path]:
    """Write trade_off.png, exit_histogram.png and confusion_matrix.png (of operating point `shown`); their paths."""
    target = expanded(folder)
    about = f"{report['task']}, {report['split']} split, {report['sample_count']} clips"
    points = report["operating_points"]
    paths = [target / f"{name}.png" for name in ("trade_off", "exit_histogram", "confusion_matrix")]
    plots.trade_off(
        paths[0],
        curve=curve,
        exits=[(row["relative_cost"]["ops"], row["accuracy"]) for row in report["exits"]],
        points={name: (row["relative_cost"]["ops"], row["accuracy"]) for name, row in points.items()},
        title=f"Accuracy against cost\n{about}",
    )
    plots.exit_histogram(
        paths[1],
        shares={name: row["exit_shares"] for name, row in points.items()},
        title=f"Where clips leave\n{about}",
    )
    plots.confusion_matrix(
        paths[2],
        counts=points[shown]["confusion_matrix"],
        labels=report["labels"],
        title=f"Operating point {shown}\n{about}",
    )
    return paths
