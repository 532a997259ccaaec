"""Real-to-Binary Net for log-mel input (Martinez et al. 2020, section 4): channels are rescaled by what a clip holds.

A block is BatchNorm, binary 3x3, the scale of each channel, PReLU, and a shortcut around it all. The scale comes from
the mean of each channel before it is made binary: two small dense layers and a sigmoid (section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.blocks import Stages, cut_into_stages, halved, normalise, prelu, projected, stages_of

layers = keras.layers

REDUCTION = 8
"""Channels over hidden values of the rescaling; the paper's."""


SIZES = {
    "small": Stages(blocks=(1, 2, 2), channels=(64, 64, 128), stem_channels=8),
    "base": Stages(blocks=(2, 3, 3), channels=(64, 128, 256)),
    "large": Stages(blocks=(4, 4, 4), channels=(64, 128, 256)),
}


def real_to_binary(
    input_shape: tuple[int, int, int], *, size: str = "base", blocks: Sequence[int] = (), **own: Any
) -> list[keras.Model]:
    """The stages of a Real-to-Binary Net; arguments and result as `quicknet.quicknet`."""
    return cut_into_stages(input_shape, stages_of(SIZES, size, blocks, **own), block=_block)


def _block(features: keras.KerasTensor, channels: int, *, strides: int, name: str) -> keras.KerasTensor:
    source = normalise(features)
    residual = binary_conv(source, channels, strides=strides, name=name)
    residual = prelu(layers.Multiply()([residual, _scale(source, channels)]))
    return layers.Add(name=f"{name}_out")([projected(halved(features, strides), channels), residual])


def _scale(source: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """The factor of each output channel, in (0, 1): `[batch, 1, 1, channels]`."""
    means = layers.GlobalAveragePooling2D(keepdims=True)(source)
    hidden = layers.Conv2D(source.shape[-1] // REDUCTION, 1, activation="relu")(means)
    return layers.Conv2D(channels, 1, activation="sigmoid")(hidden)
