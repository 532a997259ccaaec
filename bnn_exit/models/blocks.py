"""What the backbones share: the way from log-mel to features, normalisation, shortcuts, and cutting into stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.models.binary_ops import kernel
from bnn_exit.models.standardise import Standardise
from bnn_exit.text import counted

layers = keras.layers

LONG_CLIP_FRAMES = 256

Block = Callable[..., Any]
"""block(features, channels, strides=, name=) -> features, from a layer called `NAME_out`"""


@dataclass(frozen=True)
class Stages:
    """The size of a backbone, stage by stage; more blocks or channels are more accurate and slower.

    Attributes:
        blocks: of each stage.
        channels: of each stage; those of the first are a multiple of `stem_channels`.
        stem_channels: of the first convolution.
        halving: whether a stage starts by halving time and frequency; None: every stage but the first does.
    """

    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    stem_channels: int = 16
    halving: tuple[bool, ...] | None = None

    def halves(self, index: int) -> bool:
        """Whether stage `index`, from 0, starts by halving time and frequency."""
        return index > 0 if self.halving is None else self.halving[index]


def stages_of(
    sizes: Mapping[str, Stages],
    size: str,
    blocks: Sequence[int] = (),
    *,
    channels: Sequence[int] = (),
    halving: Sequence[bool] = (),
    stem_channels: int = 0,
) -> Stages:
    """The stages of a size, with other blocks, channels, halving or stem where these are given.

    The lists have a value for each stage of the size; with blocks and channels of one length there may be other stages.

    Raises:
        ArgumentError: an unknown size, another number of stages, or channels that the stem's do not divide.
    """
    chosen = sizes[one_of("size", size, sizes)]
    if blocks and channels and len(blocks) == len(channels):
        chosen = Stages(tuple(blocks), tuple(channels), chosen.stem_channels)
    given = {"blocks": tuple(blocks), "channels": tuple(channels), "halving": tuple(halving)}
    for name, values in given.items():
        if values and len(values) != len(chosen.blocks):
            usual = (
                [chosen.halves(k) for k in range(len(chosen.blocks))] if name == "halving" else getattr(chosen, name)
            )
            raise ArgumentError(
                f"{name} is {' '.join(map(str, values))}, but size {size!r} has "
                f"{counted(len(chosen.blocks), 'stage')}: give one "
                f"{'value' if name == 'halving' else 'number'} for each, such as {' '.join(map(str, usual))}, which "
                "are its own"
            )
    changes: dict[str, Any] = {name: values for name, values in given.items() if values}
    found = dataclasses.replace(chosen, **changes, stem_channels=stem_channels or chosen.stem_channels)
    if found.channels[0] % found.stem_channels:
        raise ArgumentError(
            f"stem_channels is {found.stem_channels}, but must divide the channels of the first stage, which are "
            f"{found.channels[0]}"
        )
    return found


def cut_into_stages(
    input_shape: tuple[int, int, int], size: Stages, *, block: Block, ending: Callable[..., Any] | None = None
) -> list[keras.Model]:
    """One model a stage, each from the features of the one before.

    Args:
        input_shape: (frames, mels, 1) of the log-mel input, or (samples, 1, channels) of values.
        size: blocks and channels.
        block: makes one block.
        ending: what comes after the last block of every stage: features -> features.
    """
    source = keras.Input(input_shape)
    features = stem(source, size.channels[0], first_channels=size.stem_channels)
    features = stage_blocks(features, 0, size, block=block, ending=ending)
    return with_later_stages([keras.Model(source, features, name="stage_1")], size, block=block, ending=ending)


def with_later_stages(
    first: list[keras.Model], size: Stages, *, block: Block, ending: Callable[..., Any] | None = None
) -> list[keras.Model]:
    """The stages `first` and, from the features of the last of them, the others; arguments as `cut_into_stages`."""
    stages = list(first)
    for index in range(len(first), len(size.blocks)):
        source = keras.Input(stages[-1].outputs[0].shape[1:])
        features = stage_blocks(source, index, size, block=block, ending=ending)
        stages.append(keras.Model(source, features, name=f"stage_{index + 1}"))
    return stages


def stage_blocks(
    features: keras.KerasTensor, index: int, size: Stages, *, block: Block, ending: Callable[..., Any] | None = None
) -> keras.KerasTensor:
    """`features` through all blocks of stage `index`, from 0; arguments as `cut_into_stages`."""
    for number in range(size.blocks[index]):
        strides = 2 if size.halves(index) and number == 0 else 1
        features = block(features, size.channels[index], strides=strides, name=f"s{index + 1}_b{number + 1}")
    return ending(features) if ending else features


def stem(source: keras.KerasTensor, channels: int, *, first_channels: int) -> keras.KerasTensor:
    """Log-mel to a quarter of its bands and a quarter of its frames (long clips: an eighth), in `channels`.

    Values: to a quarter of their samples (long windows: an eighth).

    Each channel of the first convolution goes through several depthwise filters, which makes the channels that binary
    layers want at half of what a 1x1 convolution costs; the first binary layer mixes them.
    """
    features = Standardise(name="standardise")(source)
    # Clips of seconds, not words: twice the time step, or the first stage would cost more than all others together.
    time_stride = 4 if source.shape[1] > LONG_CLIP_FRAMES else 2
    features = layers.Conv2D(
        first_channels,
        (time_stride + 1, kernel(features, 3)[1]),
        strides=(time_stride, kernel(features, 2)[1]),
        padding="same",
        use_bias=False,
    )(features)
    features = layers.ReLU()(normalise(features))
    features = layers.DepthwiseConv2D(
        kernel(features, 3), strides=2, padding="same", use_bias=False, depth_multiplier=channels // first_channels
    )(features)
    return normalise(features)


def normalise(features: keras.KerasTensor) -> keras.KerasTensor:
    """BatchNorm. Momentum 0.9: runs are short, and 0.99 would still remember the first epochs at the end."""
    return layers.BatchNormalization(momentum=0.9)(features)


def prelu(features: keras.KerasTensor) -> keras.KerasTensor:
    """PReLU with one slope a channel, 0.25 at first."""
    return layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.25))(features)


def halved(features: keras.KerasTensor, strides: int) -> keras.KerasTensor:
    """The mean over `strides` x `strides` places (x 1 of features 1 wide), as a shortcut past a strided layer."""
    return (
        features
        if strides == 1
        else layers.AveragePooling2D(kernel(features, strides), kernel(features, strides), padding="same")(features)
    )


def projected(features: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """A float 1x1 convolution where channels change: a shortcut that learns."""
    if features.shape[-1] == channels:
        return features
    return normalise(layers.Conv2D(channels, 1, use_bias=False)(features))
