"""QuickNet for log-mel input: one binary 3x3 convolution a residual block, a cheap float stem, no other float layers.

After Bannink et al. 2021 (Larq Compute Engine, section 4) with two changes for small boards, where float work costs as
much as 64 binary operations: channels grow by repeating the shortcut instead of by a float 1x1 convolution, and the
activation is a PReLU (one slope a channel), which binary networks gain more from than from a ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.blocks import Stages, cut_into_stages, halved, normalise, prelu, stages_of

SIZES = {
    # For values of sensors, in less than 50 KB: a first exit at a fourth of the work, then all places kept.
    "micro": Stages(blocks=(1, 2, 3), channels=(32, 64, 64), stem_channels=8, halving=(False, False, False)),
    # For a file of 100 KB: few channels. All positions are kept, which costs operations but no bytes.
    "tiny": Stages(blocks=(2, 3), channels=(64, 64), halving=(False, False)),
    "small": Stages(blocks=(2, 6), channels=(64, 64)),
    "medium": Stages(blocks=(2, 3, 3), channels=(64, 128, 128)),
    "base": Stages(blocks=(2, 3, 3), channels=(64, 128, 256)),
    # For coarse features, on which blocks are cheap: a deeper first stage makes the first exit accurate, and the second
    # keeps the positions, which few clips have to pay for.
    "deep": Stages(blocks=(3, 4, 4), channels=(64, 128, 256), halving=(False, False, True)),
    # Four exits: the long middle part is cut in two, so that clips which the first exit leaves do not all go far.
    "large": Stages(blocks=(2, 3, 5, 6), channels=(64, 128, 128, 128), halving=(False, True, False, False)),
}


def quicknet(
    input_shape: tuple[int, int, int], *, size: str = "base", blocks: Sequence[int] = (), **own: Any
) -> list[keras.Model]:
    """The stages of a QuickNet, each a model from the features of the one before.

    Args:
        input_shape: (frames, mels, 1) of the log-mel input.
        size: a name in SIZES.
        blocks: of each stage, at least 1; empty: those of the size. More are more accurate and slower.
        own: channels, halving and stem_channels in place of those of the size, as `stages_of` takes them.

    Returns:
        One model a stage. The first reads `[batch, frames, mels, 1]` and starts with the standardisation.

    Raises:
        ArgumentError: an unknown size, blocks for another number of stages, or channels of a stage that are no
            multiple of those before, which the shortcut repeats.
    """
    return cut_into_stages(input_shape, stages_of(SIZES, size, blocks, **own), block=block)


def block(features: keras.KerasTensor, channels: int, *, strides: int, name: str) -> keras.KerasTensor:
    """features + BatchNorm(PReLU(binary 3x3)), the shortcut averaged where strided and repeated where channels grow."""
    residual = normalise(prelu(binary_conv(features, channels, strides=strides, name=name)))
    features = halved(features, strides)
    if channels % features.shape[-1]:
        raise ArgumentError(
            f"channels of a stage are {channels}, but must be a multiple of those of the stage before, "
            f"{features.shape[-1]}: the shortcut repeats them"
        )
    if features.shape[-1] != channels:
        features = keras.layers.Concatenate()([features] * (channels // features.shape[-1]))
    return keras.layers.Add(name=f"{name}_out")([features, residual])
