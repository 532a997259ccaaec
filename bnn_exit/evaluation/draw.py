"""The plots of a report."""

from __future__ import annotations

import os
from pathlib import Path

import numpy.typing as npt

from bnn_exit.evaluation import plots
from bnn_exit.evaluation.report import Report
from bnn_exit.files import expanded
from bnn_exit.text import counted


def draw(folder: str | os.PathLike[str], report: Report, curve: npt.ArrayLike, *, shown: str) -> list[Path]:
    """Write trade_off.png, exit_histogram.png and confusion_matrix.png (of operating point `shown`); their paths."""
    target = expanded(folder)
    about = f"{report.task}, {report.split} split, {counted(report.sample_count, 'clip')}"
    points = report.operating_points
    paths = [target / f"{name}.png" for name in ("trade_off", "exit_histogram", "confusion_matrix")]
    plots.trade_off(
        paths[0],
        curve=curve,
        exits=[(figures.relative_cost["ops"], figures.accuracy) for figures in report.exits],
        points={name: (point.relative_cost["ops"], point.accuracy) for name, point in points.items()},
        title=f"Accuracy against cost\n{about}",
    )
    plots.exit_histogram(
        paths[1],
        shares={name: point.exit_shares for name, point in points.items()},
        title=f"Where clips leave\n{about}",
    )
    plots.confusion_matrix(
        paths[2],
        counts=points[shown].confusion_matrix,
        labels=report.labels,
        title=f"Operating point {shown}\n{about}",
    )
    return paths
