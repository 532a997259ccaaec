"""The trade-off curve of one threshold that all exits share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit import metrics
from bnn_exit.cost import Cost
from bnn_exit.evaluation.passes import Measurement
from bnn_exit.policies import rule

STEPS = 200
"""Thresholds on the curve."""


def sweep(measurement: Measurement, labels: npt.ArrayLike, *, costs: Sequence[Cost]) -> npt.NDArray[np.float64]:
    """The trade-off of one threshold shared by all exits: [steps, 2] of (share of the full ops, accuracy), rising cost.

    Made from the measured scores and probabilities of every exit, through `rule.exit_indices`; a skip gate is off.
    """
    scores, probabilities = measurement.exit_scores, measurement.exit_probabilities
    early = scores[:, :-1]
    seen = early[np.isfinite(early)]
    values = np.quantile(seen, np.linspace(1, 0, STEPS)) if seen.size else np.zeros(0)
    curve = []
    for threshold in [rule.ALWAYS, *values, 0.0]:
        exits = rule.exit_indices(scores, np.full(early.shape[1], threshold))
        right = metrics.accuracy(rule.predicted_labels(probabilities, exits), labels)
        curve.append((metrics.mean_cost(exits, costs)["ops"] / costs[-1].ops, right))
    return np.array(curve)
