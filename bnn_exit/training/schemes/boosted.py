"""Each exit adds to the logits of the exit before."""

from __future__ import annotations

import dataclasses

from bnn_exit._keras import tf
from bnn_exit.settings.model import ModelConfig
from bnn_exit.training.schemes.base import ExitBatch, Phase, Scheme


@dataclasses.dataclass(frozen=True)
class Boosted(Scheme):
    """Gradient boosting over exits (BoostNet, Yu et al. 2023, section 3): the logits of exit m are
    F_m = f_m + t F_(m-1), F_0 = 0, and L = the sum over m of CE(F_m), where no gradient goes into F_(m-1).

    So each head learns what the exits before got wrong. The network adds the logits, in the file as well
    (`ModelConfig.boost`), and rescales the gradients of features (`bnn_exit.models.gradient_scale`).

    Attributes:
        temperature: t, above 0 and at most 1: smaller weakens what earlier exits say, so that later ones learn more.
    """

    temperature: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 < self.temperature <= 1, "temperature", "above 0 and at most 1")

    def of_model(self, model: ModelConfig) -> ModelConfig:
        """The network adds up logits."""
        return dataclasses.replace(model, boost=self.temperature)

    def loss(self, phase: Phase, batch: ExitBatch) -> tf.Tensor:
        """The sum over exits."""
        return tf.add_n([batch.mean_loss(index) for index in range(len(batch.logits))])
