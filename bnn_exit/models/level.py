"""The layer that brings every clip to one level, so that quiet clips are recognised as loud ones are."""

from __future__ import annotations

import numpy as np

from bnn_exit._keras import keras, tf
from bnn_exit.errors import one_of
from bnn_exit.settings.model import LEVELS

MAX_GAIN_DB = 40.0
"""Larger recognises quieter clips, and makes more of the noise in a silent room."""
RANGE_DB = 60.0
"""What is further below the level of its clip is raised to that: a quiet recording has nothing more to tell apart."""

_NATS_PER_DECIBEL = float(np.log(10) / 10)


@keras.utils.register_keras_serializable("bnn_exit")
class LevelNormalisation(keras.layers.Layer):
    """max(log_mel - level of the clip, -RANGE_DB).

    The level of a clip is the mean power over its frames, each of which counts with its loudest band; it is taken to be
    at most MAX_GAIN_DB below that of the training split. Exact as long as `FeatureConfig.log_offset` lies below the
    range of quiet clips, so the recipes set 1e-10.

    Part of the network, so that the model file carries it and no runtime has to know of it. The level of the training
    split is a weight, set once by `adapt`.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Make the level of the training split."""
        self.level = self.add_weight("level", shape=(), initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[batch, frames, mels, 1]` to the same shape."""
        level = tf.maximum(_level(inputs), self.level - MAX_GAIN_DB * _NATS_PER_DECIBEL)
        return tf.maximum(inputs - level, -RANGE_DB * _NATS_PER_DECIBEL)

    def adapt(self, log_mel: np.ndarray, *, block: int = 1024) -> None:
        """Take the median of the levels of the clips in `log_mel` `[clips, frames, mels]`, block by block."""
        parts = (log_mel[start : start + block, ..., None] for start in range(0, len(log_mel), block))
        self.level.assign(np.median(np.concatenate([_level(tf.constant(part, tf.float32)).numpy() for part in parts])))


def at_level(log_mel: keras.KerasTensor, levels: str) -> keras.KerasTensor:
    """`log_mel` `[batch, frames, mels, 1]` as it is, or at one level, by a name in LEVELS."""
    if one_of("levels", levels, LEVELS) == "kept":
        return log_mel
    return LevelNormalisation(name="level")(log_mel)


def with_levels(stage: keras.Model, levels: str) -> keras.Model:
    """The first stage of a network as it is, or behind the level normalisation; it keeps its name."""
    if levels == "kept":
        return stage
    source = keras.Input(stage.input_shape[1:])
    return keras.Model(source, stage(at_level(source, levels)), name=stage.name)


def _level(log_mel: tf.Tensor) -> tf.Tensor:
    """ln of the mean over frames of the largest power among the bands, `[batch, 1, 1, 1]`."""
    # One exponential for each frame, not for each band: those would cost a quarter of the time to the first exit.
    loudest = tf.nn.max_pool2d(log_mel, [1, log_mel.shape[2]], 1, "VALID")
    return tf.math.log(tf.reduce_mean(tf.exp(loudest), axis=1, keepdims=True))
