"""Exits that reject: early exits answer "nothing here", and everything else goes on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.policies.base import Floats, Policy, Sizes

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits


@dataclasses.dataclass(frozen=True)
class Rejection(Policy):
    """One minus the probability of the background where a background class is the most probable, else 1.

    The probability of the background is the sum over its classes. Under a threshold of at most 1 an early exit answers
    with background alone, so a word is only ever reported by the last exit, as in a cascade of rejecting stages (Viola
    and Jones 2001). On a stream, which is mostly background, that is where the time goes.

    Attributes:
        background: numbers of the classes that are background, ascending; at least one, and not all.
    """

    background: tuple[int, ...] = ()

    name = "rejection"
    answers_always = False
    whole = ("background",)

    def __post_init__(self) -> None:
        numbers = self.background
        rising = list(numbers) == sorted(set(numbers)) and all(isinstance(each, int) and each >= 0 for each in numbers)
        if not numbers or not rising:
            raise ArgumentError(
                f"background is {list(numbers)!r}, but must be numbers of classes, from 0, ascending and at least one"
            )

    @classmethod
    def learns(cls) -> bool:
        """See Policy: the classes are chosen by their names."""
        return False

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> Rejection:
        if not exit_logits.background:
            raise DataError(
                "policy rejection needs a class that is background, such as unknown or silence, and the exit logits "
                "name none: train a network that knows one with --negatives DIR"
            )
        if len(exit_logits.background) == exit_logits.classes:
            raise DataError("all classes are background, so there is nothing to recognise: name fewer")
        return cls(tuple(sorted(set(exit_logits.background))))

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """See Policy. A background class that is only as probable as another class does not reject."""
        probabilities = self.probabilities(exit_logits)
        of_background = np.zeros(exit_logits.classes, np.bool_)
        of_background[list(self.background)] = True
        most = probabilities[..., of_background].max(axis=-1)
        rejects = most > probabilities[..., ~of_background].max(axis=-1)
        scores = np.where(rejects, 1 - probabilities[..., of_background].sum(axis=-1), 1.0)
        return np.where(np.isnan(most), np.nan, np.maximum(scores, 0.0))

    def fits(self, *, exits: int, classes: int) -> bool:
        """See Policy."""
        return self.background[-1] < classes and len(self.background) < classes

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """See Policy: finding the largest on both sides, and the sum over the background."""
        return Cost(0, sizes.classes + len(self.background))
