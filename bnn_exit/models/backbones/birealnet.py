"""Bi-Real Net for log-mel input (Liu et al. 2018, section 3.1): a shortcut around every binary convolution.

As published: sign, binary 3x3, BatchNorm, addition, and no activation between; where a stage begins, the shortcut is
averaged and goes through a float 1x1 convolution with BatchNorm. In place of the 7x7 convolution on pictures stands the
stem that all backbones here share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.blocks import Stages, cut_into_stages, halved, normalise, projected, stages_of

SIZES = {
    "small": Stages(blocks=(1, 2, 2), channels=(64, 64, 128), stem_channels=8),
    "base": Stages(blocks=(2, 3, 3), channels=(64, 128, 256)),
    "large": Stages(blocks=(4, 4, 4), channels=(64, 128, 256)),
}


def birealnet(
    input_shape: tuple[int, int, int], *, size: str = "base", blocks: Sequence[int] = (), **own: Any
) -> list[keras.Model]:
    """The stages of a Bi-Real Net; arguments and result as `quicknet.quicknet`."""
    return cut_into_stages(input_shape, stages_of(SIZES, size, blocks, **own), block=_block)


def _block(features: keras.KerasTensor, channels: int, *, strides: int, name: str) -> keras.KerasTensor:
    residual = normalise(binary_conv(features, channels, strides=strides, name=name))
    return keras.layers.Add(name=f"{name}_out")([projected(halved(features, strides), channels), residual])
