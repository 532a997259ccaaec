import numpy as np
import pytest
from tiny import tiny_build

from bnn_exit import export
from bnn_exit._keras import keras, larq
from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.multi_exit import build
from bnn_exit.models.precision import with_precision
from bnn_exit.settings.model import BACKBONES, PRECISIONS

FEATURES = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)


def convolved(features, kernel, *, padding):
    """A 3x3 convolution by hand."""
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=padding)
    result = np.zeros((*features.shape[:3], kernel.shape[-1]))
    for row in range(3):
        for column in range(3):
            result += (
                padded[:, row : row + features.shape[1], column : column + features.shape[2]] @ kernel[row, column]
            )
    return result


def sign(values):
    return np.where(values >= 0, 1.0, -1.0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_layer_computes_what_its_precision_says(precision):
    source = keras.Input(FEATURES.shape[1:])
    model = with_precision(keras.Model(source, binary_conv(source, 4, name="conv")), precision)
    kernel = model.layers[-1].kernel.numpy()
    expected = {
        "binary": lambda: convolved(sign(FEATURES), sign(kernel), padding=1),
        "real_weights": lambda: convolved(sign(FEATURES), kernel, padding=1),
        "float": lambda: convolved(np.maximum(FEATURES, 0), kernel, padding=0),
    }[precision]()
    np.testing.assert_allclose(model(FEATURES).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_real_kernels_are_neither_clipped_nor_called_binary():
    source = keras.Input(FEATURES.shape[1:])
    binary = keras.Model(source, binary_conv(source, 4, name="conv"))
    assert with_precision(binary, "binary") is binary and binary.layers[-1].kernel_constraint is not None
    for precision in ("real_weights", "float"):
        layer = with_precision(binary, precision).layers[-1]
        assert layer.name == "conv" and layer.kernel_constraint is None


@pytest.mark.parametrize("backbone", BACKBONES)
def test_weights_of_every_backbone_fit_every_precision(backbone):
    networks = [build(backbone, size="small", num_classes=3, input_shape=(40, 32, 1), precision=p) for p in PRECISIONS]
    first = networks[0].keras_model
    for network, precision in zip(networks, PRECISIONS, strict=True):
        assert network.precision == network.config.precision == precision
        assert [w.shape for w in network.keras_model.weights] == [w.shape for w in first.weights]
        network.keras_model.set_weights(first.get_weights())
        quantised = [layer for layer in network.keras_model._flatten_layers() if hasattr(layer, "kernel_quantizer")]
        assert len(quantised) == networks[0].num_binary_layers > 0
        assert all((layer.kernel_quantizer is not None) == (precision == "binary") for layer in quantised)
        is_sign = [isinstance(layer.input_quantizer, larq.quantizers.Quantizer) for layer in quantised]
        assert all(is_sign) if precision != "float" else not any(is_sign)
        total, binary_total = network.costs()[-1], networks[0].costs()[-1]
        assert total.binary_macs + total.float_macs == binary_total.binary_macs + binary_total.float_macs
        assert (total.binary_macs > 0) == (precision == "binary")
    # No linear map: for one, the middle between a point and its opposite is the image of zero.
    stage = networks[PRECISIONS.index("float")].stages[-1]
    point = np.random.default_rng(1).normal(size=(1, *stage.input_shape[1:])).astype(np.float32)
    there, back, middle = (stage(scale * point).numpy() for scale in (1, -1, 0))
    assert np.abs((there + back) / 2 - middle).max() > 0.01


def test_an_unknown_precision_is_named():
    with pytest.raises(
        ArgumentError, match="precision is 'flaot', but must be one of binary, float, real_weights; did you"
    ):
        build(num_classes=3, input_shape=(40, 32, 1), precision="flaot")


def test_only_binary_networks_become_files(tone_task, tmp_path):
    model = tiny_build(num_classes=4, input_shape=tone_task.input_shape, precision="float")
    with pytest.raises(ArgumentError, match="precision is 'float', but only a binary one becomes a file"):
        export(model, tmp_path / "m.tflite", task=tone_task, operating_points={})
    assert not list(tmp_path.iterdir())
