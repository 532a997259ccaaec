"""Depthwise-separable networks for keyword spotting: DS-CNN of "Hello Edge" (Zhang et al. 2017), float and int8.

What a user would pick instead of a binary network. The layers are those of the paper; the input may be log-mel, or
cepstral coefficients made of it as in the paper.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import peer_timing

from bnn_exit._keras import keras, tf
from bnn_exit.models.network import Network
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.features import FeatureConfig

layers = keras.layers


@dataclasses.dataclass(frozen=True)
class Size:
    """A row of the paper's table: filters, strides (time, frequency) of the first two layers, separable blocks."""

    filters: int
    first_stride: tuple[int, int]
    block_stride: tuple[int, int]
    blocks: int


SIZES = {
    "S": Size(64, (2, 2), (1, 1), 4),
    "M": Size(172, (2, 1), (2, 2), 4),
    "L": Size(276, (2, 1), (2, 2), 5),
}


@dataclasses.dataclass(frozen=True)
class Input:
    """What the network sees: log-mel of these settings, or the first `coefficients` of its cosine transform (MFCC)."""

    features: FeatureConfig
    coefficients: int = 0

    @property
    def bands(self) -> int:
        """Width of the network's input."""
        return self.coefficients or self.features.num_mels

    def augment(self) -> AugmentConfig:
        """The defaults for these features."""
        return AugmentConfig().scaled_to(self.features)


def _features(mels: int) -> FeatureConfig:
    # The paper's frames: 40 ms every 20 ms, 49 in a second.
    return FeatureConfig(window_ms=40.0, hop_ms=20.0, fft_size=1024, num_mels=mels)


INPUTS = {
    "mfcc10": Input(_features(40), 10),
    "mel10": Input(_features(10)),
    "mel20": Input(_features(20)),
    "mel40": Input(_features(40)),
    "98x64": Input(FeatureConfig()),
}


@keras.utils.register_keras_serializable("bnn_exit_benchmarks")
class Prepare(layers.Layer):
    """log-mel `[batch, frames, mels, 1]` times a fixed matrix, each column then to zero mean and unit variance.

    On a device it is part of the front end, so that the network itself takes int8.
    """

    def __init__(self, matrix: np.ndarray, **options: object) -> None:
        super().__init__(**options)
        self.matrix = matrix

    def build(self, input_shape: tf.TensorShape) -> None:
        shape = (self.matrix.shape[1],)
        self.mean = self.add_weight("mean", shape=shape, initializer="zeros", trainable=False)
        self.scale = self.add_weight("scale", shape=shape, initializer="ones", trainable=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        prepared = tf.matmul(inputs[..., 0], tf.constant(self.matrix, tf.float32))
        return ((prepared - self.mean) * self.scale)[..., None]

    def adapt(self, log_mel: np.ndarray) -> None:
        """Take mean and deviation from `[clips, frames, mels]`."""
        prepared = np.asarray(log_mel, np.float32) @ self.matrix.astype(np.float32)
        self.mean.assign(prepared.mean(axis=(0, 1), dtype=np.float64))
        self.scale.assign(1 / np.maximum(prepared.std(axis=(0, 1), dtype=np.float64), 0.1))

    def arrays(self) -> dict[str, np.ndarray]:
        """What a device needs to do the same: `peer_timing.prepare`."""
        arrays = {"matrix": self.matrix, "mean": self.mean.numpy(), "scale": self.scale.numpy()}
        return {name: values.astype(np.float32) for name, values in arrays.items()}

    def numpy(self, log_mel: np.ndarray) -> np.ndarray:
        """`[clips, frames, mels]` to `[clips, frames, columns, 1]`."""
        return peer_timing.prepare(log_mel, **self.arrays())


def cosine_matrix(mels: int, coefficients: int) -> np.ndarray:
    """The orthonormal DCT-II that makes cepstral coefficients: `[mels, coefficients]`."""
    angles = np.pi / mels * (np.arange(mels)[:, None] + 0.5) * np.arange(coefficients)
    matrix = np.cos(angles) * np.sqrt(2 / mels)
    matrix[:, 0] /= np.sqrt(2)
    return matrix


def network(size: str, *, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Prepared features to logits, as in the paper: 10x4 convolution, separable blocks, average, dense."""
    settings = SIZES[size]

    def normalised(values: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(values))

    source = keras.Input(input_shape)
    first = layers.Conv2D(settings.filters, (10, 4), strides=settings.first_stride, padding="same", use_bias=False)
    values = normalised(first(source))
    for index in range(settings.blocks):
        strides = settings.block_stride if index == 0 else (1, 1)
        values = normalised(layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(values))
        values = normalised(layers.Conv2D(settings.filters, 1, use_bias=False)(values))
    values = layers.GlobalAveragePooling2D()(values)
    return keras.Model(source, layers.Dense(num_classes)(values), name=f"ds_cnn_{size.lower()}")


class DsCnn(Network):
    """A DS-CNN that `bnn_exit.training.fit` trains: one exit, at the end."""

    def __init__(self, size: str, input: Input, *, input_shape: tuple[int, int, int], num_classes: int) -> None:
        frames, mels, _ = input_shape
        matrix = cosine_matrix(mels, input.coefficients) if input.coefficients else np.eye(mels)
        self.prepare = Prepare(matrix, name="prepare")
        self.network = network(size, input_shape=(frames, input.bands, 1), num_classes=num_classes)
        source = keras.Input(input_shape, name="log_mel")
        super().__init__(keras.Model(source, self.network(self.prepare(source))))

    def adapt(self, log_mel: np.ndarray) -> None:
        """Fit the standardisation."""
        self.prepare.adapt(log_mel)


def convert_int8(model: keras.Model, samples: np.ndarray) -> bytes:
    """`model` as a TFLite file of int8 weights (per channel), activations, input and output.

    Args:
        model: prepared features to logits.
        samples: `[clips, frames, columns, 1]`, to choose the ranges of activations by.
    """
    fixed = keras.Input(model.input_shape[1:], batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(fixed, model(fixed)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with warnings.catch_warnings():
        # They are not specified because the samples give them.
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        return converter.convert()
