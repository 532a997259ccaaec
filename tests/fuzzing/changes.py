"""Structural changes of files: what a damaged or hostile writer would give, not what a damaged disk would.

    changed(file, seed) -> bytes

Random bytes cannot keep two shapes consistent, so most such files would be refused at the first check; here every
change may come with results whose shapes are only known at run time, and those files get far.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fuzzing import change_files, change_operators, change_values
from fuzzing.changer import Changer, dynamic
from fuzzing.parts import parts_of

CHANGES: tuple[tuple[float, Callable[[Changer], None]], ...] = (
    (3, change_values.shape),
    (3, change_values.input_shape),
    (3, change_values.constant_shape),
    (4, change_values.constant_value),
    (2, change_values.element_type),
    (0.7, change_values.flags),
    (1.5, change_values.buffers),
    (5, change_operators.options),
    (3, change_operators.links),
    (3, change_operators.counts),
    (3, change_operators.operators),
    (2, change_operators.insert),
    (2, change_operators.twice),
    (1.5, change_files.subgraphs),
    (1, change_files.ports),
    (2, change_files.metadata),
    (0.4, change_files.form),
)


def changed(data: bytes, seed: int) -> bytes:
    """The file after one to four changes: those of that number."""
    random = np.random.default_rng(seed)
    change = Changer(parts_of(data), random)
    weights = np.array([weight for weight, _ in CHANGES])
    for pick in random.choice(len(CHANGES), size=int(random.choice([1, 1, 1, 2, 2, 3, 4])), p=weights / weights.sum()):
        try:
            CHANGES[pick][1](change)
        except (IndexError, ValueError):
            continue  # an earlier change left nothing to change
    if change.chance(0.5):
        dynamic(change)
    return change.file.to_bytes()
