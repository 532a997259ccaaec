"""Exit heads: from the features of a stage to the logits of an exit.

`first` is true for the first exit, where most clips leave, with the simplest features. A head may take more, which
`exit_heads` then gives to it: `before`, the logits of the exit before, at every exit but the first; `first_channels`,
how many channels the features of the first stage have, at the last exit alone.
"""

from __future__ import annotations

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import kernel

layers = keras.layers

_DENSE_BYTES = 32 * 1024

EARLY_VIEW_SOURCE, EARLY_VIEW_CLONE = "early_view_source", "early_view_clone"
"""Names of the depthwise layer in an early head of the kind `early_view` and of its clone in the last one."""


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
    return layers.Dense(num_classes, name=name)(_strided(features))


def early_view_head(
    features: keras.KerasTensor,
    num_classes: int,
    *,
    name: str,
    first: bool = False,
    first_channels: int | None = None,
) -> keras.KerasTensor:
    """The strided head; at the last exit, its features pooled and an early view of them, dense.

    The early view of T-RecX (Ghanathe and Wilton 2023, EV-assist) is a clone of the first exit's depthwise 3x3, which
    training can copy to it (`early_view.early_view_pairs`): the last exit then sees what made the first one right. Both
    kernels are of one shape, because the clone reads as many of the last features as the first head reads of its own:
    half of the channels of the first stage. At run time neither reads the other. As in the published word recogniser
    the clone has stride 1; its map and the features are averaged over all positions.
    """
    if first_channels is None:
        return layers.Dense(num_classes, name=name)(_strided(features, name=EARLY_VIEW_SOURCE))
    width = first_channels // 2
    if features.shape[-1] < width:
        raise ArgumentError(
            f"head is 'early_view', but the last stage has {features.shape[-1]} channels, fewer than the {width} that "
            "the first head reads: choose another head"
        )
    view = _depthwise(features, width, strides=1, name=EARLY_VIEW_CLONE)
    pooled = [layers.GlobalAveragePooling2D()(each) for each in (layers.ReLU()(features), view)]
    return layers.Dense(num_classes, name=name)(layers.Concatenate()(pooled))


def _strided(features: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
    features = _depthwise(features, features.shape[-1] // 2, strides=2, name=name)
    return layers.Flatten()(layers.AveragePooling2D(kernel(features, 2), padding="same")(features))


def _depthwise(features: keras.KerasTensor, channels: int, *, strides: int, name: str | None) -> keras.KerasTensor:
    """Depthwise 3x3 over the first channels, BatchNorm, ReLU."""
    features = features[..., :channels]
    features = layers.DepthwiseConv2D(kernel(features, 3), strides=strides, padding="same", use_bias=False, name=name)(
        features
    )
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))


def auxiliary_head(
    features: keras.KerasTensor, num_classes: int, *, name: str, first: bool = False
) -> keras.KerasTensor:
    """Two depthwise-separable convolutions to 32 and 16 channels, global average, dense.

    The auxiliary network of depth pruning (De Leon and Atienza 2022, section 2): the most work, and all of it float.
    """
    for channels in (32, 16):
        features = layers.DepthwiseConv2D(kernel(features, 3), padding="same", use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
        features = layers.Conv2D(channels, 1, use_bias=False)(features)
        features = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))
    return layers.Dense(num_classes, name=name)(layers.GlobalAveragePooling2D()(features))
