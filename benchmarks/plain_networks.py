"""Whole networks without exits, as files that both our library and LCE run: for benchmarks/network_speed.py."""

from __future__ import annotations

from pathlib import Path

from bnn_exit._keras import keras, tf
from bnn_exit.conversion.graph import _freeze
from bnn_exit.conversion.to_lce import _lce_flatbuffer
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.multi_exit import build, through
from bnn_exit.settings.run import RunConfig
from bnn_exit.training import checkpoint
from bnn_exit.training.loop import BEST

layers = keras.layers


def trained(run: Path, *, input_shape: tuple[int, int, int]) -> keras.Model:
    """The backbone of a run with its last head: log-mel to logits, with the weights of the best epoch."""
    config = RunConfig.load(run)
    model = build(**config.model.to_dict(), num_classes=len(config.task.labels), input_shape=input_shape)
    checkpoint.load(run / BEST, variables=model.keras_model.weights)
    source = keras.Input(input_shape)
    carried = [source]
    for stage in model.stages:
        carried = through(stage, carried)
    return keras.Model(source, model.heads[-1](carried[0]))


def residual(*, input_shape: tuple[int, int, int] = (98, 64, 1), num_classes: int = 12) -> keras.Model:
    """A residual network of 170 million binary MACs with random weights: enough for timing, useless for words.

    Convolution to 16 channels with stride 2, maximum of 2 x 2, 1x1 to 64; four blocks of 64 channels, then three of 128
    and three of 256, each three after a transition with stride 2; global average and dense. A block adds
    BatchNorm(binary 3x3) to its input.
    """
    source = keras.Input(input_shape)
    features = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(source)
    features = layers.ReLU()(layers.BatchNormalization()(features))
    features = layers.MaxPooling2D(2, padding="same")(features)
    features = layers.BatchNormalization()(layers.Conv2D(64, 1, use_bias=False)(features))
    for channels, blocks in ((64, 4), (128, 3), (256, 3)):
        if channels > 64:
            residue = binary_conv(features, channels, strides=2, name=f"transition_{channels}")
            features = layers.AveragePooling2D(2, padding="same")(features)
            features = layers.Concatenate()([features, features])
            features = layers.Add()([features, layers.BatchNormalization()(residue)])
        for block in range(blocks):
            residue = binary_conv(features, channels, name=f"block_{channels}_{block}")
            features = layers.Add()([features, layers.BatchNormalization()(residue)])
    features = layers.GlobalAveragePooling2D()(layers.ReLU()(features))
    return keras.Model(source, layers.Dense(num_classes)(features))


def convert(model: keras.Model) -> bytes:
    """The file of a model from one clip to logits, by LCE's converter."""
    frozen = _freeze(model)
    graph = tf.Graph()
    with graph.as_default():
        source = tf.compat.v1.placeholder(tf.float32, [1, *model.input_shape[1:]], name="log_mel")
        logits = tf.identity(frozen(source)[0], name="logits")
    return _lce_flatbuffer(graph, [source], [logits])
