"""Where every network begins: bands or channels to zero mean and unit variance, as measured on the training split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnn_exit._keras import keras, tf


@keras.utils.register_keras_serializable("bnn_exit")
class Standardise(keras.layers.Layer):
    """(x - mean) * scale for each mel band of a log-mel, or each channel of values.

    Part of the network, so that no device has to repeat it. The statistics are weights, set once by `adapt`. Inputs are
    `[batch, frames, mels, 1]` or `[batch, samples, 1, channels]`.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Make the two statistics of each band or channel."""
        shape = tuple(map(int, input_shape[-2:]))
        self.mean = self.add_weight("mean", shape=shape, initializer="zeros", trainable=False)
        self.scale = self.add_weight("scale", shape=shape, initializer="ones", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """To the same shape."""
        return (inputs - self.mean) * self.scale

    def adapt(
        self, log_mel: np.ndarray, *, before: Callable[[tf.Tensor], tf.Tensor] | None = None, block: int = 1024
    ) -> None:
        """Take mean and standard deviation of each band or channel, block by block.

        Args:
            log_mel: of the training split: `[clips, frames, mels]`, or values `[windows, samples, channels]`.
            before: the layer between log-mel and this one, from `[clips, frames, mels, 1]` to the same shape.
            block: clips read at once; larger takes more memory.
        """
        count, total, squares = 0, np.zeros(log_mel.shape[-1]), np.zeros(log_mel.shape[-1])
        for start in range(0, len(log_mel), block):
            part = log_mel[start : start + block]
            part = before(tf.constant(part[..., None], tf.float32)).numpy() if before else part
            part = np.asarray(part, np.float64).reshape(-1, log_mel.shape[-1])
            count, total, squares = count + len(part), total + part.sum(0), squares + np.square(part).sum(0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
        self.mean.assign(mean.reshape(self.mean.shape))
        self.scale.assign(self._scale(mean, deviation).reshape(self.scale.shape))

    def _scale(self, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        if self.scale.shape[0] > 1:
            # A band that never changes (digital silence) must not be blown up: 0.1 is far below any real band's spread.
            return 1 / np.maximum(deviation, 0.1)
        # Channels have units of their own, so there is no such bound. One that never changed in training tells nothing.
        constant = deviation <= 1e-6 * np.abs(mean)
        return np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
