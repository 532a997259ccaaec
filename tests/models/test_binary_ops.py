import numpy as np
import pytest

from bnn_exit._keras import keras, larq, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import ACTIVATION_QUANTIZERS, binary_conv, check_binary


def network(layer, *, before=None):
    source = keras.Input((8, 8, 4))
    features = before(source) if before else source
    return keras.Model(source, layer(features))


@pytest.mark.parametrize("quantizer", ACTIVATION_QUANTIZERS)
def test_binary_conv_multiplies_signs_and_pads_with_ones(quantizer):
    source = keras.Input((5, 6, 3))
    model = keras.Model(source, binary_conv(source, 7, name="conv", activation_quantizer=quantizer))
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    kernel = model.get_weights()[0]

    signs = np.pad(np.where(inputs >= 0, 1.0, -1.0), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1.0)
    expected = np.zeros((2, 5, 6, 7))
    for row in range(3):
        for column in range(3):
            patch = signs[:, row : row + 5, column : column + 6]
            expected += patch @ np.where(kernel[row, column] >= 0, 1.0, -1.0)
    np.testing.assert_array_equal(model(inputs).numpy(), expected)
    assert check_binary(model) == 1


def test_latent_weights_stay_within_one():
    source = keras.Input((4, 4, 2))
    model = keras.Model(source, binary_conv(source, 2, name="conv"))
    kernel = model.trainable_variables[0]
    kernel.assign(tf.fill(kernel.shape, 3.0))
    assert np.all(kernel.constraint(kernel).numpy() == 1.0)


def test_a_layer_without_input_quantizer_is_refused():
    layer = larq.layers.QuantConv2D(4, 3, padding="same", pad_values=1.0, kernel_quantizer="ste_sign", name="lost")
    with pytest.raises(ArgumentError, match="'lost' is declared binary, but it has no input_quantizer: Larq made an"):
        check_binary(network(layer))


def test_a_layer_without_kernel_quantizer_is_refused():
    layer = larq.layers.QuantConv2D(4, 3, padding="same", pad_values=1.0, input_quantizer="ste_sign", name="lost")
    with pytest.raises(ArgumentError, match="'lost' is declared binary, but it has no kernel_quantizer"):
        check_binary(network(layer))


def test_a_plain_layer_that_calls_itself_binary_is_refused():
    with pytest.raises(ArgumentError, match="'binary_fake' is declared binary, but a Conv2D stays float"):
        check_binary(network(keras.layers.Conv2D(4, 3, name="binary_fake")))


def test_a_binary_dense_layer_is_refused():
    layer = larq.layers.QuantDense(4, input_quantizer="ste_sign", kernel_quantizer="ste_sign", name="dense")
    with pytest.raises(ArgumentError, match="'dense' is declared binary, but a QuantDense stays float"):
        check_binary(network(layer))


def test_zero_padding_is_refused():
    layer = larq.layers.QuantConv2D(4, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer="ste_sign")
    with pytest.raises(ArgumentError, match=r"pad_values is 0\.0: pad with 1\.0"):
        check_binary(network(layer))


@pytest.mark.parametrize("relu", [keras.layers.ReLU(name="r"), keras.layers.Activation("relu", name="r")])
def test_a_relu_before_a_sign_is_refused(relu):
    with pytest.raises(ArgumentError, match="its input comes from the ReLU 'r', whose sign is \\+1 everywhere"):
        check_binary(network(lambda features: binary_conv(features, 4, name="conv"), before=relu))
