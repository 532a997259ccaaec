"""Exit heads: from the features of a stage to the logits of an exit."""

from __future__ import annotations

from collections.abc import Callable

from bnn_exit._keras import keras

layers = keras.layers


def grid_head(features: keras.KerasTensor, num_classes: int, *, name: str) -> keras.KerasTensor:
    """ReLU, average over a grid of at most 6 x 4 cells (time x frequency), 1x1 convolution to 16 channels, dense.

    The cells keep where in time and frequency something happened; a global average forgets it, which costs an early
    exit of a word recogniser tens of points of accuracy.
    """
    height, width = features.shape[1:3]
    cell = (-(-height // 6), -(-width // 4))
    features = layers.AveragePooling2D(cell, padding="same")(layers.ReLU()(features))
    features = layers.Conv2D(16, 1, use_bias=False)(features)
    features = layers.BatchNormalization(momentum=0.9)(features)
    return layers.Dense(num_classes, name=name)(layers.Flatten()(features))


def pooled_head(features: keras.KerasTensor, num_classes: int, *, name: str) -> keras.KerasTensor:
    """ReLU, global average, dense: the smallest head, for sounds whose place in time and frequency says nothing."""
    features = layers.GlobalAveragePooling2D()(layers.ReLU()(features))
    return layers.Dense(num_classes, name=name)(features)


HEADS: dict[str, Callable[..., keras.KerasTensor]] = {"grid": grid_head, "pooled": pooled_head}
