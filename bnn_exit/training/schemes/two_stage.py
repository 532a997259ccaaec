"""The backbone first, then the exits on its features."""

from __future__ import annotations

import dataclasses

from bnn_exit._keras import tf
from bnn_exit.errors import one_of
from bnn_exit.training.loss import soft_label_losses
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme

FILTERS = ("labels", "soft", "none")
TEACHERS = ("last", "given")


@dataclasses.dataclass(frozen=True)
class TwoStage(Scheme):
    """Exit-aware training of the backbone, then of the exits alone, towards the last exit (MESS, Kouris et al. 2022).

    Backbone, section 3.2: on batch j, L_M + the sum of L_m over the early exits m with j mod m = 0, so that each exit
    takes part as often as it is early. Exits, section 3.3, on features that stay as they are: positive filtering
    distillation, the sum over early exits of a 1[the teacher is right] CE_m + (1 - a) KL(p_m, p_teacher).

    Attributes:
        backbone_share: of the epochs, above 0 and below 1. Larger makes the last exit more accurate, smaller the early
            ones.
        exit_dropout: whether early exits take part in the first phase; without, only the last exit learns there.
        alpha: a, from 0 (soft labels alone) to 1 (labels alone).
        temperature: of the soft labels, above 0; higher gives unlikely classes more weight.
        filter: which term counts only where the teacher is right: "labels" as published, "soft", or "none".
        teacher: "last": the last exit, as published; "given": the teacher of the run, which it then needs.
    """

    backbone_share: float = 0.5
    exit_dropout: bool = True
    alpha: float = 0.5
    temperature: float = 1.0
    filter: str = "labels"
    teacher: str = "last"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 < self.backbone_share < 1, "backbone_share", "above 0 and below 1")
        self._require(isinstance(self.exit_dropout, bool), "exit_dropout", "true or false")
        self._require(0 <= self.alpha <= 1, "alpha", "from 0 to 1")
        self._require(self.temperature > 0, "temperature", "above 0")
        one_of("filter", self.filter, FILTERS)
        one_of("teacher", self.teacher, TEACHERS)

    @property
    def needs_teacher(self) -> bool:
        """Where the soft labels are to be a given teacher's."""
        return self.teacher == "given"

    def phases(self, exits: int) -> tuple[Phase, ...]:
        """The backbone, then the exits."""
        return frozen_backbone(self.backbone_share, exits, early_heads=self.exit_dropout)

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """Of either phase."""
        early = range(len(batch.logits) - 1)
        if phase.name == "backbone":
            loss = batch.mean_loss(len(early))
            if self.exit_dropout:
                for index in early:
                    takes_part = tf.cast(batch.number % (index + 1) == 0, tf.float32)
                    loss += takes_part * batch.mean_loss(index)
            return loss
        teacher = batch.logits[-1] if self.teacher == "last" else batch.targets
        right = tf.cast(tf.argmax(teacher, axis=-1) == tf.argmax(batch.labels, axis=-1), tf.float32)
        one = tf.ones_like(right)
        labels, soft = (right if self.filter == name else one for name in ("labels", "soft"))
        classes = batch.labels
        return tf.add_n(
            [
                batch.weights[index]
                * tf.reduce_mean(
                    self.alpha * labels * tf.nn.softmax_cross_entropy_with_logits(classes, batch.logits[index])
                    + (1 - self.alpha)
                    * soft
                    * soft_label_losses(batch.logits[index], teacher, temperature=self.temperature)
                )
                for index in early
            ]
        )


def frozen_backbone(share: float, exits: int, *, early_heads: bool) -> tuple[Phase, ...]:
    """A phase for the stages and the last head, with or without early heads, and one for the early heads alone."""
    early, last = tuple(range(exits - 1)), (exits - 1,)
    return (
        Phase("backbone", share, heads=None if early_heads else last, scored=last),
        Phase("exits", 1 - share, stages=(), heads=early, scored=early),
    )
