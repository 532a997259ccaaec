"""Foreign models, converted by LCE's own converter: the backends compute the same as LCE."""

import importlib
import sys
import warnings
from functools import partial
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest
from native.compilers import needs_library

from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = [
    needs_library,
    pytest.mark.filterwarnings("ignore:non-integer arguments:DeprecationWarning"),  # of Keras 2 with seeds
]
IMAGES = 4


def exact(data):
    """A file whose factors are one where a processor's reciprocal square root missed it by the last digit."""
    words = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), "<f4")
    near = (np.abs(np.abs(words) - 1) < 1e-6) & (words != 0)
    return np.where(near, np.sign(words), words).astype("<f4").tobytes()[: len(data)]


def converted(model):
    """A file as LCE writes it, and the names of its operators."""
    lce = pytest.importorskip("larq_compute_engine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = exact(lce.convert_keras_model(model))
    return data, {op.name for graph in flatbuffer.read(data).subgraphs for op in graph.operators}


def set_weights(model):
    """Random ones such that the results of two backends can be compared digit by digit.

    Weights are small integers and every normalisation divides by one. Sums are then exact in any order (but for the
    last digits deep in a network), and what a sign is taken of lies between whole steps of a grid: no backend can see
    another sign because it rounds in another order.
    """
    random = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 1 - layer.epsilon))
            layer.beta is None or layer.beta.assign(random.integers(-2, 2, layer.beta.shape) + 0.5)
        elif layer.weights and layer.trainable:
            kernel, *biases = layer.weights
            binary = getattr(layer, "kernel_quantizer", None) is not None
            # Four taps a channel in pointwise layers, so that values do not grow with the depth.
            share = 1.0 if binary else min(1.0, 4 / kernel.shape[-2]) if kernel.shape[0] == 1 else 0.5
            kernel.assign(random.choice([-1, 1], kernel.shape) * (random.uniform(size=kernel.shape) < share))
            for bias in biases:
                bias.assign(random.integers(-9, 10, bias.shape))


def zoo_model(module, name, size):
    """A model of Larq Zoo, up to its logits."""
    pytest.importorskip("larq")
    if find_spec("larq_zoo") is None:
        pytest.skip("larq-zoo is not installed: `make test` installs it")
    from bnn_exit._keras import keras

    # Larq Zoo imports the data sets that it is trained on; they would bring many packages along, and are not read here.
    absent = {} if find_spec("tensorflow_datasets") else {"tensorflow_datasets": mock.MagicMock()}
    with warnings.catch_warnings(), mock.patch.dict(sys.modules, absent):
        warnings.simplefilter("ignore")
        make = getattr(importlib.import_module(f"larq_zoo.{module}"), name)
        model = make(weights=None, input_shape=(size, size, 3), num_classes=10)
    set_weights(model)
    return keras.Model(model.inputs, model.layers[-1].input)


def assert_same(data, *runs, size):
    """On pictures of small patches. The results must differ, unlike those of a constant network."""
    network, reference, results = NativeNetwork(data), Interpreter(flatbuffer.read(data)), []
    for seed in range(IMAGES):
        patches = np.random.default_rng(seed).integers(-4, 5, [-(-axis // 4) for axis in size] + [3])
        values = [np.kron(patches, np.ones((4, 4, 1)))[None, : size[0], : size[1]].astype(np.float32)]
        ours = (network(values)[0], reference.run(values)[0])
        for run in runs:
            (expected,) = run(data, values)
            for found in ours:
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * expected.std())
        results.append(expected)
    assert np.std(results, axis=0).min() > 0.01 * np.std(results)


# A filter that is larger than its input is what LCE's fast kernels get wrong, if padding is by zeros: BiRealNet ends
# with 3x3 filters, and 100 pixels are 4 there.
@pytest.mark.parametrize(("module", "name", "size"), [("sota", "QuickNet", 64), ("literature", "BiRealNet", 100)])
def test_larq_zoo(lce_run, module, name, size):
    data, operators = converted(zoo_model(module, name, size))
    assert {"LceQuantize", "LceBconv2d", "ADD", "CONV_2D", "FULLY_CONNECTED"} <= operators
    assert_same(data, *(partial(lce_run, indirect=indirect) for indirect in (False, True)), size=(size, size))


@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_plain_larq_model(lce_run, activation):
    pytest.importorskip("larq")
    from bnn_exit._keras import keras, larq

    layers, binary = keras.layers, {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    conv = larq.layers.QuantConv2D
    source = value = keras.Input((16, 12, 3), batch_size=1)
    value = layers.BatchNormalization()(layers.Conv2D(64, 3, padding="same")(value))
    shapes = (
        {"padding": "same", "pad_values": 1, "activation": activation},
        {"padding": "same", "pad_values": 1, "dilation_rate": 2},
        {"padding": "same"},  # by zeros
        {"padding": "valid", "strides": 2},
    )
    for options in shapes:
        value = layers.BatchNormalization(scale=False)(conv(64, 3, **options, **binary)(value))
    value = layers.MaxPooling2D(2)(value)  # becomes LceBMaxPool2d where only its signs are read
    value = layers.BatchNormalization()(conv(64, 1, groups=2, **binary)(value))
    model = keras.Model(source, layers.Dense(10)(layers.GlobalAveragePooling2D()(value)))
    set_weights(model)
    data, operators = converted(model)
    assert {"LceQuantize", "LceBconv2d", "LceBMaxPool2d"} <= operators
    assert_same(data, partial(lce_run, indirect=True), size=(16, 12))
