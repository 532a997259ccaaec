"""QuickNet for log-mel input: one binary 3x3 convolution a residual block, a cheap float stem, no other float layers.

After Bannink et al. 2021 (Larq Compute Engine, section 4) with two changes for small boards, where float work costs as
much as 64 binary operations: channels grow by repeating the shortcut instead of by a float 1x1 convolution, and the
activation is a PReLU (one slope a channel), which binary networks gain more from than from a ReLU.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnn_exit._keras import keras
from bnn_exit.errors import one_of
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.standardise import Standardise

layers = keras.layers


LONG_CLIP_FRAMES = 256


@dataclass(frozen=True)
class QuickNetSize:
    """Shape of a QuickNet: for each stage its number of blocks and its channels; larger is more accurate and slower."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    stem_channels: int = 16


SIZES = {
    "small": QuickNetSize(blocks=(1, 3, 3), channels=(64, 64, 128), stem_channels=8),
    "base": QuickNetSize(blocks=(2, 3, 3), channels=(64, 128, 256)),
    "large": QuickNetSize(blocks=(3, 5, 5), channels=(64, 128, 256)),
}


def quicknet(input_shape: tuple[int, int, int], *, size: str = "base") -> list[keras.Model]:
    """The stages of a QuickNet, each a model from the features of the one before.

    Args:
        input_shape: (frames, mels, 1) of the log-mel input.
        size: a name in SIZES.

    Returns:
        One model a stage. The first reads `[batch, frames, mels, 1]` and starts with the standardisation.
    """
    shape = SIZES[one_of("size", size, SIZES)]
    stages = []
    features_shape = input_shape
    for index, (blocks, channels) in enumerate(zip(shape.blocks, shape.channels, strict=True)):
        source = keras.Input(features_shape)
        features = _stem(source, shape) if index == 0 else source
        for block in range(blocks):
            strides = 2 if index > 0 and block == 0 else 1
            features = _block(features, channels, strides=strides, name=f"s{index + 1}_b{block + 1}")
        stages.append(keras.Model(source, features, name=f"stage_{index + 1}"))
        features_shape = tuple(features.shape[1:])
    return stages


def _stem(source: keras.KerasTensor, shape: QuickNetSize) -> keras.KerasTensor:
    """Log-mel to a quarter of its bands and a quarter of its frames (long clips: an eighth), then 1x1."""
    features = Standardise(name="standardise")(source)
    # Clips of seconds, not words: twice the time step, or the first stage would cost more than all others together.
    time_stride = 4 if source.shape[1] > LONG_CLIP_FRAMES else 2
    features = layers.Conv2D(
        shape.stem_channels, (time_stride + 1, 3), strides=(time_stride, 2), padding="same", use_bias=False
    )(features)
    features = layers.ReLU()(_normalise(features))
    features = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(features)
    features = layers.Conv2D(shape.channels[0], 1, use_bias=False)(_normalise(features))
    return _normalise(features)


def _block(features: keras.KerasTensor, channels: int, *, strides: int, name: str) -> keras.KerasTensor:
    """features + BatchNorm(PReLU(binary 3x3)), the shortcut averaged where strided and repeated where channels grow."""
    residual = binary_conv(features, channels, strides=strides, name=name)
    residual = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.25))(residual)
    residual = _normalise(residual)
    if strides > 1:
        features = layers.AveragePooling2D(strides, strides, padding="same")(features)
    if features.shape[-1] != channels:
        features = layers.Concatenate()([features] * (channels // features.shape[-1]))
    return layers.Add()([features, residual])


def _normalise(features: keras.KerasTensor) -> keras.KerasTensor:
    # Momentum 0.9: runs are short, and 0.99 would still remember the first epochs at the end.
    return layers.BatchNormalization(momentum=0.9)(features)
