"""BinaryDenseNet for log-mel input (Bethge et al. 2019, section 4): binary convolutions add channels to what is there.

A layer is BatchNorm and a binary 3x3 whose results are joined to its input, so no value is ever overwritten. A stage
ends in BatchNorm; where the next begins, the map is halved by a maximum and its channels are divided by a float 1x1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.models.binary_ops import binary_conv, kernel
from bnn_exit.models.blocks import Stages, cut_into_stages, normalise, stages_of

layers = keras.layers

GROWTH = 64
"""Channels that each layer adds; the paper's, and a whole word of the kernels."""


SIZES = {
    "small": Stages(blocks=(1, 2, 3), channels=(64, 64, 64), stem_channels=8),
    "base": Stages(blocks=(2, 4, 6), channels=(64, 64, 128)),
    "large": Stages(blocks=(3, 6, 10), channels=(64, 128, 192)),
}


def binary_densenet(
    input_shape: tuple[int, int, int], *, size: str = "base", blocks: Sequence[int] = (), **own: Any
) -> list[keras.Model]:
    """The stages of a BinaryDenseNet; arguments and result as `quicknet.quicknet`."""
    return cut_into_stages(input_shape, stages_of(SIZES, size, blocks, **own), block=_block, ending=normalise)


def _block(features: keras.KerasTensor, channels: int, *, strides: int, name: str) -> keras.KerasTensor:
    if strides > 1:
        # Published order: BatchNorm (the end of the stage before), maximum, ReLU, 1x1.
        features = layers.MaxPooling2D(kernel(features, strides), kernel(features, strides), padding="same")(features)
        features = layers.Conv2D(channels, 1, use_bias=False)(layers.ReLU()(features))
    added = binary_conv(normalise(features), GROWTH, name=name)
    return layers.Concatenate(name=f"{name}_out")([features, added])
