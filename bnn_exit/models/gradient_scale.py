"""The gradient rescaling of boosted networks: deep and shallow exits pull on a stage with equal strength."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnn_exit._keras import keras, tf


@keras.utils.register_keras_serializable("bnn_exit")
class GradientScale(keras.layers.Layer):
    """The identity, to the last bit, whose gradient is multiplied by `factor`. Only training has it, never a file.

    Example:
        >>> with tf.GradientTape() as tape:
        ...     result = 3 * GradientScale(0.5)(variable)
        >>> float(tape.gradient(result, variable))
        1.5
    """

    def __init__(self, factor: float, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """A tensor of any shape to the same tensor."""

        @tf.custom_gradient
        def identity(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            return tf.identity(values), lambda gradient: gradient * self.factor

        return identity(inputs)

    def get_config(self) -> dict[str, Any]:
        """The settings of the layer."""
        return {**super().get_config(), "factor": self.factor}


def shared_gradient(features: keras.KerasTensor, *, deeper: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The features of a stage for its head and for the next stage, so that every later exit has an equal share.

    Stage m of M gets its gradient from head m times 1 / (M - m + 1) and from deeper stages times (M - m) / (M - m + 1):
    a mean, which does not grow with M (Boosted Dynamic Neural Networks, Yu et al. 2023, gradient rescaling).

    Args:
        features: of stage m.
        deeper: M - m, the exits after this one.

    Returns:
        (for the head, for the next stage), both of the values of `features`.
    """
    exits = deeper + 1
    return GradientScale(1 / exits)(features), GradientScale(deeper / exits)(features)
