"""A first look at half of the time steps, then the whole: QuickNet behind a first exit that sees every second step.

After Glance and Focus (GFNet; Wang et al. 2020; its code was read): a network looks at a cheap version
of its input first, and at more of it only if the first exit is not sure. GFNet's crops are chosen by a policy, clip by
clip; here the look is every second step of the stem's output. So no slice depends on data, one file of nested exits
holds everything, and a word is seen wherever in the clip it is.

Nothing of the look is lost. The stem's convolution has a stride in time: stage 1 computes the even positions of its
output, stage 2 the odd ones and puts them between, which gives exactly the stem's output over the whole. The features
of the look, repeated in time, are added to it (our own, not of the paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.models.backbones.quicknet import block
from bnn_exit.models.blocks import LONG_CLIP_FRAMES, Stages, normalise, stage_blocks, stages_of, with_later_stages
from bnn_exit.models.standardise import Standardise

layers = keras.layers

SIZES = {
    # For values of sensors, in less than 50 KB.
    "micro": Stages(blocks=(1, 1, 2, 2), channels=(8, 32, 64, 64), stem_channels=4, halving=(False,) * 4),
    "small": Stages(blocks=(2, 2, 4), channels=(64, 64, 64), halving=(False, False, True)),
    "base": Stages(blocks=(2, 2, 3, 3), channels=(64, 64, 128, 256), halving=(False, False, True, True)),
    "large": Stages(
        blocks=(3, 3, 4, 5, 6), channels=(64, 64, 128, 128, 128), halving=(False, False, True, False, False)
    ),
}


def glance(
    input_shape: tuple[int, int, int], *, size: str = "base", blocks: Sequence[int] = (), **own: Any
) -> list[keras.Model]:
    """The stages of the network; arguments as `quicknet.quicknet`.

    Returns:
        One model a stage. The first gives the features of the look, and after them what the second takes as well: the
        padded log-mel `[batch, frames + padding, mels + padding, 1]`, standardised, and the even positions of the
        stem's output `[batch, positions / 2 rounded up, bands, channels]`. The second and all later ones give features.
    """
    chosen = stages_of(SIZES, size, blocks, **own)
    stem = _Stem(input_shape, chosen)
    source = keras.Input(input_shape)
    padded = layers.ZeroPadding2D(stem.padding)(Standardise(name="standardise")(source))
    even = stem(padded)
    # With a layer between, no tensor has more than two readers, so that gradients are always added in one order (see
    # `MultiExitModel`).
    look = stage_blocks(layers.Activation("linear")(even), 0, chosen, block=block)
    first = keras.Model(source, [look, padded, even], name="stage_1")

    look, padded, even = sources = [keras.Input(given.shape[1:]) for given in first.outputs]
    odd = stem(layers.Cropping2D(((stem.stride, 0), (0, 0)))(padded))
    positions = even.shape[1] + odd.shape[1]
    whole = _interleaved(even, odd, positions=positions, name="stem")
    look = normalise(look)
    repeated = _interleaved(look, look, positions=positions, name="look")
    features = stage_blocks(layers.Add(name="whole")([whole, repeated]), 1, chosen, block=block)
    return with_later_stages([first, keras.Model(sources, features, name="stage_2")], chosen, block=block)


class _Stem:
    """Every second position of a convolution in time, followed by a depthwise one over the bands alone.

    Over the whole it would be a convolution with padding "same" and a stride of 4 frames (long clips: 8) and 4 bands,
    as far as the stem of the other backbones. Its stride here is twice that in time: from the first row of the padded
    input it gives the even positions, from row `stride` on the odd ones. The depthwise convolution mixes no positions
    in time, so that each half is complete in itself. Values have no bands: samples are in the place of frames.

    Attributes:
        stride: frames between two positions of the whole.
        padding: zeros around the input, ((above, below), (left, right)): those of "same" over the whole.
    """

    def __init__(self, input_shape: tuple[int, int, int], size: Stages) -> None:
        self.stride = 8 if input_shape[0] > LONG_CLIP_FRAMES else 4
        if input_shape[1] > 1:
            # All frames but one between two positions of one half are seen, and no more: they would be work done twice.
            taps, bands, band_stride, mixed = 2 * self.stride - 1, 5, 4, 3
        else:
            # Values change slowly from one sample to the next, so that the look does not need all of them.
            taps, bands, band_stride, mixed = self.stride + 1, 1, 1, 1
        self.padding = (_same(input_shape[0], taps, self.stride), _same(input_shape[1], bands, band_stride))
        expansion = size.channels[0] // size.stem_channels
        self._layers = [
            layers.Conv2D(size.stem_channels, (taps, bands), strides=(2 * self.stride, band_stride), use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.DepthwiseConv2D((1, mixed), padding="same", use_bias=False, depth_multiplier=expansion),
            layers.BatchNormalization(momentum=0.9),
        ]

    def __call__(self, padded: keras.KerasTensor) -> keras.KerasTensor:
        for layer in self._layers:
            padded = layer(padded)
        return padded


def _same(length: int, taps: int, stride: int) -> tuple[int, int]:
    """The zeros before and after `length` values that padding "same" means: the odd one comes after."""
    total = (-(-length // stride) - 1) * stride + taps - length
    return total // 2, total - total // 2


def _interleaved(even: keras.KerasTensor, odd: keras.KerasTensor, *, positions: int, name: str) -> keras.KerasTensor:
    """So many positions of both in turn: `[batch, positions, bands, channels]`; `odd` may have one less than `even`."""
    if odd.shape[1] < even.shape[1]:
        odd = layers.ZeroPadding2D(((0, 1), (0, 0)))(odd)
    # Side by side in each row, which is one after the other in memory.
    pairs = layers.Concatenate(axis=2)([even, odd])
    rows = layers.Reshape((2 * even.shape[1], *even.shape[2:]), name=name)(pairs)
    left_over = rows.shape[1] - positions
    return layers.Cropping2D(((0, left_over), (0, 0)), name=f"{name}_cropped")(rows) if left_over else rows
