"""Every figure that a page may show, by name, made from benchmarks/results and the recipes."""

from __future__ import annotations

from figure_values import accuracy, always_on, calibration, difficulty, offload, recipes, schemes, sensors, speed
from figure_values.common import Figure

FIGURES: dict[str, Figure] = {
    **accuracy.FIGURES,
    **always_on.FIGURES,
    **calibration.FIGURES,
    **difficulty.FIGURES,
    **offload.FIGURES,
    **recipes.FIGURES,
    **schemes.FIGURES,
    **sensors.FIGURES,
    **speed.FIGURES,
}
