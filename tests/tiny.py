"""A network small enough to train and convert in a second or two, with as many exits as a test wants."""

from __future__ import annotations

from bnn_exit._keras import keras
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.exit_heads import exit_heads
from bnn_exit.models.level import with_levels
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.models.precision import with_precision
from bnn_exit.models.standardise import Standardise
from bnn_exit.settings.model import ModelConfig


def tiny_model(
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    channels: tuple[int, ...] = (16, 16, 16),
    head: str = "pooled",
    boost: float = 0.0,
) -> MultiExitModel:
    """One binary residual block a stage, the first after a strided float stem; every stage has its own channels."""
    stages = _stages(input_shape, channels)
    return MultiExitModel(stages, exit_heads(head, stages, num_classes, boost=boost, first_is_first=False))


def _stages(input_shape: tuple[int, int, int], channels: tuple[int, ...]) -> list[keras.Model]:
    stages, shape = [], input_shape
    for index, width in enumerate(channels):
        source = keras.Input(shape)
        features = source
        if index == 0:
            features = Standardise(name="standardise")(features)
            features = keras.layers.Conv2D(width, 5, strides=4, padding="same", use_bias=False)(features)
            features = keras.layers.BatchNormalization(momentum=0.5)(features)
        residual = binary_conv(features, width, name=f"block_{index + 1}")
        residual = keras.layers.BatchNormalization(momentum=0.5)(residual)
        if features.shape[-1] == width:
            residual = keras.layers.Add()([features, residual])
        stages.append(keras.Model(source, residual, name=f"stage_{index + 1}"))
        shape = tuple(residual.shape[1:])
    return stages


def tiny_build(
    backbone: str = "quicknet",
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    size: str = "small",
    head: str = "pooled",
    precision: str = "binary",
    levels: str = "kept",
    boost: float = 0.0,
    blocks: tuple[int, ...] = (),
    channels: tuple[int, ...] = (16, 16, 16),
) -> MultiExitModel:
    """`bnn_exit.build` for a tiny network, whatever backbone and size are asked for."""
    stages = _stages(input_shape, channels)
    heads = exit_heads(head, stages, num_classes, boost=boost, first_is_first=False)
    stages = [with_precision(stage, precision) for stage in stages]
    stages[0] = with_levels(stages[0], levels)
    config = ModelConfig(
        backbone=backbone, size=size, head=head, precision=precision, levels=levels, boost=boost, blocks=blocks
    )
    return MultiExitModel(stages, heads, config=config)
