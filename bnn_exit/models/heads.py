"""Exit heads: from the features of a stage to the logits of an exit.

`first` is true for the first exit, where most clips leave, with the simplest features. A head may take more, which
`exit_heads` then gives to it: `before`, the logits of the exit before, at every exit but the first.
"""

from __future__ import annotations

from bnn_exit._keras import keras

layers = keras.layers

_DENSE_BYTES = 32 * 1024


def grid_head(features: keras.KerasTensor, num_classes: int, *, name: str, first: bool = False) -> keras.KerasTensor:
    """ReLU, average over a grid of at most 6 x 4 cells (time x frequency), 1x1 to 16 or 8 channels, dense.

    The cells keep where in time and frequency something happened; a global average forgets it, which costs an early
    exit of a word recogniser tens of points of accuracy. The dense layer has most of a head's bytes: where there are
    many classes, later exits, whose features are richer, use half of the channels.
    """
    return layers.Dense(num_classes, name=name)(_of_grid(features, num_classes, first=first))


def cascaded_head(
    features: keras.KerasTensor,
    num_classes: int,
    *,
    name: str,
    first: bool = False,
    before: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """The grid head, whose dense layer reads [its own features; logits of the exit before].

    The cascade of Zero Time Waste (Wolczyk et al. 2021, section 3.1): an exit builds on what earlier exits found. The
    network stops the gradient of `before`; the first exit has none. Batch normalisation brings logits, which grow in
    training, to the scale of the features, which have the same; the paper's normalisation of each clip (for large data
    alone) would need its statistics on the device, while this is one multiplication and addition for each class.
    """
    own = _of_grid(features, num_classes, first=first)
    if before is not None:
        own = layers.Concatenate()([own, layers.BatchNormalization(momentum=0.9)(before)])
    return layers.Dense(num_classes, name=name)(own)


def _of_grid(features: keras.KerasTensor, num_classes: int, *, first: bool) -> keras.KerasTensor:
    features = over_grid(layers.ReLU()(features))
    cells = features.shape[1] * features.shape[2]
    channels = 16 if first or 4 * cells * 16 * num_classes <= _DENSE_BYTES else 8
    features = layers.Conv2D(channels, 1, use_bias=False)(features)
    return layers.Flatten()(layers.BatchNormalization(momentum=0.9)(features))


def over_grid(features: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over each cell of a grid of at most 6 x 4 cells (time x frequency)."""
    height, width = features.shape[1:3]
    return layers.AveragePooling2D((-(-height // 6), -(-width // 4)), padding="same")(features)


def flat_over_grid(features: keras.KerasTensor) -> keras.KerasTensor:
    """Those means as a list `[batch, cells * channels]`: the features that class means are taken of."""
    return layers.Flatten()(over_grid(features))


def pooled_head(features: keras.KerasTensor, num_classes: int, *, name: str, first: bool = False) -> keras.KerasTensor:
    """ReLU, global average, dense: the smallest head, for sounds at any position in time and frequency."""
    features = layers.GlobalAveragePooling2D()(layers.ReLU()(features))
    return layers.Dense(num_classes, name=name)(features)


def strided_head(features: keras.KerasTensor, num_classes: int, *, name: str, first: bool = False) -> keras.KerasTensor:
    """Half of the channels, depthwise 3x3 with stride 2, ReLU, average of 2 x 2, dense: no convolution across channels.

    The early exit of T-RecX (Ghanathe and Wilton 2023, section 3), in the form of its published word recogniser.
    """
    features = features[..., : features.shape[-1] // 2]
    features = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(features)
    features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
    features = layers.AveragePooling2D(2, padding="same")(features)
    return layers.Dense(num_classes, name=name)(layers.Flatten()(features))


def auxiliary_head(
    features: keras.KerasTensor, num_classes: int, *, name: str, first: bool = False
) -> keras.KerasTensor:
    """Two depthwise-separable convolutions to 32 and 16 channels, global average, dense.

    The auxiliary network of depth pruning (De Leon and Atienza 2022, section 2): the most work, and all of it float.
    """
    for channels in (32, 16):
        features = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
        features = layers.Conv2D(channels, 1, use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
    return layers.Dense(num_classes, name=name)(layers.GlobalAveragePooling2D()(features))
