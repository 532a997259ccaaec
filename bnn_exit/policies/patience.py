"""Leave once several exits in a row have predicted the same class."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from bnn_exit.cost import Cost
from bnn_exit.policies.base import Floats, Policy, Sizes

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits


@dataclasses.dataclass(frozen=True)
class Patience(Policy):
    """1 / (number of exits in a row, this one included, that agree on the label): 1, 1/2, 1/3, ...

    Patience-based early exit (Zhou et al. 2020, "BERT Loses Patience", section 3): leaving after k equal labels in a
    row is a threshold between 1/k and 1/(k-1).
    """

    name = "patience"

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy."""
        labels = exit_logits.logits.argmax(axis=-1)
        in_a_row = np.ones(labels.shape)
        for k in range(1, exit_logits.exits):
            in_a_row[:, k] += np.where(labels[:, k] == labels[:, k - 1], in_a_row[:, k - 1], 0)
        return 1 / in_a_row

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy: finding the largest, one comparison and one division."""
        return Cost(0, sizes.classes + 2)
