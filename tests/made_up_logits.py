"""ExitLogits of exits that were never trained, for tests of what is made from answers."""

from __future__ import annotations

import numpy as np

from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits


def made_up(*, count, exits, classes=4, seed=0, ties=False, split="validation"):
    """Random answers of exits that get better with depth, to clips of at least two classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    labels[:2] = 0, 1
    gain = 1.0 + 1.5 * np.arange(exits)
    logits = generator.normal(0, 1.5, (count, exits, classes)) + gain[:, None] * np.eye(classes)[labels][:, None]
    if ties:
        # Few distinct logits in each row make many clips share one score.
        logits = np.round(logits / 3) * 3
    return ExitLogits(logits, labels, split=split)


def ladder(exits):
    """Cumulative costs that grow with depth."""
    return [Cost(binary_macs=64 * (k + 1) ** 2, float_macs=k + 1) for k in range(exits)]
