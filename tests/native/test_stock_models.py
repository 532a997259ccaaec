"""Models that are not ours, converted by LCE's own converter: our backends answer as LCE does."""

import warnings

import numpy as np
import pytest

from bnn_exit.runtime import flatbuffer, native_backend
from bnn_exit.runtime.native_backend import Network
from bnn_exit.runtime.reference import Interpreter

pytestmark = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")
SIZE = 64


def converted(model):
    lce = pytest.importorskip("larq_compute_engine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lce.convert_keras_model(model)


def assert_same(data, lce_run, shape, *, logits=None):
    network, reference = Network(data), Interpreter(flatbuffer.read(data))
    for seed in range(3):
        values = [np.random.default_rng(seed).normal(size=shape).astype(np.float32)]
        (expected,) = lce_run(data, values, indirect=True)
        for found in (network(values)[0], reference.run(values)[0]):
            assert found.argmax() == expected.argmax()
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("module", "name"), [("sota", "QuickNetSmall"), ("literature", "BiRealNet")])
def test_larq_zoo(lce_run, module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zoo = pytest.importorskip("larq_zoo", reason="larq-zoo is not installed: pip install 'bnn_exit[zoo]'")
        model = getattr(getattr(zoo, module), name)(weights=None, input_shape=(SIZE, SIZE, 3), num_classes=10)
    assert_same(converted(model), lce_run, (1, SIZE, SIZE, 3))


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.filterwarnings("ignore:non-integer arguments:DeprecationWarning")  # of Keras 2 with seeds
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
    data = converted(model)
    names = {op.name for graph in flatbuffer.read(data).subgraphs for op in graph.operators}
    assert "LceBconv2d" in names
    assert_same(data, lce_run, (1, 16, 12, 3))
