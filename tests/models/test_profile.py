"""Costs of every kind of layer against figures counted by hand, and of binary layers against what LCE makes of them."""

import warnings

import pytest

from bnn_exit._keras import keras, larq, tf
from bnn_exit.conversion.audit import audit
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file import flatbuffer
from bnn_exit.models import profile
from bnn_exit.models.foreign_layers import is_binary

layers = keras.layers
PLAIN = {"padding": "same", "use_bias": False}
# The input is 6 x 4 with 8 channels.
LAYERS = [
    (layers.Conv2D(16, 3, **PLAIN), 24 * 9 * 8 * 16, 9 * 8 * 16),
    (layers.Conv2D(16, 3, strides=2, **PLAIN), 6 * 9 * 8 * 16, 9 * 8 * 16),
    (layers.Conv2D(16, 3, groups=4, **PLAIN), 24 * 9 * 2 * 16, 9 * 2 * 16),
    (layers.Conv2DTranspose(16, 3, strides=2, **PLAIN), 24 * 9 * 8 * 16, 9 * 8 * 16),
    (layers.DepthwiseConv2D(3, **PLAIN), 24 * 9 * 8, 9 * 8),
    (layers.DepthwiseConv2D(3, depth_multiplier=2, **PLAIN), 24 * 9 * 16, 9 * 16),
    (layers.SeparableConv2D(16, 3, **PLAIN), 24 * (9 * 8 + 8 * 16), 9 * 8 + 8 * 16),
    (layers.Dense(5), 24 * 8 * 5, 8 * 5 + 5),
    (larq.layers.QuantConv2D(16, 3, **PLAIN), 24 * 9 * 8 * 16, 9 * 8 * 16),
    (larq.layers.QuantDepthwiseConv2D(3, input_quantizer="ste_sign", **PLAIN), 24 * 9 * 8, 9 * 8),
    (larq.layers.QuantSeparableConv2D(16, 3, **PLAIN), 24 * (9 * 8 + 8 * 16), 9 * 8 + 8 * 16),
    (larq.layers.QuantDense(5, input_quantizer="ste_sign"), 24 * 8 * 5, 8 * 5 + 5),
    (layers.BatchNormalization(), 0, 4 * 8),
    (layers.PReLU(), 0, 6 * 4 * 8),
    (layers.Lambda(lambda features: 2 * tf.nn.relu(features)), 0, 0),
]


def network(layer, shape=(6, 4, 8)):
    source = keras.Input(shape)
    return keras.Model(source, layer(source))


@pytest.mark.parametrize(("layer", "macs", "weights"), LAYERS, ids=lambda value: getattr(value, "name", None))
def test_every_kind_of_float_layer_is_counted(layer, macs, weights):
    cost = profile.cost(network(layer))
    assert (cost.binary_macs, cost.float_macs, cost.bytes) == (0, macs, 4 * weights)


def test_a_layer_that_is_used_twice_works_twice_and_is_stored_once():
    layer, source = layers.Conv2D(8, 3, **PLAIN), keras.Input((6, 4, 8))
    once, twice = keras.Model(source, layer(source)), keras.Model(source, layer(layer(source)))
    assert profile.cost(twice).float_macs == 2 * profile.cost(once).float_macs
    assert profile.cost(twice).bytes == profile.cost(once).bytes


def test_nested_models_are_looked_into():
    inner, source = network(layers.Conv2D(16, 3, **PLAIN)), keras.Input((6, 4, 8))
    assert profile.cost(keras.Model(source, inner(source))) == profile.cost(inner)


@pytest.mark.parametrize(
    "layer",
    [
        layers.TimeDistributed(layers.LSTM(3), name="odd"),
        layers.MultiHeadAttention(1, 4, name="odd"),
        layers.Lambda(lambda features: tf.matmul(features, features, transpose_b=True), name="odd"),
        layers.EinsumDense("abcd,de->abce", (None, None, 3), name="odd"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_cannot_be_counted_is_refused_and_not_taken_for_nothing(layer):
    call = (lambda source: layer(source, source)) if isinstance(layer, layers.MultiHeadAttention) else layer
    with pytest.raises(ArgumentError, match=f"'odd' is a {type(layer).__name__}, whose multiply-accumulates are not"):
        profile.cost(network(call))


# Not here: ternary inputs, of which LCE takes the sign as if there were no zeros. They are not binary to us, so the
# audit fails an export of them.
OPTIONS = {
    "plain": {},
    "padded with zeros": {"pad_values": 0.0},
    "padded with minus one": {"pad_values": -1.0},
    "not padded": {"padding": "valid"},
    "dilated": {"dilation_rate": 2},
    "two groups": {"groups": 2},
    "four groups": {"groups": 4},
    "with bias": {"use_bias": True},
    "approx_sign": {"input_quantizer": "approx_sign"},
    "swish_sign": {"input_quantizer": "swish_sign", "kernel_quantizer": "swish_sign"},
    "no input quantizer": {"input_quantizer": None},
    "no kernel quantizer": {"kernel_quantizer": None},
    "heaviside inputs": {"input_quantizer": "ste_heaviside"},
    "heaviside weights": {"kernel_quantizer": "ste_heaviside"},
    "ternary weights": {"kernel_quantizer": "ste_tern"},
    "scaled weights": {"kernel_quantizer": "magnitude_aware_sign"},
    "dorefa inputs": {"input_quantizer": larq.quantizers.DoReFa(1, mode="activations")},
    "dorefa weights": {"kernel_quantizer": larq.quantizers.DoReFa(1, mode="weights")},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_binary_is_what_lce_makes_binary(options):
    lce = pytest.importorskip("larq_compute_engine")
    base = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "padding": "same", "pad_values": 1.0}
    layer = larq.layers.QuantConv2D(64, 3, kernel_constraint="weight_clip", **{"use_bias": False, **base, **options})
    source = keras.Input((6, 6, 64), batch_size=1)
    model = keras.Model(source, layers.BatchNormalization()(layer(source)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = lce.convert_keras_model(model)
    report = audit(flatbuffer.read(data), size=len(data))
    assert is_binary(layer) == (report.binary_layers == 1)
    assert profile.cost(model).binary_macs == report.binary_macs
