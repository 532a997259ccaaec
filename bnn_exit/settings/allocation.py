"""How the blocks of a network are allocated to its stages."""

from __future__ import annotations

from dataclasses import dataclass

from bnn_exit.settings.base import Config


@dataclass(frozen=True)
class AllocationConfig(Config):
    """Settings of the search for the blocks of each stage, `--blocks auto` (`bnn_exit.training.block_allocation`).

    Attributes:
        probes: allocations that are trained for a short time, that of the size included; more find better ones, and
            each takes as long.
        epochs: of each probe; more tell apart better which is best, and are slower.
        clips: of the training split that probes learn from, at most; as epochs.
    """

    probes: int = 8
    epochs: int = 4
    clips: int = 4000

    def __post_init__(self) -> None:
        self._require_kinds()
        for name in ("probes", "epochs", "clips"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
