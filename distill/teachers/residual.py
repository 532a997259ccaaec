"""A full-precision residual network over log-mel clips: the default teacher.

Plain 3x3 convolutions in pre-activation blocks (He et al. 2016, "Identity mappings in deep residual networks"), because
they run fastest on ordinary processors: networks of depthwise convolutions have fewer operations but train no faster.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnn_exit._keras import keras
from bnn_exit.errors import one_of
from bnn_exit.models.level import at_level
from bnn_exit.models.standardise import Standardise

layers = keras.layers


@dataclass(frozen=True)
class ResidualSize:
    """Blocks and channels of each stage; more of either is more accurate and slower."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...]


SIZES = {
    "small": ResidualSize(blocks=(1, 1, 1), channels=(16, 32, 64)),
    "base": ResidualSize(blocks=(2, 2, 2, 2), channels=(24, 48, 96, 128)),
    "large": ResidualSize(blocks=(2, 3, 3, 2), channels=(32, 64, 128, 192)),
}


def residual(
    input_shape: tuple[int, int, int], num_classes: int, *, size: str = "base", levels: str = "kept"
) -> keras.Model:
    """Log-mel `[batch, frames, mels, 1]` to a list of one tensor of logits `[batch, classes]`.

    Args:
        input_shape: (frames, mels, 1).
        num_classes: at least 2.
        size: a name in SIZES; larger is more accurate and slower.
        levels: a name in `bnn_exit.models.level.LEVELS`: what becomes of quiet clips.
    """
    shape = SIZES[one_of("size", size, SIZES)]
    source = keras.Input(input_shape, name="log_mel")
    features = Standardise(name="standardise")(at_level(source, levels))
    first = (4, 2) if input_shape[0] > 256 else (2, 2)
    features = layers.Conv2D(shape.channels[0], 5, strides=first, padding="same", use_bias=False)(features)
    for stage, (blocks, channels) in enumerate(zip(shape.blocks, shape.channels, strict=True)):
        for block in range(blocks):
            strides = 2 if stage > 0 and block == 0 else 1
            # The end of a stage has the same name in every size, for students that learn from it.
            name = f"stage_{stage + 1}" + (f"_block_{block + 1}" if block + 1 < blocks else "")
            features = _block(features, channels, strides=strides, name=name)
    features = layers.ReLU()(_normalise(features))
    features = layers.Dropout(0.2)(layers.GlobalAveragePooling2D(name="embedding")(features))
    return keras.Model(source, [layers.Dense(num_classes, name="logits")(features)], name="residual")


def _block(features: keras.KerasTensor, channels: int, *, strides: int, name: str) -> keras.KerasTensor:
    shortcut = features
    features = layers.ReLU()(_normalise(features))
    if strides > 1 or shortcut.shape[-1] != channels:
        shortcut = layers.AveragePooling2D(strides, padding="same")(features) if strides > 1 else features
        shortcut = layers.Conv2D(channels, 1, use_bias=False)(shortcut)
    features = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False)(features)
    features = layers.ReLU()(_normalise(features))
    features = layers.Conv2D(channels, 3, padding="same", use_bias=False)(features)
    return layers.Add(name=name)([shortcut, features])


def _normalise(features: keras.KerasTensor) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.9)(features)
