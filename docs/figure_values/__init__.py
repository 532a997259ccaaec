"""Every figure that a page may show, by name, each made from a file in benchmarks/results."""

from __future__ import annotations

from figure_values import accuracy, always_on, calibration, difficulty, speed
from figure_values.common import Figure

FIGURES: dict[str, Figure] = {
    **accuracy.FIGURES,
    **always_on.FIGURES,
    **calibration.FIGURES,
    **difficulty.FIGURES,
    **speed.FIGURES,
}
