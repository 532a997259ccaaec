"""Operating points with made-up figures, of a network of three exits."""

from __future__ import annotations

from bnn_exit.model_file.operating_points import OperatingPoint


def point(name: str, thresholds: tuple[float, ...], accuracy: float, shares: tuple[float, ...]) -> OperatingPoint:
    """An operating point with made-up figures."""
    costs = {"binary_macs": 1.0, "float_macs": 1.0, "ops": 1.0}
    return OperatingPoint(name, thresholds, 0.0, accuracy, shares, costs)


POINTS = {
    "full": point("full", (0.0, 0.0), 0.9, (0.0, 0.0, 1.0)),
    "balanced": point("balanced", (0.0, 1000.0), 0.8, (0.5, 0.5, 0.0)),
    "fast": point("fast", (1000.0, 0.0), 0.7, (1.0, 0.0, 0.0)),
}
