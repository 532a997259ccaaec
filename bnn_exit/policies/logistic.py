"""Logistic regression, as the policies that predict an event learn it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 50


def sigmoid(values: npt.NDArray[np.float64]) -> Floats:
    """1 / (1 + exp(-x)), for any x."""
    return 0.5 * (1 + np.tanh(0.5 * values))


def fit_logistic(inputs: Floats, truth: Floats, *, ridge: Any, weigh: Any = 1.0) -> Floats:
    """Weights, and then the bias, of the least regularised cross entropy; by Newton's method with halved steps.

    Minimises mean(weigh * cross entropy) + sum(ridge * values^2) / 2. Deterministic.

    Args:
        inputs: [clips, size].
        truth: [clips], 0 or 1.
        ridge: above 0, one number or one for each weight and the bias: it keeps them finite where all clips are alike.
        weigh: of the clips, one number or [clips].
    """
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    values = np.zeros(inputs.shape[1])
    ridge = np.broadcast_to(np.asarray(ridge, np.float64), values.shape)

    def loss(values: Floats) -> float:
        sums = inputs @ values
        return float((weigh * (np.logaddexp(0, sums) - truth * sums)).mean() + 0.5 * (ridge * values) @ values)

    for _ in range(_STEPS):
        likely = sigmoid(inputs @ values)
        slope = inputs.T @ (weigh * (likely - truth)) / len(inputs) + ridge * values
        curve = (inputs * (weigh * likely * (1 - likely))[:, None]).T @ inputs / len(inputs) + np.diag(ridge)
        step, before = np.linalg.solve(curve, slope), loss(values)
        while loss(values - step) > before and np.abs(step).max() > 1e-12:
            step = step / 2
        values = values - step
        if np.abs(step).max() < 1e-10:
            break
    return values
