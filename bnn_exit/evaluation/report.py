"""The figures of a model file on a split, for the table, the plots and the HTML report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics
from bnn_exit.cost import Cost
from bnn_exit.evaluation.passes import Measurement, Passes
from bnn_exit.evaluation.times import Times
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule


@dataclasses.dataclass(frozen=True)
class ExitFigures:
    """Every clip at one exit.

    Attributes:
        exit_index: 0-based.
        accuracy: share of correct predictions, in [0, 1].
        cost: of leaving there.
        relative_cost: binary_macs, float_macs and ops as shares of the last exit's.
        time_us: of the network.
        front_end_us: of the front end, right before the network; None if it is in the file.
        whole_us: of both; of the network where the front end is in the file. None in reports of earlier versions.
    """

    exit_index: int
    accuracy: float
    cost: Cost
    relative_cost: dict[str, float]
    time_us: Times
    front_end_us: Times | None = None
    whole_us: Times | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "cost": {**self.cost.to_dict(), "ops": self.cost.ops}}


@dataclasses.dataclass(frozen=True)
class PointFigures:
    """Every clip at one operating point.

    Attributes:
        thresholds: one for each exit but the last, and then one for a skip gate.
        accuracy: share of correct predictions, in [0, 1].
        exit_shares: share of the clips that leave at each exit; sums to 1.
        mean_cost: binary_macs, float_macs and ops of the average clip.
        relative_cost: the same as shares of the last exit's.
        time_us, front_end_us, whole_us: as of an exit.
        per_class: figures of each class, as `metrics.per_class` gives them.
        confusion_matrix: clips by true and predicted class.
        accuracy_drop: accuracy lost against the last exit; below 0 if some is gained.
        exit_agreement: share of clips that leave where the exit rule, applied to the measured scores, lets them.
        skipped_share: share of the clips that a skip gate sent past the early heads; None without such a gate.
    """

    thresholds: list[float]
    accuracy: float
    exit_shares: list[float]
    mean_cost: dict[str, float]
    relative_cost: dict[str, float]
    time_us: Times
    per_class: list[dict[str, Any]]
    confusion_matrix: list[list[int]]
    accuracy_drop: float
    exit_agreement: float
    skipped_share: float | None = None
    front_end_us: Times | None = None
    whole_us: Times | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """The figures of a split, with their provenance.

    Attributes:
        task: name of the task.
        labels: names of the classes.
        split: "train", "validation" or "test".
        sample_count, split_count: clips that were measured, and clips of the split.
        skipped_files: how many files of the data could not be used, by reason.
        backend, threads: what ran the model.
        time_of: what the times are of.
        front_end_us: times of the front end in all passes, or None if it is in the file.
        exits: figures of each exit.
        operating_points: figures of each operating point, by name.
        provenance: date, revision, machine and versions, as `machine.provenance` gives them.
        seed: of the training; None if it is not known.
        command: command line that made the report.
        caches: "warm": every clip went through front end and network just before.
    """

    task: str
    labels: list[str]
    split: str
    sample_count: int
    split_count: int
    skipped_files: dict[str, int]
    backend: str
    threads: int
    time_of: str
    front_end_us: Times | None
    exits: list[ExitFigures]
    operating_points: dict[str, PointFigures]
    provenance: dict[str, Any]
    seed: int | None = None
    command: str = ""
    caches: str = "warm"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, the content of metrics.json."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        provenance = values.pop("provenance")
        return {
            **values,
            "measured": True,
            "front_end_us": None if self.front_end_us is None else dataclasses.asdict(self.front_end_us),
            "exits": [figures.to_dict() for figures in self.exits],
            "operating_points": {name: dataclasses.asdict(point) for name, point in self.operating_points.items()},
            **provenance,
        }


def exit_figures(measurement: Measurement, labels: npt.ArrayLike, *, costs: Sequence[Cost]) -> list[ExitFigures]:
    """The figures of each exit.

    Args:
        measurement: every clip at every exit.
        labels: [clips], true labels.
        costs: cumulative cost of leaving at each exit.
    """
    return [
        ExitFigures(
            exit_index=k,
            accuracy=metrics.accuracy(passes.predictions, labels),
            cost=cost,
            relative_cost=metrics.relative_cost(
                {"binary_macs": cost.binary_macs, "float_macs": cost.float_macs, "ops": cost.ops}, costs[-1]
            ),
            **_times(passes),
        )
        for k, (passes, cost) in enumerate(zip_strict(measurement.forced, costs))
    ]


def point_figures(
    measurement: Measurement, labels: npt.ArrayLike, *, names: Sequence[str], costs: Sequence[Cost]
) -> dict[str, PointFigures]:
    """The figures of each operating point; arguments as of `exit_figures`, and the names of the classes."""
    full = metrics.accuracy(measurement.forced[-1].predictions, labels)
    return {
        name: _point(passes, labels, names=names, costs=costs, full=full, agreement=measurement.agreement(name))
        for name, passes in measurement.points.items()
    }


def _point(
    passes: Passes,
    labels: npt.ArrayLike,
    *,
    names: Sequence[str],
    costs: Sequence[Cost],
    full: float,
    agreement: float,
) -> PointFigures:
    outcomes = passes.outcomes(exits=len(costs))
    mean = metrics.mean_cost(outcomes, costs)
    skips = rule.skip_threshold(passes.thresholds, exits=len(costs)) is not None
    accuracy = metrics.accuracy(passes.predictions, labels)
    return PointFigures(
        # The shortest decimals that are the same float32.
        thresholds=[float(str(np.float32(value))) for value in passes.thresholds],
        accuracy=accuracy,
        exit_shares=metrics.exit_shares(passes.exit_indices, exits=len(costs)).tolist(),
        mean_cost=mean,
        relative_cost=metrics.relative_cost(mean, costs[-1]),
        **_times(passes),
        per_class=metrics.per_class(passes.predictions, labels, names=names, exit_indices=passes.exit_indices),
        confusion_matrix=metrics.confusion_matrix(passes.predictions, labels, num_classes=len(names)).tolist(),
        accuracy_drop=full - accuracy,
        exit_agreement=agreement,
        skipped_share=float((outcomes == len(costs)).mean()) if skips else None,
    )


def _times(passes: Passes) -> dict[str, Any]:
    """The times of network, front end and both, by the names of their fields."""
    front_end = passes.front_end_seconds
    return {
        "time_us": Times.of(passes.seconds),
        "front_end_us": None if front_end is None else Times.of(front_end),
        "whole_us": Times.of(passes.whole_seconds),
    }
