"""Where every network begins: log-mel bands to zero mean and unit variance, as measured on the training split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnn_exit._keras import keras, tf


@keras.utils.register_keras_serializable("bnn_exit")
class Standardise(keras.layers.Layer):
    """(log_mel - mean) * scale for each mel band.

    Part of the network, so that no device has to repeat it. The statistics are weights, set once by `adapt`.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Make the two statistics of each band."""
        shape = (int(input_shape[-2]), 1)
        self.mean = self.add_weight("mean", shape=shape, initializer="zeros", trainable=False)
        self.scale = self.add_weight("scale", shape=shape, initializer="ones", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[batch, frames, mels, 1]` to the same shape."""
        return (inputs - self.mean) * self.scale

    def adapt(
        self, log_mel: np.ndarray, *, before: Callable[[tf.Tensor], tf.Tensor] | None = None, block: int = 1024
    ) -> None:
        """Take mean and standard deviation for each band from `log_mel` `[clips, frames, mels]`, block by block.

        Args:
            log_mel: of the training split.
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
        self.mean.assign(mean[:, None])
        # A band that never changes (digital silence) must not be blown up: 0.1 is far below any real band's spread.
        self.scale.assign(1 / np.maximum(deviation, 0.1)[:, None])
