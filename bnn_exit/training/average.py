"""A running mean of a network's weights, which is often more accurate than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bnn_exit._keras import keras, tf


class WeightAverage:
    """The exponential moving average of all weights of a network, statistics included (Polyak and Juditsky 1992).

    Latent values of binary kernels are averaged too: the sign of the mean is the sign that a weight mostly had.

    Args:
        network: whose weights are followed.
        decay: of the mean, from 0 (the last weights alone) to below 1; the mean reaches over about 1 / (1 - decay)
            steps, over fewer at the beginning.
    """

    def __init__(self, network: keras.Model, *, decay: float) -> None:
        self._network, self._decay = network, decay
        self._steps = tf.Variable(0.0, trainable=False)
        self._means = [tf.Variable(weight, trainable=False) for weight in network.weights]

    @property
    def variables(self) -> list[tf.Variable]:
        """What a resumed training needs to have back."""
        return [self._steps, *self._means]

    def update(self) -> None:
        """Take in the present weights; called after each step, in its graph."""
        self._steps.assign_add(1.0)
        # The first steps count for little in the end, so the mean must not start as if they had lasted for ever.
        decay = tf.minimum(self._decay, self._steps / (self._steps + 10.0))
        for mean, weight in zip(self._means, self._network.weights, strict=True):
            mean.assign(decay * mean + (1 - decay) * tf.cast(weight, mean.dtype))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the network has the mean weights."""
        present: list[np.ndarray] = self._network.get_weights()
        self._network.set_weights([mean.numpy() for mean in self._means])
        try:
            yield
        finally:
            self._network.set_weights(present)
