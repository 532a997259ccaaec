"""What a policy is: the probabilities of each exit, and the score that the exit rule compares."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.policies import rule
from bnn_exit.text import counted

if TYPE_CHECKING:
    from bnn_exit.exit_logits import ExitLogits

Floats = npt.NDArray[np.float64]

LEARNED_FROM = ("train", "validation")
"""Splits that a policy may learn from."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the work of a policy depends on.

    Attributes:
        classes: of the network.
        features: numbers that `ExitLogits.features` holds for each exit; empty if there are none.
    """

    classes: int
    features: tuple[int, ...] = ()

    @classmethod
    def of(cls, exit_logits: ExitLogits) -> Sizes:
        """Of the network that gave these logits."""
        return cls(exit_logits.classes, tuple(each.shape[1] for each in exit_logits.features))


@dataclasses.dataclass(frozen=True)
class Policy:
    """A score for each exit: leave at exit k if score_k < threshold_k. The lower the score, the surer the exit.

    What a policy learns is held in the fields of its class. An exit never reads deeper exits.
    """

    name: ClassVar[str]
    needs_features: ClassVar[bool] = False
    """Whether it reads features."""
    runs_heads: ClassVar[bool] = True
    """Whether the heads of early exits are executed; if not, it reads their features in place of their logits."""
    answers_always: ClassVar[bool] = True
    """Whether thresholds are chosen above the highest score, with which an exit always answers."""
    least_exits: ClassVar[int] = 1
    """The fewest exits of a network for which it makes sense."""
    whole: ClassVar[tuple[str, ...]] = ()
    """Names of fields that hold whole numbers."""

    @classmethod
    def skips(cls) -> bool:
        """Whether a skip gate sends clips past the early heads; its score is then that of the last exit."""
        return cls.name in rule.SKIP_GATES

    @classmethod
    def num_thresholds(cls, exits: int) -> int:
        """How many thresholds it has: see `rule.num_thresholds`."""
        return rule.num_thresholds(exits, skips=cls.skips())

    @classmethod
    def check_exits(cls, exits: int) -> None:
        """ArgumentError if it makes no sense for a network of so few exits."""
        if exits < cls.least_exits:
            raise ArgumentError(
                f"policy is {cls.name}, but the network has {counted(exits, 'exit')}, and a skip gate needs at least "
                f"{cls.least_exits}: with fewer there is at most one head to skip, which pays for no predictor"
            )

    @classmethod
    def twin(cls) -> str:
        """Name of the function of `bnn_exit.conversion.scores` that computes the same in the graph."""
        return cls.name

    @classmethod
    def keeps_probabilities(cls) -> bool:
        """Whether the probabilities of each exit are the softmax of its own logits."""
        return cls.probabilities is Policy.probabilities

    @classmethod
    def learns(cls) -> bool:
        """Whether clips change what it does, so that a guarantee needs others."""
        return bool(dataclasses.fields(cls))

    @classmethod
    def fit(cls, exit_logits: ExitLogits) -> Policy:
        """The policy with what it learns from labelled clips of the training or validation split.

        Raises:
            ArgumentError: clips of another split, or of none: of the test split, every later figure would flatter.
            DataError: what it learns from is missing, such as labels.
        """
        if exit_logits.split not in LEARNED_FROM:
            why = (
                "every later figure would flatter" if exit_logits.split == "test" else "set split='validation' if it is"
            )
            raise ArgumentError(
                f"policy {cls.name} was given clips of the split {exit_logits.split!r}, but it may only learn from "
                f"{' or '.join(map(repr, LEARNED_FROM))}: {why}"
            )
        return cls._learn(exit_logits)

    @classmethod
    def _learn(cls, exit_logits: ExitLogits) -> Policy:
        return cls()

    def probabilities(self, exit_logits: ExitLogits) -> Floats:
        """The probabilities of each exit: [clips, exits, classes], each row sums to 1."""
        return softmax(exit_logits.logits)

    def scores(self, exit_logits: ExitLogits) -> Floats:
        """The score of each exit: [clips, exits], at least 0; NaN where an exit gives NaN."""
        raise NotImplementedError

    def chosen_scores(self, exit_logits: ExitLogits) -> Floats:
        """The scores that thresholds are chosen for: NaN, which never leaves, where the policy does not answer."""
        scores = self.scores(exit_logits)
        if self.answers_always:
            return scores
        return np.where(scores < self.highest(exit_logits.classes), scores, np.nan)

    def gate_cost(self, sizes: Sizes) -> Cost:
        """The work of its skip gate, which every clip pays at the first exit; nothing without one."""
        return Cost(0, 0)

    def highest(self, classes: int) -> float:
        """The highest possible score: a threshold above it makes an exit always answer."""
        return 1.0

    def cost(self, exit_index: int, sizes: Sizes) -> Cost:
        """Its own work at one exit, beyond the softmax that every prediction needs.

        One float MAC for each multiplication, with the addition that follows it, and for each comparison, exponential
        and logarithm.
        """
        raise NotImplementedError

    def fits(self, *, exits: int, classes: int) -> bool:
        """Whether what was learned is of the right shape for a network whose file is to hold it.

        A policy that learns has a rule of its own.
        """
        if dataclasses.fields(self):
            raise NotImplementedError(f"{type(self).__name__} learns, so it must define fits")
        return True

    def to_dict(self) -> dict[str, Any]:
        """The name and what was learned, as JSON values; `policies.from_dict` is the way back."""
        return {"name": self.name, **{f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}}


def softmax(logits: npt.ArrayLike) -> Floats:
    """Probabilities exp(z_c) / sum_j exp(z_j) over the last axis, shape of `logits`; float64.

    The largest logit is subtracted first, so logits of any size are safe.
    """
    return np.exp(log_softmax(logits))


def log_softmax(logits: npt.ArrayLike) -> Floats:
    """The logarithm of `softmax`, finite for finite logits."""
    values = np.asarray(logits, np.float64)
    values = values - values.max(axis=-1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


def lengths(values: tuple[Any, ...]) -> list[int]:
    """Of the tuples in a tuple; 0 for anything else in it."""
    return [len(each) if isinstance(each, tuple) else 0 for each in values]


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value
